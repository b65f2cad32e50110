"""Three pairs of token rows, a tiny model, and what it says of one reply that is read alone."""

import numpy as np
import torch

from trivium.alignment.pairs import Side, TokenPair
from trivium.transformer import (
    SEQUENCE,
    Inputs,
    Model,
    Pooled,
    Tokens,
    TransformerConfig,
    initialise,
    make_head,
)


def pair(prompt: list[int], chosen: list[int], rejected: list[int], margin: float = 0.0) -> TokenPair:
    def side(reply: list[int]) -> Side:
        return Side(np.array(prompt + reply, np.int64), np.arange(len(prompt), len(prompt) + len(reply)))

    return TokenPair(side(chosen), side(rejected), margin)


PAIRS = (
    pair([1, 2, 3], [4, 5], [6]),
    pair([7, 8], [9, 10, 11, 12], [9, 10, 13]),  # the replies begin alike
    pair([1, 2, 3, 4, 5], [6], [6, 7, 8], margin=0.5),  # one reply is the beginning of the other
)


def config(**fields: object) -> TransformerConfig:
    settings = {"vocab_size": 29, "width": 32, "heads": 4, "ffn_width": 48, "context": 32, "init_std": 0.3}
    return TransformerConfig(**{**settings, "decoder_layers": 2, **fields})  # type: ignore[arg-type]


def network(**fields: object) -> Model:
    made = config(**fields)
    return initialise(Model(made, {SEQUENCE: make_head(made, Pooled(1, "last", bias=False))}), 3).eval()


def alone(model: Model, side: Side) -> tuple[float, float]:
    """A reply's log-probability and reward, token by token and without a batch."""
    ids = torch.from_numpy(side.ids)[None]
    outputs = model(Inputs(target=Tokens(ids)), at="all", heads=(SEQUENCE,))
    logs = outputs.logits[0].log_softmax(-1)
    total = sum(logs[place - 1, side.ids[place]].item() for place in side.said)
    return total, outputs.heads[SEQUENCE].item()
