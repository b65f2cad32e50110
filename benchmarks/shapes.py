"""What is measured: three shapes of one size, and how many FLOPs a token of each costs.

``causal`` is GPT-2's architecture, ``masked`` BERT's with masked language modelling, ``span`` T5's (half of the layers
in each stack) with span corruption. No dropout anywhere: it costs every engine the same few percent.
"""

from dataclasses import asdict, dataclass, replace

SHAPES = ("causal", "masked", "span")
MASK_RATE = 0.15
NOISE_RATE, MEAN_SPAN = 0.15, 3.0


@dataclass(frozen=True)
class Sizes:
    """The same for every engine."""

    width: int = 384
    heads: int = 6
    ffn: int = 1536
    layers: int = 6
    context: int = 256
    vocabulary: int = 8192
    batch: int = 16

    def quick(self) -> "Sizes":
        """Just large enough to run: for tests, not for numbers."""
        return replace(self, width=32, heads=2, ffn=64, layers=2, context=32, vocabulary=512, batch=4)

    def to_dict(self) -> dict[str, int]:
        return asdict(self)


def span_lengths(raw: int) -> tuple[int, int]:
    """(input, target) lengths that T5's span corruption makes of ``raw`` tokens, an end token on both."""
    noise = min(max(round(raw * NOISE_RATE), 1), raw - 1)
    spans = min(max(round(noise / MEAN_SPAN), 1), raw - noise)
    return raw - noise + spans + 1, noise + spans + 1


def raw_length(context: int) -> int:
    """The most tokens whose corrupted input fits ``context``."""
    raw = 2
    while span_lengths(raw + 1)[0] <= context:
        raw += 1
    return raw


def flops_per_token(shape: str, sizes: Sizes) -> float:
    """FLOPs of training on one real input token (span: one source token), rows being full.

    6 per matrix weight and token that has to pass it, the vocabulary projection only where there is something to
    predict, look-ups nothing; 12 x width x keys for attention, half of that where it is causal. Work that an engine
    does beyond this (logits nobody asked for, padding) is not credited.
    """
    w, context, layers = sizes.width, sizes.context, sizes.layers
    block = 4 * w * w + 2 * w * sizes.ffn
    head = w * sizes.vocabulary
    if shape == "causal":
        return 6 * (layers * block + head) + 12 * layers * w * context / 2
    if shape == "masked":
        return 6 * (layers * block + MASK_RATE * (head + w * w)) + 12 * layers * w * context
    half = layers // 2
    _, target = span_lengths(raw_length(context))
    share = target / context  # target tokens for each source token
    encoder = 6 * half * block + 12 * half * w * context
    decoder = 6 * (half * (block + 2 * w * w) + head) + 12 * half * w * (target / 2 + context)
    return encoder + 6 * half * 2 * w * w + share * decoder
