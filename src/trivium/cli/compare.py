"""The command that holds models against each other: compare."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from trivium.cli.compare_runs import show_pair, show_wins
from trivium.cli.options import Data, Json
from trivium.cli.output import emit, note, table


def compare(
    experiment: Annotated[
        str | None,
        typer.Argument(metavar="EXPERIMENT|RUN_A", help="An experiment's name or path, or a run."),
    ] = None,
    other: Annotated[
        str | None, typer.Argument(metavar="RUN_B", help="A run, or predictions, to compare with RUN_A.")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="A new folder, or one to go on with.")
    ] = Path("comparison"),
    data: Data = None,
    tokens: Annotated[int | None, typer.Option("--tokens", metavar="N", help="Training tokens of each model.")] = None,
    flops: Annotated[float | None, typer.Option("--flops", metavar="N", help="Or: training FLOPs of each.")] = None,
    minutes: Annotated[float | None, typer.Option("--minutes", metavar="M", help="Or: training time of each.")] = None,
    seeds: Annotated[int | None, typer.Option("--seeds", metavar="N", help="Runs of each model.")] = None,
    how: Annotated[
        Literal["sequence", "processes", "ray"],
        typer.Option("--how", help="One after another, in processes of their own, or on a Ray cluster."),
    ] = "sequence",
    workers: Annotated[int, typer.Option("--workers", metavar="N", help="Trainings at a time.")] = 1,
    cell: Annotated[
        str | None,
        typer.Option("--cell", metavar="NAME", help="Make this training of the folder only: 'LSTM/seed-0'."),
    ] = None,
    suite: Annotated[
        str | None, typer.Option("--suite", metavar="S", help="Of two runs: the suite whose examples --data holds.")
    ] = None,
    wins_of: Annotated[
        Path | None, typer.Option("--table", metavar="F", help="Count wins in a table of systems and tasks (csv).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train models at equal cost and compare them. With RUN_A and RUN_B, compare two finished runs instead."""
    from trivium.errors import SettingsError

    if other is not None or suite is not None:
        show_pair(experiment, other, data or [], suite, as_json)
        return
    if wins_of is not None:
        show_wins(wins_of, as_json)
        return
    from trivium.verbs.compare import compare as run
    from trivium.verbs.compare import make_cell, plain

    if cell is not None:
        if experiment is not None or data or tokens or flops or minutes or seeds:
            raise SettingsError("--cell makes one training of the experiment that --out holds: give these two alone")
        one = make_cell(out, cell, note)
        emit(one, as_json, f"{one.contender}, seed {one.seed}: done")
        return
    made = run(
        experiment, out, data=data or (), tokens=tokens, flops=flops, minutes=minutes, seeds=seeds, how=how,
        workers=workers, tell=note,
    )  # fmt: skip
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
    lines += [each.sentence for each in made.wins if each.columns > 1]
    for failure in made.failures:
        note(f"{failure.name}, seed {failure.seed}{f', {failure.score}' if failure.score else ''}: {failure.why}")
    emit(plain(made), as_json, "\n".join([*lines, f"report: {made.report.resolve()}"]))
    if any(not failure.score for failure in made.failures):
        raise typer.Exit(1)
