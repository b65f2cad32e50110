"""What ``trivium evaluate --shots`` prints: a line for each way and number of examples."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from trivium.cli.options import Precision, columns_of
from trivium.cli.output import emit, note, table, write_page

if TYPE_CHECKING:
    from trivium.verbs.few_shot import FewShot
    from trivium.verbs.few_shot_tasks import Aggregate

Settings = TypeVar("Settings")


def run_few_shot(
    models: list[str], data: Path | None, train: Path | None, shots: str, suite: str | None, task: str | None,
    tasks: Path | None, column: list[str] | None, format: str | None, sets: list[str], undescribed: bool,
    beside: str | None, tuning: list[str], limit: int | None, precision: Precision, device: str, tokens: int,
    answers: int, html: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """One task, or all of the file ``tasks``."""
    from trivium.durable import check_file
    from trivium.errors import SettingsError
    from trivium.evaluation.in_context import InContext
    from trivium.verbs import few_shot_page as pages
    from trivium.verbs.few_shot import few_shot
    from trivium.verbs.few_shot_data import shots_of
    from trivium.verbs.few_shot_tasks import few_shot_tasks
    from trivium.verbs.tuning import FineTuning

    if not models:
        raise SettingsError("--shots needs a language model: give --model")
    if tasks is not None and (data or train or suite or task or column or format or undescribed or answers):
        raise SettingsError("a file of tasks says which data each has: leave out --data and what describes it")
    if html is not None:
        check_file(html)
    how: dict[str, Any] = {
        "shots": shots_of(shots), "settings": settings_of(InContext, sets),
        "beside": [each.strip() for each in beside.split(",")] if beside else (),
        "tuning": settings_of(FineTuning, tuning), "limit": limit, "precision": precision, "device": device,
        "tokens": tokens, "tell": note,
    }  # fmt: skip
    if tasks is not None:
        several = few_shot_tasks(models, tasks, **how)
        made: FewShot | Aggregate = several
        ones, page = several.tasks, partial(pages.tasks_page, several)
        means = [(each.way, each.model, each.shots, f"{each.value:.4f}", each.tasks) for each in several.means]
        last = [table(means, ("way", "model", "examples", "mean", "tasks"))]
    else:
        one = few_shot(
            models, data, train, suite=suite, task=task, columns=columns_of(column), format=format,
            undescribed=undescribed, **how,
        )  # fmt: skip
        made, ones, page = one, (one,), partial(pages.few_shot_page, one)
        surest = [(_line(q), _line(s.answer), "yes" if max(s.hits.values()) == 1 else "no", f"{s.probability:.1%}")
                  for q, s in one.surest(answers)]  # fmt: skip
        last = [table(surest, ("question", "answer", "right", "probability"))] if surest else []
    for each in ones:
        for remark in each.notes:
            note(remark)
    if html is not None:
        write_page(html, page())
    emit(made, as_json, "\n\n".join([*map(few_shot_text, ones), *last]))


def _line(text: str) -> str:
    """At most 60 characters in one line."""
    joined = " ".join(text.split())
    return joined if len(joined) <= 60 else f"{joined[:59]}…"


def settings_of(kind: "type[Settings]", assignments: list[str]) -> "Settings":
    """``--set A=B`` of a frozen dataclass."""
    from trivium.settings import Layer, build, merge, override

    given, _ = merge([Layer(each, override(kind, each)) for each in assignments])
    return build(kind, given)


def few_shot_text(made: "FewShot") -> str:
    """The table and how it was computed."""
    several = len({each.model for each in made.ways if each.model}) > 1
    others = list(dict.fromkeys(name for each in made.ways if each.draws and each.model for name in each.others))
    head = ("way", *(("model",) if several else ()), "examples", made.metric, "95% interval", "deviation", *others)
    rows = [
        (
            each.way, *((each.model,) if several else ()), each.shots, f"{each.score.value:.4f}", each.score.interval,
            "-" if each.deviation is None else f"{each.deviation:.4f}",
            *(f"{score.value:.4f} {score.interval}" if score else "-" for score in map(each.others.get, others)),
        )
        for each in made.ways
    ]  # fmt: skip
    words = ", ".join(f"{label}: {word!r}" for label, word in made.words.items())
    return "\n".join([
        f"{made.task}: {made.rows} rows, {made.pool} examples to show",
        table(rows, head),
        *([f"words: {words}"] if words else []),
        "|".join(f"{name}:{value}" for name, value in made.signature.items()),
    ])
