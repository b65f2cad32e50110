"""The training loop: an iterator of steps that knows batches, named losses and an optimizer, and nothing else.

Each step is a pure function of the state before it and the step's number: the feed gives the batches of a number, the
learning rate follows from it, and torch's generator (dropout) is seeded from it. So a run that was stopped anywhere and
restored goes on bit for bit as if it had not been, on the CPU with the same number of threads.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from trivium.errors import StoppedError
from trivium.randomness import key
from trivium.recurrent.state import carried_states, carry_on
from trivium.training.optimizer import MasterOptimizer
from trivium.training.precision import choose_device, choose_precision
from trivium.training.schedule import factor
from trivium.training.settings import TrainingSettings


class Batch(Protocol):
    """What the trainer has to know of a micro-batch; objectives and tasks have the real ones."""

    @property
    def counts(self) -> Mapping[str, int]: ...

    @property
    def tokens(self) -> int: ...

    @property
    def draws(self) -> Sequence[int]: ...

    @property
    def weights(self) -> Mapping[str, float]:
        """What each named loss counts in the step's loss; 1 where none is given. The same in all of a step. Nothing is
        learnt from one that counts 0: it is a figure to be logged beside the others."""
        ...

    def to(self, device: torch.device | str) -> Self: ...


class Loss(Protocol):
    """A sum over targets (scalar) and how many there were."""

    @property
    def total(self) -> Tensor: ...

    @property
    def count(self) -> int: ...


@runtime_checkable
class Remembers(Protocol):
    """A feed whose batches depend on more than their number: on what it made of the model some steps ago. What it
    knows is saved with the optimizer's state; an empty state is that before the first step."""

    def state_dict(self) -> Mapping[str, Tensor]: ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None: ...


CARRIED = "carried."
FED = "fed."

AnyBatch = TypeVar("AnyBatch", bound=Batch)
AnyModel = TypeVar("AnyModel", bound=nn.Module)


@dataclass(frozen=True)
class Step:
    """What happened in one step. ``losses`` are means over all targets of the step, ``loss`` is their weighted sum."""

    number: int  # 0-based
    loss: float
    losses: Mapping[str, float]
    tokens: int
    flops: float
    seconds: float
    learning_rate: float
    grad_norm: float  # before clipping
    draws: Sequence[int]


class Trainer(Generic[AnyModel, AnyBatch]):
    """``for step in Trainer(...)``: takes the next step each time it is asked, from ``self.number`` up to ``steps``.

    ``loss(model, batch)`` gives named sums; ``feed(number)`` the micro-batches of a step. Sums are divided by the
    counts of all micro-batches together, so that accumulation gives the full batch's result; micro-batches may have
    losses of different names. The model is moved to the device and computes in the precision of the settings from here
    on. ``rates``: what the learning rate counts at parameters by their names, where that is not 1.
    """

    def __init__(
        self,
        model: AnyModel,
        loss: Callable[[AnyModel, AnyBatch], Mapping[str, Loss]],
        feed: Callable[[int], Sequence[AnyBatch]],
        settings: TrainingSettings,
        *,
        steps: int,
        flops: Callable[[AnyBatch], float] | None = None,
        rates: Mapping[str, float] = {},  # noqa: B006 (read only)
    ) -> None:
        self.model = model
        self.loss = loss
        self.feed = feed
        self.settings = settings
        self.steps = steps
        self.number = 0
        self.device = choose_device(settings.device)
        self.precision = choose_precision(settings.precision, self.device)
        frozen = {name: p.detach().float() for name, p in model.named_parameters() if not p.requires_grad}
        for parameter in model.parameters():
            if not parameter.requires_grad:
                parameter.data = parameter.data.to(self.precision)  # before the move: the device need not hold float32
        model.to(self.device)
        self.optimizer = MasterOptimizer(model, settings.optimizer, self.precision, frozen, rates)
        self._flops = flops
        if settings.compile:
            model.compile()

    def __iter__(self) -> Iterator[Step]:
        while self.number < self.steps:
            yield self.step()

    def step(self) -> Step:
        """One step. Non-finite losses or gradients stop it before anything has changed."""
        started = time.perf_counter()
        if not self.model.training:
            self.model.train()
        batches = self.feed(self.number)
        counts: dict[str, int] = {}
        weights: dict[str, float] = {}
        for each in batches:
            weights |= each.weights
            for name, count in each.counts.items():
                counts[name] = counts.get(name, 0) + count
        learnt = {name: weight for name in counts if (weight := weights.get(name, 1.0))}
        weighted = {name: max(1, counts[name]) / weight for name, weight in learnt.items()}
        sums: dict[str, Tensor] = {}
        for micro, batch in enumerate(batches):
            self._seed(key(self.settings.seed, "dropout", self.number, micro) >> 1)
            losses = self.loss(self.model, batch if self.device.type == "cpu" else batch.to(self.device))
            parts = [part.total / weighted[name] for name, part in losses.items() if name in weighted]
            torch.stack(parts).sum().backward()
            self.optimizer.collect(first=micro == 0)
            for name, part in losses.items():
                sums[name] = sums[name] + part.total.detach() if name in sums else part.total.detach()
        norm = self._clip()
        *totals, norm = torch.stack([*sums.values(), norm]).tolist()
        means = {name: total / max(1, counts[name]) for name, total in zip(sums, totals, strict=True)}
        draws = [draw for batch in batches for draw in batch.draws]
        self._stop_if_not_finite(means, norm, draws)
        scale = factor(self.settings.schedule, self.number, self.steps)
        self.optimizer.step(scale)
        self.number += 1
        return Step(
            number=self.number - 1,
            loss=sum(learnt[name] * mean for name, mean in means.items() if name in learnt),
            losses=means,
            tokens=sum(batch.tokens for batch in batches),
            flops=sum(map(self._flops, batches)) if self._flops else 0.0,
            seconds=time.perf_counter() - started,
            learning_rate=self.settings.optimizer.learning_rate * scale,
            grad_norm=norm,
            draws=draws,
        )

    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Masters by parameter name, also of frozen ones; the optimizer's moments, under "carried." the states that a
        recurrent model goes on from, and under "fed." what the feed remembers. Not copies: save or clone them before
        stepping."""
        carried = {f"{CARRIED}{name}": state for name, state in carried_states(self.model).items()}
        known: Mapping[str, Tensor] = self.feed.state_dict() if isinstance(self.feed, Remembers) else {}
        fed = {f"{FED}{name}": state for name, state in known.items()}
        return dict(self.optimizer.masters), self.optimizer.state_dict() | carried | fed

    def load_state_dict(self, number: int, weights: Mapping[str, Tensor], moments: Mapping[str, Tensor]) -> None:
        """Everything as it was before step ``number``: the exact inverse of :meth:`state_dict`."""
        self.optimizer.load_masters(weights)
        own = {name: t for name, t in moments.items() if not name.startswith((CARRIED, FED))}
        self.optimizer.load_state_dict(own)
        carry_on(self.model, _under(CARRIED, moments))
        if isinstance(self.feed, Remembers):
            self.feed.load_state_dict(_under(FED, moments))
        self.number = number

    def _seed(self, value: int) -> None:
        """What dropout draws from. ``torch.manual_seed`` would queue a call and a traceback for CUDA at every step."""
        torch.default_generator.manual_seed(value)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(value)
        elif self.device.type == "mps":
            torch.mps.manual_seed(value)

    @torch.no_grad()
    def _clip(self) -> Tensor:
        """The gradients' norm (float32 scalar); scales them in place where it is above the limit."""
        gradients = self.optimizer.gradients()
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        if self.settings.clip:
            scale = self.settings.clip / (norm + 1e-6)
            if self.device.type != "cpu":  # no wait for the device
                torch._foreach_mul_(gradients, scale.clamp(max=1.0))
            elif scale < 1:
                torch._foreach_mul_(gradients, scale.item())
        return norm

    def _stop_if_not_finite(self, means: Mapping[str, float], norm: float, draws: Sequence[int]) -> None:
        values = {**means, "the gradient norm": norm}
        bad = [f"{name} is {value}" for name, value in values.items() if not math.isfinite(value)]
        if not bad:
            return
        self.optimizer.clear()
        shown = f"{', '.join(map(str, draws[:8]))}{' ...' if len(draws) > 8 else ''}"
        raise StoppedError(
            f"step {self.number} was not taken: {' and '.join(bad)}, on the batch of draws {shown}; the weights are "
            "those before it: lower the learning rate or look at that batch"
        )


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those whose names begin so, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
