"""A reward model: one number for a conversation, learnt from which of two replies people preferred.

P(chosen is better) = s(r_chosen - r_rejected) (Bradley and Terry 1952; Ouyang et al. 2022, section 3.5), so that the
loss is -log s(r_chosen - r_rejected - margin); the margin is Llama 2's, larger where people were surer (Touvron et al.
2023, section 3.2.2). The reward is read at the reply's last token by a linear layer without bias, as the classes for
sequence classification of ``transformers`` do. Left out: that K ranked replies count one together; give their pairs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from trivium.alignment.pairs import PREFERENCE, TokenPairs, pair_batch
from trivium.errors import SettingsError
from trivium.objectives import Batch, Loss
from trivium.transformer import SEQUENCE, Inputs, Tokens

if TYPE_CHECKING:
    from trivium.transformer import Network


def preference_losses(chosen: Tensor, rejected: Tensor, margins: Tensor | float = 0.0) -> Tensor:
    """(B,) -log s(r_chosen - r_rejected - margin)."""
    return -F.logsigmoid(chosen - rejected - margins)


def rewards_at(model: "Network", inputs: Inputs, last: Tensor) -> Tensor:
    """(N,) float32: the head's numbers for the states at flat places (N,) of the rows."""
    hidden = model(inputs).hidden.flatten(0, 1).index_select(0, last)[:, None]  # (N, 1, W)
    scores: Tensor = model.heads[SEQUENCE](hidden, Tokens(last[:, None]))
    return scores[:, 0].float()


class Judged(NamedTuple):
    """What a reward model says of pairs: (N,) each."""

    chosen: Tensor
    rejected: Tensor


@dataclass(frozen=True)
class RewardModelling:
    """``center``: times the mean of (r_chosen + r_rejected)^2, which keeps rewards near 0 (Eisenstein et al. 2023)."""

    center: float = 0.0

    def __post_init__(self) -> None:
        if self.center < 0:
            raise SettingsError(f"center = {self.center}: it must not be negative")

    watched: ClassVar[tuple[str, ...]] = ("accuracy", "margin")

    def batch(self, pairs: TokenPairs, numbers: np.ndarray) -> Batch:
        """The pairs of these numbers."""
        return watching(pair_batch(pairs, numbers), self.watched)

    def judged(self, model: "Network", batch: Batch) -> Judged:
        """The rewards of a batch of pairs."""
        return Judged(*rewards_at(model, batch.inputs, batch.targets["last"]).chunk(2))

    def loss(self, model: "Network", batch: Batch) -> dict[str, Loss]:
        """What is learnt, and beside it what is watched (weight 0): accuracy and margin."""
        said, count = self.judged(model, batch), batch.counts[PREFERENCE]
        losses = preference_losses(said.chosen, said.rejected, batch.targets["margins"])
        if self.center:
            losses = losses + self.center * (said.chosen + said.rejected).square()
        apart = (said.chosen - said.rejected).detach()
        figures = {"accuracy": (apart > 0).float(), "margin": apart}
        return {PREFERENCE: Loss(losses.sum(), count)} | watched_losses(figures, count)


def watching(batch: Batch, names: Sequence[str]) -> Batch:
    """With figures of each pair that are logged, and from which nothing is learnt."""
    counts = batch.counts | dict.fromkeys(names, batch.counts[PREFERENCE])
    return replace(batch, counts=counts, weights={**batch.weights, **dict.fromkeys(names, 0.0)})


def watched_losses(values: Mapping[str, Tensor], count: int) -> dict[str, Loss]:
    """Figures of a batch's pairs (B,) in the form of losses."""
    return {name: Loss(value.sum(), count) for name, value in values.items()}
