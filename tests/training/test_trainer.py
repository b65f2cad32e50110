"""The loop against a plain one, accumulation against the full batch, and the stop before a bad update."""

import math
from dataclasses import replace

import pytest
import torch
from toy_model import ROWS, Toy, ToyLoss, feed, loss, trainer, weights

from trivium.errors import StoppedError
from trivium.training.schedule import factor
from trivium.training.settings import AdamW, Muon, TrainingSettings
from trivium.training.trainer import Trainer


def test_steps_equal_a_plain_torch_loop():
    """The same arithmetic written out: mean loss, clip, scheduled AdamW with decay on matrices only."""
    ours = trainer(steps=12, dropout=0.0, clip=0.5)
    steps = list(ours)

    model = Toy()
    model.dropout = 0.0
    settings = AdamW()
    matrices = [p for p in model.parameters() if p.ndim == 2]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    reference = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": vectors, "weight_decay": 0.0}],
        betas=(settings.beta1, settings.beta2),
        eps=settings.eps,
    )
    for number in range(12):
        (batch,) = feed(number)
        mean = loss(model, batch)["next"].total / batch.counts["next"]
        mean.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        for group in reference.param_groups:
            group["lr"] = settings.learning_rate * factor(ours.settings.schedule, number, 12)
        reference.step()
        reference.zero_grad()
        assert steps[number].loss == pytest.approx(mean.item(), rel=1e-5)
        assert steps[number].grad_norm == pytest.approx(norm.item(), rel=1e-5)
        assert list(steps[number].draws) == list(range(number * ROWS, (number + 1) * ROWS))
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(ours.state_dict()[0][name], parameter, rtol=1e-5, atol=1e-6)


def test_a_loss_that_counts_nothing_is_logged_and_not_learnt():
    def with_figure(model, batch):
        made = loss(model, batch)
        return {**made, "figure": ToyLoss(1000 * made["next"].total, batch.counts["figure"])}

    def watched(number):
        return [replace(batch, weights={"figure": 0.0}, watched=("figure",)) for batch in feed(number, micro=2)]

    plain = trainer(steps=4, micro=2)
    beside = Trainer(Toy(), with_figure, watched, plain.settings, steps=4)
    for a, b in zip(plain, beside, strict=True):
        assert (a.loss, a.grad_norm) == (b.loss, b.grad_norm)
        assert b.losses["figure"] == pytest.approx(1000 * b.losses["next"])
    for name, tensor in weights(plain).items():
        assert torch.equal(weights(beside)[name], tensor)


@pytest.mark.parametrize("micro", [2, 4])
def test_accumulation_is_the_full_batch(micro):
    """Unequal numbers of targets in the parts: a mean of means would differ in the first digits."""
    torch.set_default_dtype(torch.float64)
    try:
        whole, parts = (trainer(steps=5, micro=m, dropout=0.0) for m in (1, micro))
        for a, b in zip(whole, parts, strict=True):
            assert a.loss == pytest.approx(b.loss, rel=1e-6)
            assert a.grad_norm == pytest.approx(b.grad_norm, rel=1e-5)
            assert (a.tokens, list(a.draws)) == (b.tokens, list(b.draws))
    finally:
        torch.set_default_dtype(torch.float32)
    for name, tensor in weights(whole).items():
        torch.testing.assert_close(weights(parts)[name], tensor, rtol=1e-9, atol=1e-9)


def test_bfloat16_sums_micro_batches_in_float32():
    """Gradients of two micro-batches, each in bf16, are added in float32 and reach float32 masters."""
    ours = trainer(steps=1, micro=2, dropout=0.0, precision="bfloat16", clip=0.0)
    assert {w.dtype for w in ours.model.parameters()} == {torch.bfloat16}
    reference = Toy()
    reference.dropout = 0.0
    reference.to(torch.bfloat16)
    total = {name: torch.zeros_like(p, dtype=torch.float32) for name, p in reference.named_parameters()}
    batches = feed(0, 2)
    count = sum(b.counts["next"] for b in batches)
    for batch in batches:
        (loss(reference, batch)["next"].total / count).backward()
        for name, parameter in reference.named_parameters():
            total[name] += parameter.grad.float()
            parameter.grad = None
    next(iter(ours))
    for name, gradient in zip(ours.optimizer.trained, ours.optimizer.gradients(), strict=True):
        assert gradient.dtype == torch.float32
        assert torch.equal(gradient, total[name]), name
    for name, weight in ours.model.named_parameters():
        master = ours.optimizer.masters[name]
        assert master.dtype == torch.float32
        assert torch.equal(weight, master.to(torch.bfloat16))
        assert not torch.equal(master, weight.float()), "the masters hold more than the weights can"


def test_bfloat16_masters_start_at_the_float32_weights():
    ours = trainer(precision="bfloat16")
    for name, parameter in Toy().named_parameters():
        assert torch.equal(ours.optimizer.masters[name], parameter)


@pytest.mark.parametrize("optimizer", [AdamW(), Muon()])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_same_seed_same_weights_and_dropout_follows_the_seed(optimizer, precision):
    runs = []
    for seed in (1, 1, 2):
        one = trainer(steps=6, seed=seed, optimizer=optimizer, precision=precision)
        torch.rand(seed)  # the state of torch's generator before must not matter
        list(one)
        runs.append(weights(one))
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])
    assert any(not torch.equal(runs[0][name], runs[2][name]) for name in runs[0])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_bad_loss_stops_before_the_update_and_names_the_batch(value, precision):
    """In the loss, and in a gradient whose loss is finite; nothing has changed, and the next step can be taken."""

    def bad_loss(model, batch):
        good = loss(model, batch)
        if batch.draws[0] != 3 * ROWS or not armed:
            return good
        if kind == "loss":
            return {"next": type(good["next"])(good["next"].total * value, good["next"].count)}
        good["next"].total.register_hook(lambda gradient: gradient * value)
        return good

    for kind in ("loss", "gradient"):
        armed = True
        settings = TrainingSettings(steps=9, precision=precision, device="cpu")
        ours = Trainer(Toy(), bad_loss, feed, settings, steps=9)
        for _ in range(3):
            ours.step()
        before = weights(ours), {name: t.clone() for name, t in ours.state_dict()[1].items()}
        with pytest.raises(StoppedError, match=r"step 3 was not taken.*draws 12, 13, 14, 15;") as stopped:
            ours.step()
        assert stopped.value.exit_code == 75
        assert ("gradient norm" in str(stopped.value)) or kind == "loss"
        assert all(torch.equal(before[0][n], t) for n, t in weights(ours).items())
        assert all(torch.equal(before[1][n], t) for n, t in ours.state_dict()[1].items())
        armed = False
        assert ours.step().number == 3


def test_a_batch_without_targets_changes_nothing_but_decay():
    def nothing(step):
        (batch,) = feed(step)
        return [type(batch)(batch.ids, torch.zeros_like(batch.keep), batch.draws)]

    ours = Trainer(Toy(), loss, nothing, TrainingSettings(steps=1, precision="float32", device="cpu"), steps=1)
    step = ours.step()
    assert step.loss == 0.0
    assert step.grad_norm == 0.0


def test_frozen_parameters_stay_and_are_not_in_the_state():
    model = Toy()
    model.embedding.weight.requires_grad_(False)
    ours = Trainer(model, loss, feed, TrainingSettings(steps=3, precision="bfloat16", device="cpu"), steps=3)
    list(ours)
    assert torch.equal(ours.optimizer.masters["embedding.weight"], Toy().embedding.weight)
    assert not any("embedding" in name for name in ours.state_dict()[1])


def test_the_caller_may_leave_the_model_in_evaluation_mode():
    one, two = trainer(steps=4, dropout=0.5), trainer(steps=4, dropout=0.5)
    for _ in one:
        pass
    for _ in two:
        two.model.eval()
    assert all(torch.equal(weights(one)[name], tensor) for name, tensor in weights(two).items())


def test_a_step_leaves_nothing_behind_in_the_process():
    """torch.manual_seed queues a call with a traceback each time where there is no accelerator."""
    ours = trainer(steps=30)
    ours.step()
    before = len(torch.cuda._queued_calls)
    list(ours)
    assert len(torch.cuda._queued_calls) == before


@pytest.mark.slow
def test_a_compiled_model_learns_the_same():
    plain, compiled = (list(trainer(steps=5, dropout=0.0, compile=c)) for c in (False, True))
    for a, b in zip(plain, compiled, strict=True):
        assert b.loss == pytest.approx(a.loss, rel=1e-4)
