"""Checkpoints: a folder ``step-00000100`` is there whole and verified, or not at all.

A folder holds ``model.safetensors``, ``optimizer.safetensors``, ``state.json`` and ``manifest.json`` with the size and
SHA-256 of each file and of itself. It is written under another name, every file and the folder fsynced, then renamed;
older ones go only after the new one was read back and agreed. No pickle: tensors and JSON.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from trivium.durable import file_digest, json_bytes, pieces_digest, sync_folder, write_file
from trivium.errors import DataError, StoppedError
from trivium.families.tensor_bytes import tensor_pieces

SCHEMA = 1
_PREFIX = "step-"
_PARTIAL = ".partial-"
_OLD = ".old-"


@dataclass(frozen=True)
class Checkpoint:
    """What one folder holds, verified. ``state_hash`` is that of all weights and moments together."""

    step: int
    folder: Path
    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    state: dict[str, Any]
    state_hash: str


class Checkpoints:
    """The checkpoints of one run, of which the ``keep`` newest stay."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder = folder
        self.keep = keep

    def steps(self) -> list[int]:
        """Steps of the folders that are there, damaged ones included, oldest first."""
        if not self.folder.is_dir():
            return []
        names = [entry.name.removeprefix(_PREFIX) for entry in self.folder.iterdir() if entry.name.startswith(_PREFIX)]
        return sorted(int(name) for name in names if name.isdecimal())

    def path(self, step: int) -> Path:
        return self.folder / f"{_PREFIX}{step:08d}"

    def tidy(self) -> None:
        """Removes what an interrupted save left. Only for the process that holds the run's lock."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for entry in self.folder.iterdir():
            if entry.name.startswith((_PARTIAL, _OLD)):
                shutil.rmtree(entry, ignore_errors=True)

    def save(
        self, step: int, weights: Mapping[str, Tensor], optimizer: Mapping[str, Tensor], state: Mapping[str, Any]
    ) -> str:
        """Writes, verifies, then lets the oldest go; returns the hash of the state. On failure nothing has changed."""
        partial = self.folder / f"{_PARTIAL}{step:08d}"
        try:
            digest = self._write(partial, step, weights, optimizer, state)
            self._install(partial, self.path(step))
            self.verify(step)
        except (OSError, DataError) as error:
            shutil.rmtree(partial, ignore_errors=True)
            if isinstance(error, DataError):
                shutil.rmtree(self.path(step), ignore_errors=True)
            raise StoppedError(self._not_saved(step, error, weights, optimizer)) from error
        self.drop_old(step)
        return digest

    def verify(self, step: int) -> dict[str, Any]:
        """The manifest of a checkpoint whose every byte agrees with it; otherwise a DataError names the file."""
        folder = self.path(step)
        manifest = _read_manifest(folder / "manifest.json", step)
        for name, expected in manifest["files"].items():
            path = folder / name
            if not path.is_file():
                raise DataError(f"{path} is missing")
            size = path.stat().st_size
            if size != expected["bytes"]:
                raise DataError(f"{path} is damaged: it has {size} bytes, and {expected['bytes']} were written")
            if file_digest(path) != expected["sha256"]:
                raise DataError(f"{path} is damaged: its SHA-256 is not the one written in manifest.json")
        return manifest

    def load(self, step: int) -> Checkpoint:
        """One checkpoint, verified."""
        manifest = self.verify(step)
        folder = self.path(step)
        try:
            weights = load_file(folder / "model.safetensors")
            optimizer = load_file(folder / "optimizer.safetensors")
            state = json.loads((folder / "state.json").read_bytes())
        except (OSError, SafetensorError, ValueError) as error:
            raise DataError(f"{folder} cannot be read: {error}") from error
        return Checkpoint(step, folder, weights, optimizer, state, manifest["state"])

    def newest(self, say: Callable[[str], None]) -> Checkpoint | None:
        """The newest good one; each damaged one passed over is said. None before the first save."""
        steps = self.steps()
        problem = None
        for step in reversed(steps):
            try:
                return self.load(step)
            except DataError as error:
                problem = error
                say(f"{error}: falling back to the checkpoint before step {step}")
        if problem:
            raise DataError(f"no checkpoint in {self.folder} is good: {problem}; start again with another --out")
        return None

    def _write(
        self,
        partial: Path,
        step: int,
        weights: Mapping[str, Tensor],
        optimizer: Mapping[str, Tensor],
        state: Mapping[str, Any],
    ) -> str:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        written = {
            "model.safetensors": write_file(partial / "model.safetensors", tensor_pieces(weights)),
            "optimizer.safetensors": write_file(partial / "optimizer.safetensors", tensor_pieces(optimizer)),
            "state.json": write_file(partial / "state.json", iter([json_bytes(state)])),
        }
        digest = _join(written["model.safetensors"][1], written["optimizer.safetensors"][1])
        files = {name: {"bytes": size, "sha256": sha} for name, (size, sha) in written.items()}
        manifest = {"schema": SCHEMA, "step": step, "state": digest, "files": files}
        manifest["sha256"] = hashlib.sha256(json_bytes(manifest)).hexdigest()
        write_file(partial / "manifest.json", iter([json_bytes(manifest)]))
        sync_folder(partial)
        return digest

    def _install(self, partial: Path, final: Path) -> None:
        if final.exists():  # damaged, or of a run that fell back behind it: it is replaced
            os.rename(final, self.folder / f"{_OLD}{final.name}")
        os.rename(partial, final)
        sync_folder(self.folder)

    def drop_old(self, step: int) -> None:
        """Keeps the ``keep`` newest up to ``step``; a later one is of before a fall-back, and goes too."""
        steps = self.steps()
        kept = [s for s in steps if s <= step][-self.keep :]
        for s in steps:
            if s not in kept:
                with contextlib.suppress(OSError):  # it goes after a later save
                    os.rename(self.path(s), self.folder / f"{_OLD}{self.path(s).name}")
        self.tidy()

    def _not_saved(
        self, step: int, error: Exception, weights: Mapping[str, Tensor], optimizer: Mapping[str, Tensor]
    ) -> str:
        needed = sum(t.numel() * t.element_size() for part in (weights, optimizer) for t in part.values())
        free = shutil.disk_usage(self.folder).free if self.folder.exists() else 0
        steps = [s for s in self.steps() if s != step]
        reason = getattr(error, "strerror", None) or error
        kept = f"the checkpoint of step {steps[-1]} is intact" if steps else "no checkpoint exists yet"
        return (
            f"step {step} could not be saved in {self.folder}: {reason} (it needs {needed / 1e6:.1f} MB, "
            f"{free / 1e6:.1f} MB are free); {kept}: make room, then resume"
        )


def state_hash(weights: Mapping[str, Tensor], optimizer: Mapping[str, Tensor]) -> str:
    """The hash that a checkpoint of this state has in its manifest, without writing it."""
    return _join(pieces_digest(tensor_pieces(weights)), pieces_digest(tensor_pieces(optimizer)))


def _join(weights: str, optimizer: str) -> str:
    return hashlib.sha256(f"{weights}{optimizer}".encode()).hexdigest()


def _read_manifest(path: Path, step: int) -> dict[str, Any]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    try:
        manifest = json.loads(content)
        claimed = manifest.pop("sha256")
        good = hashlib.sha256(json_bytes(manifest)).hexdigest() == claimed
        good = good and json_bytes({**manifest, "sha256": claimed}) == content
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged: it is not the JSON that was written") from error
    if not good:
        raise DataError(f"{path} is damaged: its content does not agree with its own SHA-256")
    if manifest["schema"] != SCHEMA:
        raise DataError(f"{path} has schema {manifest['schema']}, and this version reads {SCHEMA}")
    if manifest["step"] != step:
        raise DataError(f"{path} is of step {manifest['step']}, and its folder says step {step}")
    return dict(manifest)
