"""``trivium plan``: a model's parameters as a table."""

from typing import Annotated

import typer

from trivium.cli.options import Json, Sets
from trivium.cli.output import emit, table

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def plan(
    model: Annotated[
        str, typer.Argument(metavar="PRESET|RECIPE", help="A model such as bert-base or llama-3-8b, or a recipe.")
    ],
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """How many parameters a model has, part by part, and how large its weights are, without making any."""
    from trivium.verbs.plan import plan as count

    found = count(model, sets or ())
    whole = found.parameters
    rows = [(each.name, each.parameters, f"{100 * each.parameters / whole:.1f}") for each in found.components]
    rows.append(("total", whole, "100.0"))
    sizes = " or ".join(f"{amount(size)} in {kind}" for kind, size in found.bytes.items())
    lines = [
        f"{found.name}: {found.description} ({found.paper.split(', ')[0]})",
        table(rows, ("part", "parameters", "%")),
        f"weights: {sizes}",
    ]
    if found.body != whole:
        pooler = "with a pooler and " if found.body_pooler else ""
        lines.append(f"as a body, {pooler}without the vocabulary head: {found.body:,} parameters")
    emit(found, as_json, "\n".join(lines))


def amount(size: int) -> str:
    """Bytes in thousands of thousands: 6.23 GB."""
    value, unit = float(size), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    places = 0 if unit == 0 or value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{places}f} {_UNITS[unit]}"
