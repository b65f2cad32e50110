"""The command that holds models against each other: compare."""

from pathlib import Path
from typing import Annotated

import typer

from trivium.cli.options import Data, Json
from trivium.cli.output import emit, note, table


def compare(
    experiment: Annotated[
        str | None, typer.Argument(metavar="[EXPERIMENT]", help="An experiment's name, or the path of one.")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="A new folder, or that of a comparison to go on with.")
    ] = Path("comparison"),
    data: Data = None,
    tokens: Annotated[int | None, typer.Option("--tokens", metavar="N", help="Training tokens of each model.")] = None,
    flops: Annotated[float | None, typer.Option("--flops", metavar="N", help="Or: training FLOPs of each.")] = None,
    minutes: Annotated[float | None, typer.Option("--minutes", metavar="M", help="Or: training time of each.")] = None,
    seeds: Annotated[int | None, typer.Option("--seeds", metavar="N", help="Runs of each model.")] = None,
    cell: Annotated[
        str | None, typer.Option("--cell", metavar="NAME", help="Make this one only, such as 'LSTM/seed-0'.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train several models on the same text at equal cost, and compare them in figures, words and a report."""
    from trivium.verbs.compare import compare as run
    from trivium.verbs.compare import plain

    made = run(
        experiment, out, data=data or (), tokens=tokens, flops=flops, minutes=minutes, seeds=seeds, cell=cell, tell=note
    )
    rows = []
    for s in made.standings:
        means = [s.means.get(column.key) for column in made.columns]
        shown = [c.spelt(m.value) if m else None for c, m in zip(made.columns, means, strict=True)]
        rows.append((s.name, len(s.seeds), s.parameters or None, s.tokens or None, *shown))
    lines = [table(rows, ("model", "seeds", "parameters", "tokens", *(column.title for column in made.columns)))]
    if made.ngrams:
        found = made.ngrams
        lines.append(f"n-grams: perplexity {found['perplexity']:.4g}, {found['bits_per_byte']:.4g} bits a byte")
    lines += [each.verdict for each in made.differences]
    for failure in made.failures:
        note(f"{failure.name}, seed {failure.seed}{f', {failure.score}' if failure.score else ''}: {failure.why}")
    emit(plain(made), as_json, "\n".join([*lines, f"report: {made.report.resolve()}"]))
    if any(not failure.score for failure in made.failures) and cell is None:
        raise typer.Exit(1)
