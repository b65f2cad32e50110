"""The folder of a run: a Hugging Face model directory at its root, plus recipe, metrics, checkpoints and a manifest.

trivium.toml      the resolved recipe, written first: what makes a folder a run
config.json, tokenizer.json, README.md, ...   whatever the caller puts there, fixed for the run
model.safetensors the newest checkpoint's weights (a hard link where the file system has them)
metrics.jsonl     a line per log interval, evaluation and sample
manifest.json     SHA-256 of the files above, fingerprints
checkpoints/      step-00000100/ ...
data/             tokenised text
"""

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trivium.durable import file_digest, json_bytes, replace_file, sync_folder
from trivium.errors import DataError, RefusedError, SettingsError, StoppedError
from trivium.training.checkpoint import Checkpoints
from trivium.training.lock import locked
from trivium.training.metrics_file import MetricsFile

RECIPE = "trivium.toml"
CHAT_TEMPLATE = "chat_template.jinja"  # of a run from a model that was taught to talk
_LOCK = ".lock"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_UNLISTED = {"manifest.json", "metrics.jsonl"}  # the manifest itself, and what grows between two of them


class RunDirectory:
    """Paths and durable writes of one run; made by :func:`open_run`, which holds its lock."""

    def __init__(self, path: Path, keep: int) -> None:
        self.path = path
        self.data = path / "data"
        self.checkpoints = Checkpoints(path / "checkpoints", keep)
        self.metrics = MetricsFile(path / "metrics.jsonl")

    @property
    def recipe(self) -> Path:
        return self.path / RECIPE

    def write(self, name: str, text: str) -> None:
        """A file at the root, whole and durable."""
        try:
            replace_file(self.path / name, text.encode())
        except OSError as error:
            raise StoppedError(f"{self.path / name} could not be written: {error.strerror}") from error

    def publish(self, step: int, fingerprints: Mapping[str, Any]) -> None:
        """Makes the weights of a checkpoint those of the model directory, and renews the manifest."""
        source, target = self.checkpoints.path(step) / "model.safetensors", self.path / "model.safetensors"
        partial = self.path / ".model.safetensors.partial"
        try:
            partial.unlink(missing_ok=True)
            try:
                os.link(source, partial)
            except OSError:  # no hard links here
                shutil.copyfile(source, partial)
                with open(partial, "rb") as file:
                    os.fsync(file.fileno())
            os.replace(partial, target)
            partial.unlink(missing_ok=True)  # a rename of one name of a file to another of its names does nothing
            sync_folder(self.path)
            weights = json.loads((source.parent / "manifest.json").read_bytes())["files"][source.name]
            self.write_manifest(step, fingerprints, {source.name: weights})
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise StoppedError(
                f"step {step} is saved in {source.parent}, but {target} could not be renewed: {error.strerror}: "
                "make room, then resume"
            ) from error

    def write_manifest(
        self, step: int, fingerprints: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        """Size and SHA-256 of every file at the root (``known``: those found already), and what the caller says that
        it all depends on."""
        files = {
            entry.name: (known or {}).get(entry.name) or {"bytes": entry.stat().st_size, "sha256": file_digest(entry)}
            for entry in sorted(self.path.iterdir())
            if entry.is_file() and not entry.name.startswith(".") and entry.name not in _UNLISTED
        }
        content = {"schema": 1, "step": step, "fingerprints": dict(fingerprints), "files": files}
        replace_file(self.path / "manifest.json", json_bytes(content))


@contextmanager
def open_run(path: Path, *, resume: bool, keep: int) -> Iterator[RunDirectory]:
    """A new run's folder, or with ``resume`` an old one's, for this process alone.

    A new run that is refused before its first checkpoint (bad data, impossible settings) leaves nothing behind, so
    that the corrected command may name the same folder.
    """
    if resume and not (path / RECIPE).is_file():
        raise SettingsError(f"{path} holds no run to resume (there is no {RECIPE}): give the folder that --out named")
    if not resume:
        _check_free(path)
    made = not path.exists()
    directory = RunDirectory(path, keep)
    try:
        with contextlib.ExitStack() as stack:
            try:
                path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise SettingsError(f"{path} cannot be made: {error.strerror}; choose another --out") from error
            try:
                stack.enter_context(locked(path / _LOCK))
                if not resume:
                    _check_free(path)  # another process may have come first
                directory.checkpoints.tidy()
            except OSError as error:
                raise SettingsError(f"{path} cannot be written: {error.strerror}; choose another --out") from error
            with contextlib.suppress(OSError):
                for partial in path.glob(".*.partial"):
                    partial.unlink()
            try:
                yield directory
            except (DataError, RefusedError, SettingsError):
                if not resume and not directory.checkpoints.steps():
                    _discard(path)
                raise
            except OSError as error:
                if error.errno not in _FULL:
                    raise
                then = f"go on with --resume {path}" if directory.recipe.exists() else "start again"
                raise StoppedError(f"{error.strerror} in {path}: make room, then {then}") from error
    finally:
        if made:
            with contextlib.suppress(OSError):  # it holds something, as it should
                path.rmdir()


def _discard(path: Path) -> None:
    """What a run writes before its first checkpoint, and nothing else."""
    for name in ("data", "checkpoints"):
        shutil.rmtree(path / name, ignore_errors=True)
    for name in (RECIPE, CHAT_TEMPLATE, "tokenizer.json", "tokenizer_config.json"):
        with contextlib.suppress(OSError):
            (path / name).unlink()


def _check_free(path: Path) -> None:
    if not path.exists():
        return
    if not path.is_dir():
        raise SettingsError(f"{path} is a file: choose another --out")
    if (path / RECIPE).exists():
        raise SettingsError(f"{path} already holds a run: go on with it by --resume {path}, or choose another --out")
    # A start that was killed before it wrote the recipe left nothing but these.
    if foreign := [e.name for e in path.iterdir() if e.name not in (_LOCK, "checkpoints") and ".partial" not in e.name]:
        raise SettingsError(f"{path} is not empty (it holds {sorted(foreign)[0]}): choose another --out")
