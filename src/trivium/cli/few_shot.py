"""What ``trivium evaluate --shots`` prints: a line for each way and number of examples."""

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from trivium.cli.options import Precision, columns_of
from trivium.cli.output import emit, note, table, write_page

if TYPE_CHECKING:
    from trivium.verbs.few_shot import FewShot

Settings = TypeVar("Settings")


def run_few_shot(
    models: list[str], data: Path | None, train: Path | None, shots: str, suite: str | None, task: str | None,
    column: list[str] | None, format: str | None, sets: list[str], undescribed: bool, beside: str | None,
    tuning: list[str], limit: int | None, precision: Precision, device: str, tokens: int,
    answers: int, html: Path | None, as_json: bool,
) -> None:  # fmt: skip
    from trivium.durable import check_file
    from trivium.errors import SettingsError
    from trivium.evaluation.in_context import InContext
    from trivium.verbs.few_shot import few_shot
    from trivium.verbs.few_shot_data import shots_of
    from trivium.verbs.few_shot_page import few_shot_page
    from trivium.verbs.tuning import FineTuning

    if not models:
        raise SettingsError("--shots needs a language model: give --model")
    if html is not None:
        check_file(html)
    made = few_shot(
        models,
        data,
        train,
        shots=shots_of(shots),
        suite=suite,
        task=task,
        columns=columns_of(column),
        format=format,
        settings=settings_of(InContext, sets),
        undescribed=undescribed,
        beside=[each.strip() for each in beside.split(",")] if beside else (),
        tuning=settings_of(FineTuning, tuning),
        limit=limit,
        precision=precision,
        device=device,
        tokens=tokens,
        tell=note,
    )
    for each in made.notes:
        note(each)
    if html is not None:
        write_page(html, few_shot_page(made))
    surest = [(question, said.answer, said.hits, said.probability) for question, said in made.surest(answers)]
    rows = [(_line(q), _line(a), "yes" if max(hits.values()) == 1 else "no", f"{p:.1%}") for q, a, hits, p in surest]
    listed = [table(rows, ("question", "answer", "right", "probability"))] if rows else []
    emit(made, as_json, "\n\n".join([few_shot_text(made), *listed]))


def _line(text: str) -> str:
    """At most 60 characters in one line."""
    joined = " ".join(text.split())
    return joined if len(joined) <= 60 else f"{joined[:59]}…"


def run_tasks(
    models: list[str], tasks: Path, shots: str, sets: list[str], beside: str | None, tuning: list[str],
    limit: int | None, precision: Precision, device: str, tokens: int, html: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    from trivium.durable import check_file
    from trivium.errors import SettingsError
    from trivium.evaluation.in_context import InContext
    from trivium.verbs.few_shot_data import shots_of
    from trivium.verbs.few_shot_page import tasks_page
    from trivium.verbs.few_shot_tasks import few_shot_tasks
    from trivium.verbs.tuning import FineTuning

    if not models:
        raise SettingsError("--shots needs a language model: give --model")
    if html is not None:
        check_file(html)
    made = few_shot_tasks(
        models, tasks, shots=shots_of(shots), settings=settings_of(InContext, sets),
        beside=[each.strip() for each in beside.split(",")] if beside else (), tuning=settings_of(FineTuning, tuning),
        limit=limit, precision=precision, device=device, tokens=tokens, tell=note,
    )  # fmt: skip
    for one in made.tasks:
        for each in one.notes:
            note(each)
    if html is not None:
        write_page(html, tasks_page(made))
    rows = [(each.way, each.model, each.shots, f"{each.value:.4f}", each.tasks) for each in made.means]
    means = table(rows, ("way", "model", "examples", "mean", "tasks"))
    emit(made, as_json, "\n\n".join([*map(few_shot_text, made.tasks), means]))


def settings_of(kind: "type[Settings]", assignments: list[str]) -> "Settings":
    """``--set A=B`` of a frozen dataclass."""
    from trivium.settings import Layer, build, merge, override

    given, _ = merge([Layer(each, override(kind, each)) for each in assignments])
    return build(kind, given)


def few_shot_text(made: "FewShot") -> str:
    """The table and how it was computed."""
    from trivium.verbs.few_shot_page import interval

    several = len({each.model for each in made.ways if each.model}) > 1
    others = list(dict.fromkeys(name for each in made.ways if each.draws and each.model for name in each.others))
    head = ("way", *(("model",) if several else ()), "examples", made.metric, "95% interval", "deviation", *others)
    rows = [
        (
            each.way, *((each.model,) if several else ()), each.shots, f"{each.score.value:.4f}", interval(each),
            "-" if each.deviation is None else f"{each.deviation:.4f}",
            *(f"{each.others[name]:.4f}" if name in each.others else "-" for name in others),
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
