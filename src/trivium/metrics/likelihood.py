"""Perplexity and bits: what a language model's summed negative log-likelihood (in nats) means.

Perplexity per token depends on the tokenizer; only values per word, byte and character compare across tokenizers.
Words, bytes and characters are those of the original text.
"""

import math


def likelihood(
    nll: float, tokens: int, *, words: int | None = None, characters: int | None = None, bytes: int | None = None
) -> dict[str, float]:
    """``loss`` and ``perplexity`` per token; ``word_perplexity``, ``bits_per_character`` and ``bits_per_byte`` for the
    counts that are given."""
    if tokens < 1:
        raise ValueError("no token was scored")
    scores = {"loss": nll / tokens, "perplexity": _exp(nll / tokens)}
    if words:
        scores["word_perplexity"] = _exp(nll / words)
    if characters:
        scores["bits_per_character"] = nll / (characters * math.log(2))
    if bytes:
        scores["bits_per_byte"] = nll / (bytes * math.log(2))
    return scores


def _exp(value: float) -> float:
    return math.exp(value) if value < 709 else math.inf
