"""What a head is, as data: which states it reads and what stands between them and its scores. No torch.

Two kinds are enough for every head of the published models. ``Pooled``: one vector for each row, for labels of texts,
for choices (one score a row) and for the next sentence (two). ``EachToken``: a score for each token, for labels of
tokens and for answers in a text (one score to begin there, one to end). ``EachSpan`` is a third, which none of the
published classes has: scores for stretches of words, or for pairs of them (``span_head.py``).
"""

from dataclasses import dataclass
from typing import Literal

from trivium.errors import SettingsError

Pooling = Literal["first", "last", "mean", "mix"]

SEQUENCE = "sequence"
TOKEN = "token"
SPAN = "span"
CHOICE = "choice"
NEXT_SENTENCE = "next_sentence"
SPANS = "spans"
RELATIONS = "relations"
SPAN_BOUNDARY = "span_boundary"
VALUE = "value"
"""The names under which a saved model's heads are found: ``model(inputs, heads=[SEQUENCE])``."""

MOST_LABELS = 1 << 20
MOST_UNITS = 1 << 16

OF_OBJECTIVES = (SPAN_BOUNDARY, VALUE)
"""Heads that training alone uses: a saved folder holds their weights beside the model's, and whoever opens it leaves
them out."""

LABELLED = (SEQUENCE, TOKEN, SPANS, RELATIONS)
"""The heads whose scores belong to labels with names."""


@dataclass(frozen=True)
class Pooled:
    """``pooling``: which states sum up a row: the first token's, the last one's, the mean of all, or that of a mixture
    of all layers. ``dense``: a layer of the head's own with this activation comes first; without one, ``first`` reads
    what the model's pooler makes of the first token. ``dropout`` None: the body's. ``summed``: so many neighbouring
    rows are one: their vectors are added up first (GPT-1's two orders of a pair)."""

    labels: int
    pooling: Pooling = "mean"
    dense: Literal["tanh", "relu"] | None = None
    dense_dropout: bool = False  # dropout before the dense layer, too
    bias: bool = True
    dropout: float | None = None
    mix_norm: bool = False  # each layer is normed before it is mixed
    summed: int = 1

    def __post_init__(self) -> None:
        _check(self.labels, self.dropout)
        if not 1 <= self.summed <= MOST_LABELS:
            raise SettingsError(f"a head adds up {self.summed} rows: it must be at least 1")


@dataclass(frozen=True)
class EachToken:
    """Dropout and a linear layer on every state of the last stack. ``chained``: scores of neighbouring labels, too,
    which make a conditional random field of them (``crf.py``)."""

    labels: int
    bias: bool = True
    dropout: float | None = None
    chained: bool = False

    def __post_init__(self) -> None:
        _check(self.labels, self.dropout)


@dataclass(frozen=True)
class EachSpan:
    """Labels of spans, the first of which says that there is none, from [start; end; summary; width] through a layer of
    ``hidden`` with ReLU; of ``pairs``, from two such vectors. ``ends``: what is made of the states of the first and the
    last token: a feed-forward network for each of the two, or the states themselves. ``widths``: how many widths have
    a vector of their own, in words; wider spans have the last one's."""

    labels: int
    hidden: int = 256
    ends: Literal["networks", "plain"] = "networks"
    summary: Literal["attention", "mean", "none"] = "attention"
    widths: int = 0
    pairs: bool = False
    dropout: float | None = None

    def __post_init__(self) -> None:
        _check(self.labels, self.dropout)
        for name, least in (("hidden", 1), ("widths", 0)):
            if not least <= getattr(self, name) <= MOST_UNITS:
                raise SettingsError(
                    f"a head's {name} = {getattr(self, name)}: it must be between {least} and {MOST_UNITS:,}"
                )


HeadConfig = Pooled | EachToken | EachSpan

KINDS: dict[str, type[Pooled] | type[EachToken] | type[EachSpan]] = {
    "pooled": Pooled, "token": EachToken, "span": EachSpan,
}  # fmt: skip
"""By the name that a saved folder has for the kind."""


def _check(labels: int, dropout: float | None) -> None:
    if not 0 <= labels <= MOST_LABELS:
        raise SettingsError(f"a head has {labels} labels: it needs at least one, and at most {MOST_LABELS:,}")
    if dropout is not None and not 0 <= dropout < 1:
        raise SettingsError(f"a head's dropout is {dropout}: it must be at least 0 and below 1")
