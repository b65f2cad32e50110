"""A step's memory as planned: against what it really takes, and how it changes with what is changed."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from planned_shapes import SHAPES, Shape, measure

from trivium.errors import RefusedError
from trivium.families.bodies import initialise, network, outline
from trivium.lab.devices import Device, Machines
from trivium.lab.memory import HEAP, Memory, step_memory
from trivium.training.settings import AdamW
from trivium.verbs.plan import plan
from trivium.verbs.planned_training import check_memory
from trivium.verbs.specimen import first_steps, specimen, time_step

TINY = Shape("gpt2-mini", 2, 32, 32, 128, "float32")


def planned(shape: Shape, **changes: object) -> Memory:
    recipe, config = shape.made()
    steps = first_steps(recipe, config, 4, 2)
    model = outline(config, recipe.objective.heads(config))
    return step_memory(
        model, recipe.objective.loss, steps, recipe.training.optimizer, shape.precision,  # type: ignore[arg-type]
        **{"on_cpu": True, **changes},
    )  # fmt: skip


def test_activations_are_what_autograd_keeps():
    """Bytes of all storages that a real forward pass saved, weights and the logits' gradient left out."""
    recipe, config = TINY.made()
    batch = specimen(recipe, config, 1).batches[0]
    model = initialise(network(config), 0).train()
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = recipe.objective.loss(model, batch)["causal"].total
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    size = sum(size for place, size in kept.items() if place not in weights)
    found = planned(TINY)
    assert found.logits == 4 * batch.counts["causal"] * config.vocab_size
    assert found.activations == pytest.approx(size - found.logits, rel=0.1)
    assert loss.requires_grad


def test_state_is_counted_to_the_byte():
    recipe, config = TINY.made()
    model = outline(config)
    total = sum(weight.numel() for weight in model.parameters())
    for precision, weights, optimizer in (("float32", 4, 8), ("bfloat16", 2, 12)):
        steps = first_steps(recipe, config, 2, 2)
        found = step_memory(
            outline(config), recipe.objective.loss, steps, AdamW(), precision, on_cpu=False  # type: ignore[arg-type]
        )
        assert (found.weights, found.gradients, found.optimizer) == (weights * total, 4 * total, optimizer * total)


def test_what_saves_memory_saves_it():
    wide = Shape("gpt2-mini", 4, 64, 128, 2048, "bfloat16")
    plain = planned(wide, on_cpu=False)
    assert planned(wide, on_cpu=False, checkpointing=True).activations < plain.activations / 3
    split = planned(wide, on_cpu=False, shards=4)
    assert split.optimizer == -(-plain.optimizer // 4) and split.activations == plain.activations
    assert split.peak < plain.peak
    assert planned(wide).activations > plain.activations  # a CPU keeps the scores of attention


@pytest.mark.parametrize("shape", [SHAPES[4]], ids=str)
def test_one_shape_against_reality(shape):
    assert planned(shape).peak == pytest.approx(measure(shape).peak, rel=0.35)  # the slow test holds twelve to 0.15


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_twelve_shapes_against_reality(shape):
    """Times need a machine that does nothing else. Memory is that after twenty steps."""
    real = measure(shape)
    assert planned(shape).peak == pytest.approx(real.peak, rel=0.15)
    recipe, config = shape.made()
    assert time_step(recipe, config) == pytest.approx(real.seconds, rel=0.20)
    assert HEAP > 1


def test_the_first_change_that_makes_it_fit(monkeypatch):
    def on(memory: int, *sets: str) -> str:
        device = Device("small", memory, 1e12, 2e12, 100)
        monkeypatch.setattr("trivium.verbs.planned_training.find_device", lambda name: device)
        with pytest.raises(RefusedError) as found:
            plan("gpt2-mini", sets, machines=Machines("t4"))
        assert "on small, which has" in str(found.value)
        return str(found.value).partition("GB: ")[2]

    told = on(150_000_000, "training.precision=float32")
    assert told.startswith("set training.micro_batch_tokens = ")
    most = int(told.rpartition(" ")[2])
    plan("gpt2-mini", ["training.precision=float32", f"training.micro_batch_tokens={most}"], machines=Machines("t4"))
    assert on(150_000_000, "training.precision=float32", f"training.micro_batch_tokens={2 * most}") == told
    assert "take a smaller model" in on(1_000_000)


@pytest.mark.slow
def test_what_does_not_fit_is_refused_with_the_first_change_that_helps():
    with pytest.raises(RefusedError, match=r"takes .* GB on h100, which has 80.0 GB: let adapters learn"):
        plan("llama-3-8b", ["model.context=512"], machines=Machines("h100"))
    with pytest.raises(RefusedError, match=r"set training.micro_batch_tokens = \d+"):
        plan("gpt2", ["training.batch_tokens=262144"], machines=Machines("rtx-4090"))
    with pytest.raises(RefusedError, match="--devices 2 --sharded|--devices 4 --sharded"):
        from trivium.transformer.lora import Lora

        plan("llama-2-13b", ["model.context=128"], Lora(), machines=Machines("rtx-4090"))


def test_pretraining_refuses_what_plainly_cannot_fit(monkeypatch):
    recipe, config = TINY.made()
    check_memory(recipe, config)
    monkeypatch.setattr("trivium.verbs.planned_training.memory_here", lambda: 1000)
    with pytest.raises(RefusedError, match="for weights, gradients and optimizer alone"):
        check_memory(recipe, config)
