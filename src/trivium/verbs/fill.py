"""``trivium fill``: blanks in a text, with probabilities."""

from collections.abc import Sequence
from pathlib import Path

from trivium.generation.fill import Filling
from trivium.verbs.load import LanguageModel, Precision, load


def fill(
    model: str | Path | LanguageModel,
    text: str,
    *,
    top: int = 5,
    size: int | Sequence[int] | None = None,
    precision: Precision = "float32",
    device: str = "auto",
) -> Filling:
    """The text with its blanks (``___`` or ``<mask>``) filled, and the ``top`` candidates for each.

    An encoder puts one token into each blank, an encoder-decoder trained by span corruption a span of any length, or
    with ``size`` of so many tokens (one number for each blank, or one for all).
    The probabilities of a blank's candidates and of all others together are 1.
    """
    return load(model, precision=precision, device=device).fill(text, top, size)
