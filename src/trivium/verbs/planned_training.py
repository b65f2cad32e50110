"""What training a recipe or a published model would take: FLOPs, epochs, memory, time, energy, money, disk.

A step's batches are the real ones on made-up text (``specimen.py``), so that FLOPs are counted as in a run. Where a
device is named, the memory of a step is found without taking it, and training that does not fit is refused with the
first change that would make it fit. On this machine a step is timed, on others its FLOPs are divided by a share of the
device's peak. Trivium itself trains on one device; sharding and checkpointing are figures for those who use others.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from trivium.errors import RefusedError, SettingsError
from trivium.families.bodies import outline
from trivium.lab.cost import (
    PETAFLOP_DAY,
    Bill,
    Disk,
    SourceEpochs,
    SourceText,
    bill,
    disk,
    epochs,
    given_sources,
    six_n_d,
)
from trivium.lab.devices import HERE, Device, Machines, find_device, memory_here
from trivium.lab.memory import PROCESS, Memory, Precision, state_bytes, step_memory
from trivium.lab.published import published_mixture
from trivium.text.shards import Shards
from trivium.training.precision import choose_device, resolve
from trivium.training.settings import TrainingSettings
from trivium.transformer import Config, Network
from trivium.transformer.adapters import DEFAULT, Adapters
from trivium.transformer.config import TransformerConfig
from trivium.transformer.lora import Lora
from trivium.verbs.pretraining_data import rows_per_step
from trivium.verbs.recipe import Recipe
from trivium.verbs.specimen import first_steps, length_of, specimen, time_step

RECOMPUTED = 4 / 3  # the forward pass of the layers once more


@dataclass(frozen=True)
class OnDevice:
    """``memory_limit``: bytes that it has, ``memory``: what a step takes of them. ``bill``: None where the number of
    tokens is unknown."""

    name: str
    devices: int
    memory_limit: int
    memory: Memory
    step_seconds: float
    mfu: float | None  # assumed; None on this machine, where a step was timed
    bill: Bill | None


@dataclass(frozen=True)
class TrainingPlan:
    """``flops``: exact, as a run counts them; ``rule``: 6 N D; both None where the number of tokens is unknown."""

    precision: str
    batch_tokens: int
    micro_batch_tokens: int
    flops_per_token: float | None
    tokens: int | None
    steps: int | None
    flops: float | None
    rule: int | None
    petaflop_days: float | None
    sources: list[SourceEpochs]
    disk: Disk
    on: OnDevice | None


def plan_training(
    recipe: Recipe, config: Config, lora: Lora | None, machines: Machines, tokens: int | None, sources: Sequence[str],
    parameters: int, is_recipe: bool, run: Path | None,
) -> TrainingPlan:  # fmt: skip
    """``parameters``: of the whole model, also where only adapters learn; ``tokens``: None for the recipe's."""
    device = _device(machines, recipe)
    recipe = replace(recipe, training=_settled(recipe.training, device))
    length = length_of(recipe, config)
    if machines.devices > 1:  # each takes its part of the batch
        part = max(1, recipe.training.batch_tokens // machines.devices)
        recipe = _with(recipe, micro_batch_tokens=min(part, recipe.training.micro_batch_tokens or part))
    settings = recipe.training
    rows, micro = rows_per_step(settings.batch_tokens, settings.micro_batch_tokens, length)
    if machines.devices > rows:
        raise SettingsError(
            f"a batch of {rows} rows of {length} tokens cannot be split over {machines.devices} devices: raise "
            "training.batch_tokens"
        )
    own = _of_run(run, recipe) if run else []
    text = given_sources(sources) or own or list(published_mixture(recipe.model.family))
    per_token = step_tokens = step_flops = None
    if is_recipe or device is not None:  # a published model alone is not worth its batches
        sample = specimen(recipe, config, micro_batches=2)
        share = rows / min(rows, 2 * micro)
        step_tokens, step_flops = sample.tokens * share, sample.flops * share
        if machines.checkpointing:
            step_flops *= RECOMPUTED
        per_token = step_flops / step_tokens
    on = _fitting(recipe, config, lora, machines, device) if device is not None else None
    seconds = None
    if device is not None and step_flops is not None:
        if machines.device == HERE:
            seconds = time_step(recipe, config)
        else:
            seconds = step_flops / (device.peak(settings.precision) * machines.mfu * machines.devices)
    steps = settings.steps
    if tokens is None and is_recipe:
        assert step_tokens is not None
        if settings.tokens is not None:
            tokens = settings.tokens
        elif steps is None and seconds is not None and settings.minutes is not None:
            steps = max(1, int(60 * settings.minutes / seconds))
        if tokens is None and steps is not None:
            tokens = round(steps * step_tokens)
    if tokens is not None and step_tokens is not None:
        steps = -(-tokens // max(1, round(step_tokens)))
    rule = None if tokens is None else six_n_d(parameters, tokens)
    learning = _model(recipe, config, lora if device is not None else None)
    learnt = sum(weight.numel() for weight in learning.parameters() if weight.requires_grad)
    moments = state_bytes(learning, settings.optimizer, "float32").optimizer
    found = None
    if on is not None and device is not None and seconds is not None:
        watts = machines.watts if machines.watts is not None else device.watts or None
        whole = None if steps is None else bill(
            seconds * steps, machines.devices, watts, machines.price, machines.electricity
        )  # fmt: skip
        assumed = None if machines.device == HERE else machines.mfu
        found = OnDevice(device.name, machines.devices, device.memory, on, seconds, assumed, whole)
    return TrainingPlan(
        precision=settings.precision,
        batch_tokens=rows * length,
        micro_batch_tokens=micro * length,
        flops_per_token=per_token,
        tokens=tokens,
        steps=steps if tokens is not None else None,
        flops=None if tokens is None or per_token is None else tokens * per_token,
        rule=rule,
        petaflop_days=None if rule is None else rule / PETAFLOP_DAY,
        sources=epochs(text, tokens) if tokens is not None else [],
        disk=disk(learnt, moments, settings.keep),
        on=found,
    )


def check_memory(recipe: Recipe, config: Config) -> None:
    """Refuses a model of which weights, gradients and moments alone are more than this machine's memory."""
    settings = resolve(recipe.training)
    if settings.device != "cpu":
        return
    model = _model(recipe, config, None)
    precision: Precision = "bfloat16" if settings.precision == "bfloat16" else "float32"
    needed, there = state_bytes(model, settings.optimizer, precision).total, memory_here()
    if needed > there:
        raise RefusedError(
            f"training this model takes {needed / 1e9:.1f} GB for weights, gradients and optimizer alone, and this "
            f"machine has {there / 1e9:.1f} GB: take a smaller model, or look at `trivium plan`"
        )


def _device(machines: Machines, recipe: Recipe) -> Device | None:
    if machines.device is None:
        return None
    if machines.device != HERE:
        return find_device(machines.device)
    place = choose_device(recipe.training.device)
    memory = torch.cuda.mem_get_info()[1] if place.type == "cuda" else memory_here()
    return Device(HERE, memory, 1.0, 1.0, 0.0)  # a step is timed, so that no peak is asked for


def _settled(settings: TrainingSettings, device: Device | None) -> TrainingSettings:
    """The precision that ``auto`` comes to: bfloat16 where the device has it."""
    if settings.precision != "auto":
        return settings
    if device is not None and device.name == HERE:
        return resolve(settings)
    low = device is None or device.bfloat16 > 0
    return replace(settings, precision="bfloat16" if low else "float32")


def _of_run(run: Path, recipe: Recipe) -> list[SourceText]:
    """The shards of a run, which are counted."""
    named = [source.files for source in recipe.data.sources] or [recipe.data.files or (str(recipe.data.corpus),)]
    weights = [source.weight for source in recipe.data.sources] or [1.0]
    found = []
    for number, (files, weight) in enumerate(zip(named, weights, strict=True)):
        folder = run / "data" / str(number)
        if not (folder / "shards.json").exists():
            return []
        name = ", ".join(Path(file).name for file in files)
        found.append(SourceText(name, Shards.open(folder).token_count, weight / sum(weights)))
    return found


def _model(recipe: Recipe, config: Config, lora: Lora | None) -> Network:
    """Without memory; with ``lora`` adapters learn, and heads."""
    with torch.device("meta"):
        heads = recipe.objective.heads(config)
    model = outline(config, heads)
    if lora is not None:
        adapters = Adapters(model)
        adapters.add(DEFAULT, lora)
        adapters.use(DEFAULT)
        for name, weight in model.named_parameters():
            weight.requires_grad_(".adapters." in name)
    return model


def _fitting(recipe: Recipe, config: Config, lora: Lora | None, machines: Machines, device: Device) -> Memory:
    """What a step takes; refused where that is more than the device has."""
    found = _memory(recipe, config, lora, machines, device)
    limit = device.memory - (PROCESS if device.name == HERE else 0)
    if found.peak <= limit:
        return found
    remedy = _remedy(recipe, config, lora, machines, device, limit)
    many = f"each of {machines.devices} " if machines.devices > 1 else ""
    raise RefusedError(
        f"a training step takes {found.peak / 1e9:.1f} GB on {many}{device.name}, which has "
        f"{device.memory / 1e9:.1f} GB: {remedy}"
    )


def _remedy(
    recipe: Recipe, config: Config, lora: Lora | None, machines: Machines, device: Device, limit: int
) -> str:
    """The first change that makes it fit, from those that change no result to those that change what is learnt."""

    def fits(recipe: Recipe, lora: Lora | None = lora, machines: Machines = machines) -> bool:
        return _memory(recipe, config, lora, machines, device).peak <= limit

    length = length_of(recipe, config)
    _, micro = rows_per_step(recipe.training.batch_tokens, recipe.training.micro_batch_tokens, length)
    one = _with(recipe, micro_batch_tokens=min(length, recipe.training.batch_tokens))
    if micro > 1 and fits(one):
        smaller = micro // 2
        while smaller > 1 and not fits(_with(recipe, micro_batch_tokens=smaller * length)):
            smaller //= 2
        return f"set training.micro_batch_tokens = {smaller * length}"
    also = f", and training.micro_batch_tokens = {length}" if micro > 1 else ""
    if recipe.training.precision == "float32" and device.bfloat16 and fits(_with(one, precision="bfloat16")):
        return f'set training.precision = "bfloat16"{also}'
    if lora is None and fits(one, Lora()):
        return f"let adapters learn in place of all weights (--lora rank=8){also}"
    if device.name != HERE:
        count = 2
        while count <= 4096:
            if count > machines.devices and fits(one, lora, replace(machines, devices=count, sharded=True)):
                return f"take {count} of them and split the weights over all (--devices {count} --sharded){also}"
            count *= 2
    return "no change of the batch, the precision or the number of devices makes it fit: take a smaller model"


def _with(recipe: Recipe, **changes: Any) -> Recipe:
    return replace(recipe, training=replace(recipe.training, **changes))


def _memory(recipe: Recipe, config: Config, lora: Lora | None, machines: Machines, device: Device) -> Memory:
    settings = recipe.training
    if not isinstance(config, TransformerConfig):
        raise SettingsError(
            "what a step takes is known for Transformers alone, and this network is "
            f"{type(config).__name__.removesuffix('Config')}: leave out --device"
        )
    here = device.name == HERE and choose_device(settings.device).type == "cpu"
    precision: Precision = "bfloat16" if settings.precision == "bfloat16" else "float32"
    on_cpu = here or device.name == "cpu-server"
    steps = first_steps(recipe, config, 4 if on_cpu else 2, micro_batches=2)
    return step_memory(
        _model(recipe, config, lora), recipe.objective.loss, steps, settings.optimizer, precision,
        on_cpu=on_cpu, checkpointing=machines.checkpointing,
        shards=machines.devices if machines.sharded else 1,
    )  # fmt: skip


