"""Several tasks asked in prompts, and their mean for each number of examples (Brown et al. 2020, figure 1.3: the
unweighted mean of accuracy over benchmarks, by shots and by size of model)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from statistics import mean
from typing import Any

from trivium.errors import DataError, SettingsError
from trivium.evaluation.in_context import InContext
from trivium.evaluation.scorer import TOKENS
from trivium.settings import build, dump, read_toml
from trivium.verbs.few_shot import MAJORITY, AnyModel, FewShot, few_shot
from trivium.verbs.load import LanguageModel, Precision, load
from trivium.verbs.tuning import FineTuning


@dataclass(frozen=True)
class TaskEntry:
    """One task of a file of tasks. Paths are relative to it; ``settings``: what differs from those of all tasks."""

    name: str
    data: str | None = None
    train: str | None = None
    suite: str | None = None
    task: str | None = None
    format: str | None = None
    limit: int | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Mean:
    """One way of one model, with so many examples, over all ``tasks`` that have a score of it."""

    model: str
    way: str
    shots: int
    value: float
    tasks: int


@dataclass(frozen=True)
class Aggregate:
    """``means``: unweighted, of each task's main score."""

    tasks: tuple[FewShot, ...]
    names: tuple[str, ...]
    means: tuple[Mean, ...]


def few_shot_tasks(
    model: AnyModel | Sequence[AnyModel],
    tasks: str | Path,
    *,
    shots: Sequence[int | None] = (0, 1, 4, 16),
    settings: InContext | None = None,
    beside: Sequence[str] = (),
    tuning: FineTuning | None = None,
    limit: int | None = None,
    precision: Precision = "float32",
    device: str = "auto",
    tokens: int = TOKENS,
    tell: Callable[[str], None] = lambda text: None,
) -> Aggregate:
    """``tasks``: a TOML file with a table ``[[task]]`` for each; ``limit``: of a task that has none of its own."""
    path = Path(tasks)
    entries = read_tasks(path)
    given: list[AnyModel] = list(model) if isinstance(model, list | tuple) else [model]  # type: ignore[list-item]
    models = [
        each if isinstance(each, LanguageModel) else load(each, precision=precision, device=device) for each in given
    ]
    named = {id(one): str(each.directory if isinstance(each, LanguageModel) else each)
             for one, each in zip(models, given, strict=True)}  # fmt: skip
    common = dump(settings or InContext())
    made = []
    for entry in entries:
        own = build(InContext, {**common, **entry.settings})
        one = few_shot(
            models, _beside(path, entry.data), _beside(path, entry.train), shots=shots, suite=entry.suite,
            task=entry.task, columns=entry.columns, format=entry.format, settings=own, beside=beside, tuning=tuning,
            limit=entry.limit or limit, precision=precision, device=device, tokens=tokens, tell=tell,
            names=list(named.values()),
        )  # fmt: skip
        made.append(one)
    return Aggregate(tuple(made), tuple(entry.name for entry in entries), means_of(made))


def means_of(made: Sequence[FewShot]) -> tuple[Mean, ...]:
    """Of each task's main score, by model, way and number of examples."""
    values: dict[tuple[str, str, int], list[float]] = {}
    for one in made:
        for way in one.ways:
            values.setdefault((way.model, way.way, way.shots), []).append(way.score.value)
    return tuple(Mean(*key, mean(each), len(each)) for key, each in values.items() if key[1] != MAJORITY)


def read_tasks(path: Path) -> list[TaskEntry]:
    """Checked, each with a name of its own."""
    table = read_toml(path)
    unknown = [name for name in table if name != "task"]
    listed = table.get("task")
    if unknown or not isinstance(listed, list) or not listed:
        wrong = f"has {unknown[0]!r}" if unknown else "has no [[task]]"
        raise SettingsError(f"{path} {wrong}: it holds a table [[task]] for each task, with name, data and train")
    entries = []
    for number, each in enumerate(listed, 1):
        try:
            entries.append(build(TaskEntry, each))
        except SettingsError as problem:
            raise SettingsError(f"{path}, task {number}: {problem}") from None
    twice = [entry.name for entry in entries if [other.name for other in entries].count(entry.name) > 1]
    if twice:
        raise SettingsError(f"{path} has two tasks {twice[0]!r}: give each a name of its own")
    known = {each.name for each in fields(InContext)}
    for entry in entries:
        if strange := [name for name in entry.settings if name not in known]:
            raise SettingsError(f"{path}, task {entry.name!r}: there is no setting {strange[0]!r}")
        for file in (entry.data, entry.train):
            if file is not None and not (path.parent / file).exists():
                raise DataError(f"{path}, task {entry.name!r}: {file} is not there: check the name")
    return entries


def _beside(path: Path, file: str | None) -> Path | None:
    return None if file is None else path.parent / file
