"""``trivium plan``: a model's parameters as a table."""

from typing import TYPE_CHECKING, Annotated

import typer

from trivium.cli.options import Json, Sets
from trivium.cli.output import emit, table

if TYPE_CHECKING:
    from trivium.verbs.plan import AdapterPlan

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def plan(
    model: Annotated[
        str, typer.Argument(metavar="PRESET|RECIPE", help="A model such as bert-base or llama-3-8b, or a recipe.")
    ],
    sets: Sets = None,
    lora: Annotated[
        list[str] | None,
        typer.Option("--lora", metavar="A=B", help="Count adapters, too: a setting of theirs, as rank=4. Repeatable."),
    ] = None,
    tasks: Annotated[int, typer.Option("--tasks", help="An adapter for each of so many tasks.")] = 1,
    as_json: Json = False,
) -> None:
    """How many parameters a model has, part by part, and how large its weights are, without making any."""
    from trivium.verbs.finetune import lora_options
    from trivium.verbs.plan import plan as count

    found = count(model, sets or (), lora_options(lora or []) if lora or tasks > 1 else None, tasks)
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
    learning = " or ".join(f"{amount(size)} in {kind}" for kind, size in found.training_bytes.items())
    lines.append(f"while all of it learns by AdamW, without what a batch passes through: {learning}")
    if found.adapters is not None:
        lines += _adapters(found.adapters, whole)
    emit(found, as_json, "\n".join(lines))


def _adapters(found: "AdapterPlan", whole: int) -> list[str]:
    sizes = " or ".join(f"{amount(size)} ({size / 2**20:,.1f} MiB) in {kind}" for kind, size in found.bytes.items())
    learning = " or ".join(f"{amount(size)} in {kind}" for kind, size in found.training_bytes.items())
    lines = [
        f"LoRA of rank {found.settings.rank} at {', '.join(found.settings.targets)}: {found.parameters:,} parameters, "
        f"one in {whole / found.parameters:,.0f}; an adapter takes {sizes}",
        f"while it learns: {learning}",
    ]
    if found.tasks > 1:
        lines.append(
            f"{found.tasks:,} tasks in bfloat16: {amount(found.kept_bytes)} with one base and an adapter each, "
            f"{amount(found.copied_bytes)} as whole models"
        )
    return lines


def amount(size: int) -> str:
    """Bytes in thousands of thousands: 6.23 GB."""
    value, unit = float(size), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    places = 0 if unit == 0 or value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{places}f} {_UNITS[unit]}"
