"""``trivium runs``: the run directories below a folder, from the files in them. Nothing is loaded or changed."""

import fcntl
import json
import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from trivium.errors import DataError

_DEPTH = 4
_RECIPE = "trivium.toml"


@dataclass(frozen=True)
class RunSummary:
    """One run. ``state``: "running", "done", "stopped" (it can be resumed) or "damaged"."""

    directory: Path
    model: str  # family and size, or what was fine-tuned
    objective: str
    step: int | None
    steps: int | None
    loss: float | None  # of the last evaluation, else of the last log line
    state: str
    changed: str  # when it was last written, local time


def runs(folder: str | Path = ".") -> list[RunSummary]:
    """The runs in a folder and the folders below it, the one last written first."""
    root = Path(folder)
    if not root.is_dir():
        raise DataError(f"{root} is not a folder: give one that holds runs")
    found = [(_last_written(path), path) for path in _directories(root, _DEPTH)]
    return [_summary(path, when) for when, path in sorted(found, key=lambda each: (-each[0], str(each[1])))]


def _directories(folder: Path, depth: int) -> Iterator[Path]:
    if (folder / _RECIPE).is_file():
        yield folder
        return
    if depth == 0:
        return
    try:
        below = sorted(entry.path for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False))
    except OSError:
        return
    for path in below:
        if not os.path.basename(path).startswith("."):
            yield from _directories(Path(path), depth - 1)


def _last_written(directory: Path) -> float:
    files = [directory / name for name in (_RECIPE, "metrics.jsonl", "manifest.json")]
    return max(path.stat().st_mtime for path in files if path.exists())


def _summary(directory: Path, when: float) -> RunSummary:
    changed = datetime.fromtimestamp(when).isoformat(sep=" ", timespec="seconds")
    try:
        recipe = tomllib.loads((directory / _RECIPE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return RunSummary(directory, "-", "-", None, None, None, "damaged", changed)
    steps = _table(recipe, "training").get("steps")
    lines = _metrics(directory / "metrics.jsonl")
    step = max((line["step"] for line in lines if isinstance(line.get("step"), int)), default=0)
    done = any(line.get("kind") == "result" for line in lines)  # a fine-tuning, which may stop early
    done = done or bool(steps and step >= steps)
    return RunSummary(
        directory=directory,
        model=_model(recipe),
        objective=str(_table(recipe, "objective").get("kind") or _table(recipe, "task").get("kind")
                      or _table(recipe, "method").get("kind") or "-"),  # fmt: skip
        step=step,
        steps=steps if isinstance(steps, int) else None,
        loss=_loss(lines),
        state="running" if _locked(directory / ".lock") else "done" if done else "stopped",
        changed=changed,
    )


def _model(recipe: dict[str, Any]) -> str:
    model = recipe.get("model")
    if isinstance(model, str):
        return model
    table = _table(recipe, "model")
    return " ".join(str(table[name]) for name in ("family", "size") if name in table) or "-"


def _table(recipe: dict[str, Any], name: str) -> dict[str, Any]:
    table = recipe.get(name)
    return table if isinstance(table, dict) else {}


def _metrics(path: Path) -> list[dict[str, Any]]:
    """The lines that are whole: the last one may be half written."""
    try:
        content = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    lines = []
    for line in content.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            lines.append(value)
    return lines


def _loss(lines: list[dict[str, Any]]) -> float | None:
    for kind in ("evaluation", "train"):
        for line in reversed(lines):
            if line.get("kind") == kind and isinstance(line.get("loss"), int | float):
                return float(line["loss"])
    return None


def _locked(path: Path) -> bool:
    """Whether a living process holds the run."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
