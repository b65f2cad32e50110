"""Rows of token ids on their way from the shards to an objective."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from trivium.errors import SettingsError


@dataclass(frozen=True)
class Pairs:
    """How pairs of segments are chosen (``pairs.py``): the ids that end a sentence, how often the text is gone through,
    each time with other choices, and the share of documents whose pairs are shorter than a row."""

    ends: tuple[int, ...]
    copies: int
    short: float


@dataclass(frozen=True)
class Layout:
    """How an objective wants documents cut into rows; the cutting is done once and cached beside the shards.

    ``stream``: documents joined end to end (each ends in its end token), cut every ``length`` tokens, each row
    overlapping the next by ``overlap`` tokens; the last row is padded. ``packed``: each document, without its end
    token, is cut into pieces of at most ``length`` tokens, ``before`` and ``after`` ids included, and pieces are
    packed into rows so that little padding is left. ``pairs``: a row is two segments of whole sentences, of which the
    second follows the first in its document or is of another one; ``before`` opens it and ``after`` closes each
    segment. ``sentences``: the ids that end a sentence; packed pieces are then made of whole ones where they fit a row,
    and ``joined`` lets a piece run on over documents, with the end token between them, and gives it a row of its own.
    ``continued``: rows are to be read in the order of the text, each from the state that the one before it left.
    """

    mode: Literal["stream", "packed", "pairs"]
    length: int
    overlap: int = 0
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    continued: bool = False
    pairs: Pairs | None = None  # in mode "pairs"
    sentences: tuple[int, ...] = ()  # in mode "packed"; empty: pieces are cut at tokens
    joined: bool = False

    def __post_init__(self) -> None:
        if self.mode not in ("stream", "packed", "pairs"):
            raise SettingsError(f'layout mode is {self.mode!r}: it must be "stream", "packed" or "pairs"')
        if (self.mode == "pairs") != (self.pairs is not None):
            raise SettingsError('layout mode "pairs" and how pairs are chosen come together')
        if (self.sentences or self.joined) and (self.mode != "packed" or not self.sentences):
            raise SettingsError("whole sentences are for packed rows, and joined documents for whole sentences")
        if not 0 <= self.overlap < self.length:
            raise SettingsError(f"rows of {self.length} tokens cannot overlap by {self.overlap}")
        if len(self.before) + len(self.after) >= self.length:
            raise SettingsError(
                f"rows of {self.length} tokens leave no room for text beside "
                f"{len(self.before) + len(self.after)} control tokens: make them longer"
            )
        if self.mode == "stream" and (self.before or self.after):
            raise SettingsError("stream rows have no ids before or after: use packed")
        if self.mode == "pairs" and self.room < 2:
            raise SettingsError(f"rows of {self.length} tokens leave no room for a pair of segments: make them longer")
        if self.mode != "stream" and self.continued:
            raise SettingsError(f"{self.mode} rows do not follow each other: use stream")

    @property
    def room(self) -> int:
        """Tokens of text that a row has place for, of one piece or one pair."""
        return self.length - len(self.before) - len(self.after) * (2 if self.mode == "pairs" else 1)


@dataclass(frozen=True)
class Rows:
    """A batch of rows, right-padded with id 0 where ``documents`` is -1."""

    tokens: np.ndarray  # (B, T) int64
    documents: np.ndarray  # (B, T) int64: 0, 1, 2 ... within a row; -1 on padding; all 0 in stream mode
    positions: np.ndarray  # (B, T) int64: position within the piece; 0 on padding
    draws: np.ndarray  # (B,) int64: the draw numbers in the whole run, which key the randomness
    lanes: np.ndarray | None = None  # (B,) int64: which endless text each row goes on with, where rows are continued
    segments: np.ndarray | None = None  # (B, T) int64: 0 in a pair's first segment, 1 in its second, 0 on padding
    labels: np.ndarray | None = None  # (B,) int64: 0 where a pair's second segment follows the first, 1 elsewhere

    def in_lanes(self, lanes: np.ndarray) -> "Rows":
        """The same rows, which go on with these lanes (B,)."""
        return replace(self, lanes=lanes)

    def part(self, start: int, end: int) -> "Rows":
        """Some of the rows."""
        return Rows(
            self.tokens[start:end],
            self.documents[start:end],
            self.positions[start:end],
            self.draws[start:end],
            *(None if each is None else each[start:end] for each in (self.lanes, self.segments, self.labels)),
        )
