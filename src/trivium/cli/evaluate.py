"""The command that scores models on published suites: evaluate."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trivium.cli.options import ColumnNames, Device, Format, Json, Precision, columns_of
from trivium.cli.output import emit, note, table

if TYPE_CHECKING:
    from trivium.evaluation import Result, Score
    from trivium.verbs.evaluate import Evaluation


def evaluate(
    suite: Annotated[str, typer.Option("--suite", metavar="S", help="glue, sst2, squad2, wikitext2, blimp ...")],
    data: Annotated[Path, typer.Option("--data", metavar="F", help="The suite's file; of a group, the folder.")],
    model: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="M", help="A model; of a group, sst2=DIR. Several stand side by side."),
    ] = None,
    predictions: Annotated[
        list[str] | None,
        typer.Option("--predictions", metavar="F", help="What a model said, instead of it; of a group, sst2=F."),
    ] = None,
    baselines: Annotated[
        Path | None, typer.Option("--baselines", metavar="F", help="Training data of simple methods to show beside it.")
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A=B", help="A setting of the suite, such as stride=256. Repeatable."),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="Only so many rows, or lines of a text.")] = None,
    tokens: Annotated[int, typer.Option("--tokens", help="Tokens in a batch; the scores do not depend on it.")] = 8192,
    column: ColumnNames = None,
    format: Format = None,
    precision: Precision = "float32",
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """A suite's published scores, with intervals and how they were computed."""
    from trivium.verbs.evaluate import evaluate as run
    from trivium.verbs.evaluate import named_models, suite_options

    given = named_models(predictions or [])
    made = run(
        named_models(model or []),
        suite,
        data,
        predictions=given or None,
        baselines=baselines,
        columns=columns_of(column),
        format=format,
        options=suite_options(suite, sets or []),
        limit=limit,
        precision=precision,
        device=device,
        tokens=tokens,
        tell=note,
    )
    for each in made.notes:
        note(each)
    emit(made, as_json, "\n\n".join(_parts(made)))


def _parts(made: "Evaluation") -> list[str]:
    found = [_result(result) for result in made.results]
    if made.averages:
        found.append(table([_line(name, score) for name, score in made.averages.items()], _HEAD))
    if made.best:
        found.append("best: " + "; ".join(f"{name}: {', '.join(models)}" for name, models in made.best.items()))
    if made.table:
        columns = list(next(iter(made.table.values())))
        found.append(table([(column, *_cells(made.table, column)) for column in columns], ("", *made.table)))
        found.append("\n".join(each.sentence() for each in made.duels))
    return found


_HEAD = ("score", "value", "95% interval")


def _result(result: "Result") -> str:
    rows = [(name, *_line(name, score)[1:], *_beside(result, name)) for name, score in result.scores.items()]
    head = (*_HEAD, *(baseline.name for baseline in result.baselines))
    skipped = "".join(f", {count:,} skipped ({why})" for why, count in result.skipped.items())
    lines = [
        f"{result.suite}: {result.model}, {result.scored:,} of {result.read:,} rows scored{skipped}",
        table(rows, head),
        *result.notes,
        result.signed,
    ]
    return "\n".join(lines)


def _line(name: str, score: "Score") -> tuple[str, str, str]:
    if score.low is None or score.high is None:
        return name, f"{score.value:.4f}", "-"
    return name, f"{score.value:.4f}", f"[{score.low:.4f}, {score.high:.4f}]"


def _beside(result: "Result", name: str) -> list[str]:
    held = [baseline.scores.get(name) for baseline in result.baselines]
    return ["-" if score is None else f"{score.value:.4f}" for score in held]


def _cells(rows: Mapping[str, Mapping[str, float | None]], column: str) -> list[str]:
    return ["-" if row[column] is None else f"{row[column]:.2f}" for row in rows.values()]
