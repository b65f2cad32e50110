"""The command that does everything once: quickstart."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from trivium.cli.options import Data, Json
from trivium.cli.output import emit, note


def quickstart(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="A new folder for all of it.")] = Path("quickstart"),
    minutes: Annotated[float, typer.Option("--minutes", metavar="M", help="About how long, on two cores.")] = 6.0,
    data: Data = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the weights, the order and the noise.")] = 0,
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"], typer.Option("--precision", help="auto: bfloat16 where it is faster.")
    ] = "auto",
    as_json: Json = False,
) -> None:
    """The whole story, ending in one HTML report."""
    from trivium.verbs.quickstart import quickstart as tell_all

    made = tell_all(out, minutes, data or (), seed=seed, precision=precision, tell=note)
    models = "\n".join(f"{name}: {path}" for name, path in made.models.items())
    emit(made.to_json(), as_json, f"{models}\nreport: {made.report.resolve()} ({made.seconds:.0f} s in all)")
