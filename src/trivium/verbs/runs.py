"""``trivium runs``: the run directories below a folder, from the files in them. Nothing is loaded or changed.

Links below the folder are not followed, and what is no plain file is not opened: a folder of runs may hold what others
put there. Of a long course the last megabyte says where a run stands, read again only when it has grown.
"""

import fcntl
import json
import os
import re
import stat
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from trivium.errors import DataError

_DEPTH = 4
_RECIPE, METRICS = "trivium.toml", "metrics.jsonl"
_RECIPE_BYTES, _TAIL_BYTES = 1 << 20, 1 << 20
_HUGE = 1e300  # nothing that was measured; NaN and Infinity are not below it either


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
    tokens_per_second: float | None = None  # of the last log line


@dataclass(frozen=True)
class _Course:
    """What the lines of a run come to."""

    step: int = 0
    loss: float | None = None
    tokens_per_second: float | None = None
    result: bool = False  # a fine-tuning, which may stop early, is over


def runs(folder: str | Path = ".") -> list[RunSummary]:
    """The runs in a folder and the folders below it, the one last written first."""
    return [summary(path) for path in run_directories(folder)]


def run_directories(folder: str | Path = ".") -> list[Path]:
    """Where they are, the one last written first."""
    root = Path(folder)
    if not root.is_dir():
        raise DataError(f"{root} is not a folder: give one that holds runs")
    found = [(_last_written(path), path) for path in _directories(root, _DEPTH)]
    return [path for _, path in sorted(found, key=lambda each: (-each[0], str(each[1])))]


def read_plain(path: Path, start: int = 0, most: int | None = None) -> bytes:
    """Of a plain file that is no link; an ``OSError`` of any other."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(f"{path} is not a plain file")
    with open(handle, "rb") as file:
        file.seek(start)
        return file.read() if most is None else file.read(most)


def read_recipe(directory: Path) -> dict[str, Any]:
    """The resolved recipe of a run; an ``OSError`` or ``ValueError`` where it is damaged."""
    try:
        return tomllib.loads(read_plain(directory / _RECIPE, most=_RECIPE_BYTES).decode())
    except RecursionError as error:
        raise ValueError(f"{directory / _RECIPE} is nested too deeply") from error


def metric_lines(content: bytes) -> list[dict[str, Any]]:
    """The lines that are whole objects: the last one may be half written."""
    lines = []
    for line in content.splitlines():
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            lines.append(value)
    return lines


def _directories(folder: Path, depth: int) -> Iterator[Path]:
    if _is_plain(folder / _RECIPE):
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


def _is_plain(path: Path) -> bool:
    return (found := _status(path)) is not None and stat.S_ISREG(found.st_mode)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except OSError:
        return None


def _last_written(directory: Path) -> float:
    files = [_status(directory / name) for name in (_RECIPE, METRICS, "manifest.json")]
    return max((each.st_mtime for each in files if each is not None), default=0.0)


def summary(directory: Path) -> RunSummary:
    """What the files of one run say."""
    changed = datetime.fromtimestamp(_last_written(directory)).isoformat(sep=" ", timespec="seconds")
    try:
        recipe = read_recipe(directory)
    except (OSError, ValueError):
        return RunSummary(directory, "-", "-", None, None, None, "damaged", changed)
    steps = _table(recipe, "training").get("steps")
    steps = steps if isinstance(steps, int) else None
    file = _status(directory / METRICS)
    course = _course(directory / METRICS, file.st_size, file.st_mtime_ns) if file is not None else _Course()
    done = course.result or bool(steps and course.step >= steps)
    return RunSummary(
        directory=directory,
        model=_model(recipe),
        objective=str(_table(recipe, "objective").get("kind") or _table(recipe, "task").get("kind")
                      or _table(recipe, "method").get("kind") or "-"),  # fmt: skip
        step=max(course.step, _saved(directory / "checkpoints")),
        steps=steps,
        loss=course.loss,
        state="running" if _locked(directory / ".lock") else "done" if done else "stopped",
        changed=changed,
        tokens_per_second=course.tokens_per_second,
    )


def _saved(checkpoints: Path) -> int:
    """The last step that was saved, which after Ctrl-C is later than the last one that was logged."""
    try:
        names = [each.name for each in os.scandir(checkpoints) if each.is_dir(follow_symlinks=False)]
    except OSError:
        return 0
    return max((int(name[5:]) for name in names if re.fullmatch(r"step-[0-9]{8}", name)), default=0)


def _model(recipe: dict[str, Any]) -> str:
    model = recipe.get("model")
    if isinstance(model, str):
        return model
    table = _table(recipe, "model")
    return " ".join(str(table[name]) for name in ("family", "size") if name in table) or "-"


def _table(recipe: dict[str, Any], name: str) -> dict[str, Any]:
    table = recipe.get(name)
    return table if isinstance(table, dict) else {}


@lru_cache(maxsize=4096)
def _course(path: Path, size: int, changed: int) -> _Course:
    """``changed``: in nanoseconds, so that a file that was written again is read again."""
    start = max(0, size - _TAIL_BYTES)
    try:
        content = read_plain(path, start)
    except OSError:
        return _Course()
    lines = metric_lines(content.partition(b"\n")[2] if start else content)
    evaluated = _last(lines, "evaluation", "loss")
    return _Course(
        step=max((line["step"] for line in lines if type(line.get("step")) is int), default=0),
        loss=_last(lines, "train", "loss") if evaluated is None else evaluated,
        tokens_per_second=_last(lines, "train", "tokens_per_second"),
        result=any(line.get("kind") == "result" for line in lines),
    )


def _last(lines: list[dict[str, Any]], kind: str, name: str) -> float | None:
    for line in reversed(lines):
        if line.get("kind") == kind and type(line.get(name)) in (int, float) and abs(line[name]) < _HUGE:
            return float(line[name])
    return None


def _locked(path: Path) -> bool:
    """Whether a living process holds the run."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False
