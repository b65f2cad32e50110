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
    suite: Annotated[
        str | None, typer.Option("--suite", metavar="S", help="glue, sst2, squad2, wikitext2, blimp ...")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="F", help="The suite's file; of a group, the folder.")
    ] = None,
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
    shots: Annotated[
        str | None,
        typer.Option("--shots", metavar="K,K", help="Ask in prompts with this many examples: 0,1,16,max. See --train."),
    ] = None,
    train: Annotated[
        Path | None, typer.Option("--train", metavar="F", help="With --shots: where its examples come from.")
    ] = None,
    task: Annotated[
        str | None, typer.Option("--task", help="With --shots: sequence, choices, answers or rewriting.")
    ] = None,
    beside: Annotated[
        str | None, typer.Option("--beside", metavar="W,W", help="With --shots: instruction, finetune, lora.")
    ] = None,
    tuning: Annotated[
        list[str] | None,
        typer.Option("--tuning", metavar="A=B", help="A setting of those that learn beside, such as steps=60."),
    ] = None,
    undescribed: Annotated[
        bool, typer.Option("--undescribed", help="With --shots: also without the task's description.")
    ] = False,
    tasks: Annotated[
        Path | None, typer.Option("--tasks", metavar="FILE", help="With --shots: a TOML file of several tasks.")
    ] = None,
    answers: Annotated[
        int, typer.Option("--answers", metavar="N", help="With --shots: also the N surest answers.")
    ] = 0,
    html: Annotated[Path | None, typer.Option("--html", help="With --shots: curve and table as a page.")] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A=B", help="A setting of the suite, such as stride=256. Repeatable."),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="At most this many rows, or lines of a text.")] = None,
    tokens: Annotated[int, typer.Option("--tokens", help="Tokens in a batch; the scores do not depend on it.")] = 8192,
    column: ColumnNames = None,
    format: Format = None,
    precision: Precision = "float32",
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Score a model on a published suite. Scores have intervals and say how they were made; --shots asks in prompts."""
    from trivium.errors import SettingsError

    if shots is None:
        for name, given in (("--train", train), ("--task", task), ("--beside", beside), ("--tuning", tuning),
                            ("--undescribed", undescribed), ("--tasks", tasks), ("--answers", answers),
                            ("--html", html)):  # fmt: skip
            if given:
                raise SettingsError(f"{name} is for prompts with examples: say how many with --shots")
        _suite(suite, data, model or [], predictions or [], baselines, sets or [], limit, tokens, columns_of(column),
               format, precision, device, as_json)  # fmt: skip
        return
    if predictions or baselines:
        raise SettingsError("--shots asks a language model: leave out --predictions and --baselines")
    from trivium.cli.few_shot import run_few_shot

    run_few_shot(
        model or [], data, train, shots, suite, task, tasks, column, format, sets or [], undescribed, beside,
        tuning or [], limit, precision, device, tokens, answers, html, as_json,
    )  # fmt: skip


def _suite(
    suite: str | None, data: Path | None, model: list[str], predictions: list[str], baselines: Path | None,
    sets: list[str], limit: int | None, tokens: int, columns: dict[str, str], format: Format, precision: Precision,
    device: Device, as_json: bool,
) -> None:  # fmt: skip
    from trivium.errors import SettingsError
    from trivium.verbs.evaluate import evaluate as run
    from trivium.verbs.suite_options import named_models, suite_options

    if suite is None:
        raise SettingsError("give --suite, or --shots to ask a labelled file in prompts")
    given = named_models(predictions)
    made = run(
        named_models(model),
        suite,
        data,
        predictions=given or None,
        baselines=baselines,
        columns=columns,
        format=format,
        options=suite_options(suite, sets),
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
    return name, f"{score.value:.4f}", score.interval


def _beside(result: "Result", name: str) -> list[str]:
    held = [baseline.scores.get(name) for baseline in result.baselines]
    return ["-" if score is None else f"{score.value:.4f}" for score in held]


def _cells(rows: Mapping[str, Mapping[str, float | None]], column: str) -> list[str]:
    return ["-" if row[column] is None else f"{row[column]:.2f}" for row in rows.values()]
