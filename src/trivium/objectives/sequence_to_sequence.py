"""What objectives of encoder-decoders share: a pair of ragged texts to a batch, its loss, and which models they train.

The decoder reads its targets moved right by one. T5 begins them with the padding token, BART with the end token; an
objective that begins as BART does says so in ``decoder_start``.
"""

from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
import torch

from trivium.errors import SettingsError
from trivium.objectives.cross_entropy import cross_entropy
from trivium.objectives.objective import Batch, Loss
from trivium.objectives.packing import pack, places, steady
from trivium.objectives.sentinels import Ragged
from trivium.transformer import Config, Inputs

if TYPE_CHECKING:
    from trivium.transformer import Network


@runtime_checkable
class StartsDecoder(Protocol):
    """An objective that says with which token a decoder begins; of all others it is the padding token."""

    decoder_start: ClassVar[Literal["pad", "end"]]


def starts_with_end(objective: object) -> bool:
    """Whether models that this objective trains begin to write after the end token, as BART does."""
    return isinstance(objective, StartsDecoder) and objective.decoder_start == "end"


def pair_batch(name: str, inputs: Ragged, targets: Ragged, start: int, draws: np.ndarray) -> Batch:
    """Inputs (B, S) for the encoder and targets (B, T) for the decoder, every real one of which has a loss."""
    real = targets.real
    shifted = np.pad(targets.tokens[:, :-1], ((0, 0), (1, 0)), constant_values=start)
    sides = Inputs(
        source=pack(inputs.tokens, np.where(inputs.real, 0, -1)), target=pack(shifted, np.where(real, 0, -1))
    )
    wanted = {name: torch.from_numpy(targets.tokens[real])}
    if (at := places(real)) is not None:
        wanted["at"] = at
    count = int(targets.lengths.sum())
    return Batch(sides, wanted, {name: count}, int(inputs.lengths.sum()) + count, draws.tolist())


def pair_loss(name: str, model: "Network", batch: Batch) -> dict[str, Loss]:
    """-log P of every target, given the inputs and the targets before it."""
    logits = model(batch.inputs, at=steady(batch.targets.get("at"))).logits
    return {name: Loss(cross_entropy(logits, batch.targets[name]), batch.counts[name])}


def refuse_others(name: str, config: Config) -> None:
    """Refuses a model that is not an encoder-decoder."""
    if not (config.encoder_layers and config.decoder_layers):
        raise SettingsError(
            f"the {name} objective trains an encoder-decoder, but the model has {config.encoder_layers} "
            f"encoder and {config.decoder_layers} decoder layers: set both"
        )
