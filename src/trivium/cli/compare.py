"""The command that holds models against each other: compare."""

from pathlib import Path
from statistics import mean
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
    seeds: Annotated[int | None, typer.Option("--seeds", metavar="N", help="Runs of each model.")] = None,
    as_json: Json = False,
) -> None:
    """Train several models on the same text and tokens, and compare them in figures and a report."""
    from trivium.verbs.compare import compare as run
    from trivium.verbs.compare import plain

    made = run(experiment, out, data=data or (), tokens=tokens, seeds=seeds, tell=note)
    rows = [
        (s.name, s.parameters, mean(s.loss), mean(s.perplexity), mean(s.bits_per_byte), round(s.tokens_per_second))
        for s in made.standings
    ]
    lines = [table(rows, ("model", "parameters", "loss", "perplexity", "bits/byte", "tokens/s"))]
    if made.ngrams:
        found = made.ngrams
        lines.append(f"n-grams: perplexity {found['perplexity']:.4g}, {found['bits_per_byte']:.4g} bits a byte")
    for each in made.differences:
        low, high = each.nats.low, each.nats.high
        spread = f", 95 % interval over seeds [{low:+.3f}, {high:+.3f}]" if made.seeds > 1 else " (one seed)"
        lines.append(f"{each.first} minus {each.second}: {each.nats.value:+.3f} nats a token{spread}")
    emit(plain(made), as_json, "\n".join([*lines, f"report: {made.report.resolve()}"]))
