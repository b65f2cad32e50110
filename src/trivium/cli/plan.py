"""``trivium plan``: a model's parameters and its training in figures."""

from typing import TYPE_CHECKING, Annotated

import typer

from trivium.cli.options import Json, Sets
from trivium.cli.output import emit, note, table

if TYPE_CHECKING:
    from trivium.verbs.plan import AdapterPlan
    from trivium.verbs.planned_training import TrainingPlan

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
    tasks: Annotated[int, typer.Option("--tasks", help="An adapter for each of this many tasks.")] = 1,
    device: Annotated[
        str | None, typer.Option("--device", help="Where it would be trained: here, h100, a100-80gb, rtx-4090 ...")
    ] = None,
    devices: Annotated[int, typer.Option("--devices", help="How many of them.")] = 1,
    sharded: Annotated[
        bool, typer.Option("--sharded", help="Weights, gradients and optimizer split over all devices (ZeRO-3, FSDP).")
    ] = False,
    checkpointing: Annotated[
        bool, typer.Option("--checkpointing", help="Layers are computed again in the backward pass.")
    ] = False,
    mfu: Annotated[float, typer.Option("--mfu", help="The share of a device's peak that training reaches.")] = 0.4,
    tokens: Annotated[
        str | None, typer.Option("--tokens", metavar="N", help="Tokens of training, as 300e9.")
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option("--source", metavar="NAME=TOKENS@WEIGHT", help="A part of the text: wiki=3e9@0.03. Repeatable."),
    ] = None,
    watts: Annotated[float | None, typer.Option("--watts", help="Power of a device; if not given, as rated.")] = None,
    price: Annotated[float | None, typer.Option("--price", help="Price of a device for an hour.")] = None,
    electricity: Annotated[float | None, typer.Option("--electricity", help="Price of a kilowatt-hour.")] = None,
    as_json: Json = False,
) -> None:
    """Count a model's parameters, and what its training takes.

    Training is told in memory, FLOPs, time, energy, cost and disk; no model is made.
    """
    from trivium.lab.devices import HERE, Machines
    from trivium.verbs.finetune import lora_options
    from trivium.verbs.plan import plan as count

    machines = Machines(device, devices, sharded, checkpointing, mfu, watts, price, electricity)
    adapters = lora_options(lora or []) if lora or tasks > 1 else None
    if device == HERE:
        note("timing four steps on this machine")
    found = count(model, sets or (), adapters, tasks, machines, _number(tokens), source or ())
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
    if found.training is not None:
        lines += _training(found.training)
    emit(found, as_json, "\n".join(lines))


def _number(text: str | None) -> int | None:
    """Tokens as people write them: 300e9, 2_000_000."""
    from trivium.errors import SettingsError

    try:
        return None if text is None else int(float(text))
    except (ValueError, OverflowError):
        raise SettingsError(f"--tokens {text!r} must be a number such as 300e9") from None


def _training(found: "TrainingPlan") -> list[str]:
    lines = []
    if found.tokens is not None:
        steps = f" in {found.steps:,} steps of {found.batch_tokens:,}" if found.steps is not None else ""
        lines.append(f"training: {found.tokens:,} tokens{steps}")
    if found.flops_per_token is not None:
        lines.append(f"FLOPs: {found.flops_per_token:.3g} a token as counted in a run")
    if found.rule is not None:
        exact = f"{found.flops:.3g} as counted in a run, " if found.flops is not None else ""
        days = f"{found.petaflop_days:,.3g} petaflop/s-days"
        lines.append(f"FLOPs of the training: {exact}{found.rule:.3g} by 6ND ({days})")
    if found.sources:
        rows = [(s.name, f"{s.tokens:,}", f"{100 * s.share:.1f}", f"{s.epochs:.2f}") for s in found.sources]
        lines.append(table(rows, ("source", "tokens", "% drawn", "epochs")))
    lines.append(f"disk: a checkpoint {amount(found.disk.checkpoint)}, a run {amount(found.disk.most)} at most")
    if (on := found.on) is not None:
        memory = on.memory
        rows_of_memory = [
            (name, amount(getattr(memory, name)))
            for name in ("weights", "gradients", "optimizer", "activations", "logits", "peak")
        ]
        many = f"each of {on.devices} " if on.devices > 1 else ""
        where = "this machine" if on.name == "here" else on.name
        lines.append(f"memory of {many}{where} ({amount(on.memory_limit)}) in {found.precision}, ")
        lines[-1] += f"{found.micro_batch_tokens:,} tokens at a time:"
        lines.append(table(rows_of_memory, ("part", "bytes")))
        how = "timed" if on.mfu is None else f"at {100 * on.mfu:g}% of the peak"
        lines.append(f"time: {_duration(on.step_seconds)} a step, {how}")
        if on.bill is not None:
            lines[-1] += f"; {_duration(3600 * on.bill.hours)} in all"
            if on.bill.energy is not None:
                lines.append(f"energy: {on.bill.energy:,.3g} kWh")
            if on.bill.cost is not None:
                lines.append(f"cost: {on.bill.cost:,.2f}")
    return lines


def _duration(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.3g} seconds"


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
