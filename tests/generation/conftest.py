"""Tiny models with random weights, wide enough apart that no two tokens tie."""

from collections.abc import Callable

import pytest

from trivium.transformer import (
    Learned,
    Model,
    NoPosition,
    Position,
    RelativeBias,
    Rotary,
    Sinusoidal,
    TransformerConfig,
    initialise,
)

POSITIONS: dict[str, Position] = {
    "learned": Learned(),
    "sinusoidal": Sinusoidal(),
    "rotary": Rotary(),
    "relative": RelativeBias(buckets=8, distance=20),
    "none": NoPosition(),
}


def build(encoder: int = 0, decoder: int = 0, position: str = "learned", vocab: int = 64, context: int = 32) -> Model:
    config = TransformerConfig(
        vocab_size=vocab, width=16, heads=4, ffn_width=32, encoder_layers=encoder, decoder_layers=decoder,
        context=context, position=POSITIONS[position], init_std=0.3, start_token=0, kv_heads=2,
    )  # fmt: skip
    model = Model(config)
    initialise(model, 1)
    return model.eval()


@pytest.fixture
def tiny() -> Callable[..., Model]:
    """A function of layer counts, name of the position type, vocabulary and context."""
    return build
