"""Mixtures of objectives: each row of a step is read by one of them (as in UL2, Tay et al. 2023, and T0's mixtures).

Which one is drawn with a probability in proportion to its weight: a cycle of draws gives every part its exact share, in
a keyed order, so that the part of a row is a pure function of the seed and its draw number and depends on no batch
split. A batch holds rows of one part, for parts may want their text cut differently and read by different sides of the
model; a step has batches of several parts.

A step's loss is the mean over its rows of the loss of a row's part, which is a mean over that part's targets in the
step: the weights alone say how much each part counts, whether it has many targets in a row or few. Losses are reported
by part. BERT's masked language model with next sentences is no mixture: it reads both from one pass.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from torch import nn

from trivium.errors import SettingsError
from trivium.objectives.objective import Batch, Loss, Objective
from trivium.objectives.wanted import Wanted, wanted
from trivium.randomness import Draws, key
from trivium.text.mixture import shares, slots
from trivium.text.rows import Rows
from trivium.tokenizers import Tokenizer
from trivium.transformer import Config

if TYPE_CHECKING:
    from trivium.transformer import Network


def _kinds() -> Mapping[str, type[Objective]]:
    """What a part may be: every objective but a mixture."""
    from trivium.objectives import OBJECTIVES

    return OBJECTIVES


@dataclass(frozen=True)
class Mixed:
    """``parts`` are objectives, each a table of its own; ``weights`` their shares of the rows, which need not sum to 1.
    Left out: equal shares."""

    kind: Literal["mixed"] = "mixed"
    parts: tuple[Objective, ...] = field(default=(), metadata={"kinds": _kinds})
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.parts) < 2:
            raise SettingsError(
                f"objective.parts has {len(self.parts)} objectives: a mixture needs at least two, each a table such as "
                '{kind = "masked"}'
            )
        if self.weights and len(self.weights) != len(self.parts):
            raise SettingsError(
                f"objective.weights has {len(self.weights)} numbers for {len(self.parts)} objective.parts: give each "
                "part one, or none at all"
            )
        try:
            _ = self.cycle
        except SettingsError as error:
            raise SettingsError(f"objective.{error}") from None

    @cached_property
    def cycle(self) -> np.ndarray:
        """(P,) rows of each part in a cycle of draws."""
        return shares(self.weights or [1.0] * len(self.parts))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of the parts, in figures: their kinds, numbered where several are of one."""
        kinds = [part.kind for part in self.parts]
        return tuple(
            kind if kinds.count(kind) == 1 else f"{kind}_{kinds[: number + 1].count(kind)}"
            for number, kind in enumerate(kinds)
        )

    def heads(self, config: Config) -> dict[str, nn.Module]:
        """Those of all parts, equal names shared; refuses a model that one of them is not defined for."""
        return {name: head for part in self.parts for name, head in part.heads(config).items()}

    def turns(self, numbers: np.ndarray, seed: int, groups: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Of each draw (B,): its part, and its number among the draws of the same group of parts, counted without gaps
        from 0 over whole cycles. ``groups`` gives each part's group: its parts take their rows from one sequence."""
        order = np.argsort(groups, kind="stable")
        cycle = self.cycle[order]
        cycles, slot = slots(cycle, key(seed, "objectives"), np.asarray(numbers, np.int64))
        part = order[np.searchsorted(np.cumsum(cycle), slot, side="right")]
        sizes = np.bincount(groups, weights=self.cycle).astype(np.int64)
        group = np.asarray(groups)[part]
        return part, cycles * sizes[group] + slot - (np.cumsum(sizes) - sizes)[group]

    def batch(self, part: int, share: float, rows: Rows, draws: Draws, tokenizer: Tokenizer) -> Batch:
        """Rows that all are of one part, which are ``share`` of their step."""
        made = self.parts[part].batch(rows, draws, tokenizer)
        weights = {name: share * made.weights.get(name, 1.0) for name in made.counts}
        return _renamed(replace(made, part=part, weights=weights), {name: self._name(part, name) for name in weights})

    def loss(self, model: "Network", batch: Batch) -> dict[str, Loss]:
        """Those of the batch's part, under its name."""
        own = self._own_names(batch)
        losses = self.parts[batch.part].loss(model, _renamed(batch, own))
        return {each: losses[own[each]] for each in batch.counts}

    def wanted(self, batch: Batch) -> dict[str, Wanted]:
        """What its part wants, under its name."""
        own = self._own_names(batch)
        found = wanted(self.parts[batch.part], _renamed(batch, own))
        return {each: found[own[each]] for each in batch.counts if own[each] in found}

    def _own_names(self, batch: Batch) -> dict[str, str]:
        """What the batch's part calls its losses."""
        kind, name = self.parts[batch.part].kind, self.names[batch.part]
        return {each: kind if each == name else each.removeprefix(f"{name}.") for each in batch.counts}

    def _name(self, part: int, loss: str) -> str:
        """Of one of a part's losses, among those of all: the part's own, where it has but one, of its kind."""
        name = self.names[part]
        return name if loss == self.parts[part].kind else f"{name}.{loss}"


def _renamed(batch: Batch, names: Mapping[str, str]) -> Batch:
    """A batch whose losses have other names."""
    return replace(
        batch,
        counts={names[name]: count for name, count in batch.counts.items()},
        weights={names[name]: weight for name, weight in batch.weights.items()},
        targets={names.get(name, name): target for name, target in batch.targets.items()},
    )
