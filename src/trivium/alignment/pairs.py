"""Preference pairs as token rows: two replies to one prompt, the better one first.

Both conversations begin alike, so a decoder that can reads the common beginning once and both endings after it, in one
row: neither ending sees the other, and positions go on from the beginning in both. Networks that know positions only
from offsets in a row, and recurrent ones, read two rows. The numbers are the same.

P tokens of the common beginning, C and R tokens of the two conversations; B pairs, N predicted tokens of a batch.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from trivium.errors import DataError
from trivium.objectives import Batch
from trivium.text.chat_fields import EqualSidesError
from trivium.text.chats import Preference
from trivium.text.examples import Located
from trivium.tokenizers.chats import ChatRenderer
from trivium.transformer import Config, Inputs, Tokens
from trivium.transformer.config import RelativeBias, TransformerConfig

PREFERENCE = "preference"
"""The name of the loss that counts pairs."""


@dataclass(frozen=True, eq=False)
class Side:
    """A conversation up to the end of its last reply, and where the tokens stand that the assistant says in answer to
    the prompt, those that end its turns among them."""

    ids: np.ndarray  # (C,) int64
    said: np.ndarray  # (K,) int64, from 1 on


@dataclass(frozen=True, eq=False)
class TokenPair:
    """``margin``: by how much the chosen reply's reward should be the larger."""

    chosen: Side
    rejected: Side
    margin: float = 0.0

    @cached_property
    def common(self) -> int:
        """P: how many tokens both conversations begin with."""
        length = min(len(self.chosen.ids), len(self.rejected.ids))
        differ = np.flatnonzero(self.chosen.ids[:length] != self.rejected.ids[:length])
        return int(differ[0]) if len(differ) else length


@dataclass(frozen=True, eq=False)
class TokenPairs:
    """N pairs, ready to be batched. ``shared``: the common beginning is read once."""

    pairs: Sequence[TokenPair]
    shared: bool
    truncated: int = 0  # replies that were cut at their end

    def __len__(self) -> int:
        return len(self.pairs)

    @cached_property
    def lengths(self) -> np.ndarray:
        """(N,) int64: tokens that a pair takes in a batch."""
        if self.shared:
            return np.array([len(p.chosen.ids) + len(p.rejected.ids) - p.common for p in self.pairs], np.int64)
        return np.array([2 * max(len(p.chosen.ids), len(p.rejected.ids)) for p in self.pairs], np.int64)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all tokens, and of which of them are said."""
        found = hashlib.sha256()
        for pair in self.pairs:
            for side in (pair.chosen, pair.rejected):
                found.update(np.array([len(side.ids), len(side.said)], "<i8").tobytes())
                found.update(np.concatenate((side.ids, side.said)).astype("<i8").tobytes())
        return found.hexdigest()


def reads_endings(config: Config) -> bool:
    """Whether two endings of one beginning can stand in a row: each token's place is told by its number alone."""
    return (
        isinstance(config, TransformerConfig)
        and config.encoder_layers == 0
        and config.band is None
        and not isinstance(config.position, RelativeBias)
    )


def pair_batch(pairs: TokenPairs, numbers: np.ndarray) -> Batch:
    """The pairs of these numbers, right-padded: (B, T) where the beginning is shared, else (2B, T), the chosen first.

    ``targets``, flat places into the rows, sides numbered 0 to B - 1 (chosen) and B to 2B - 1 (rejected):
    ``at`` (N,) the places that replies' tokens are predicted from, ``tokens`` (N,) those tokens, ``sides`` (N,) whose
    they are; ``last`` (2B,) where each side ends; ``margins`` (B,).
    """
    chosen = [pairs.pairs[number] for number in numbers]
    laid_out = [_together(pair) for pair in chosen] if pairs.shared else _apart(chosen)
    width = max(len(row.ids) for row in laid_out)
    real = np.arange(width) < np.array([len(row.ids) for row in laid_out])[:, None]
    at, tokens, sides, last = [], [], [], np.zeros(2 * len(chosen), np.int64)
    for number, row in enumerate(laid_out):
        for side, (conversation, places) in enumerate(row.sides):
            own = number + side * len(chosen)  # of a row alone, the number is that of its side
            at.append(number * width + places[conversation.said - 1])
            tokens.append(conversation.ids[conversation.said])
            sides.append(np.full(len(conversation.said), own))
            last[own] = number * width + places[-1]

    def padded(parts: Sequence[np.ndarray]) -> torch.Tensor:
        array = np.zeros(real.shape, np.int64)
        array[real] = np.concatenate(parts)
        return torch.from_numpy(array)

    side_tokens = Tokens(
        ids=padded([row.ids for row in laid_out]),
        documents=None if real.all() else torch.from_numpy(np.where(real, 0, -1)),
        positions=padded([row.positions for row in laid_out]) if pairs.shared else None,
        branches=padded([row.branches for row in laid_out]) if pairs.shared else None,
    )
    targets = {
        "at": torch.from_numpy(np.concatenate(at)),
        "tokens": torch.from_numpy(np.concatenate(tokens)),
        "sides": torch.from_numpy(np.concatenate(sides)),
        "last": torch.from_numpy(last),
        "margins": torch.tensor([pair.margin for pair in chosen]),
        "numbers": torch.from_numpy(np.asarray(numbers, np.int64)),
    }
    inputs = Inputs(target=side_tokens)
    return Batch(inputs, targets, {PREFERENCE: len(chosen)}, int(real.sum()), np.asarray(numbers).tolist())


@dataclass(frozen=True, eq=False)
class _Row:
    ids: np.ndarray
    positions: np.ndarray
    branches: np.ndarray
    sides: Sequence[tuple[Side, np.ndarray]]  # each with the place in the row of each of its tokens


def _together(pair: TokenPair) -> _Row:
    first, second, common = pair.chosen.ids, pair.rejected.ids, pair.common
    own = np.arange(common, len(second))  # what the rejected side does not share
    places = np.concatenate((np.arange(common), own + len(first) - common))
    return _Row(
        ids=np.concatenate((first, second[common:])),
        positions=np.concatenate((np.arange(len(first)), own)),
        branches=np.repeat([0, 1, 2], [common, len(first) - common, len(own)]),
        sides=((pair.chosen, np.arange(len(first))), (pair.rejected, places)),
    )


def _apart(pairs: Sequence[TokenPair]) -> list[_Row]:
    rows = []
    for side in (*(pair.chosen for pair in pairs), *(pair.rejected for pair in pairs)):
        places = np.arange(len(side.ids))
        rows.append(_Row(side.ids, places, np.zeros_like(places), ((side, places),)))
    return rows


def pair_of(renderer: ChatRenderer, located: Located[Preference], ends: Collection[int]) -> TokenPair:
    """A preference as token rows. ``ends``: the tokens at which the model stops to write."""
    preference, place = located.example, located.place
    sides = []
    for messages in (preference.chosen, preference.rejected):
        rendered = renderer.render((*preference.prompt, *messages), ends, place)
        said = np.flatnonzero(rendered.replies >= len(preference.prompt))
        if not said[0]:
            raise DataError(f"{place}: the chat template writes nothing before the reply: use one that writes a prompt")
        sides.append(Side(rendered.ids[: said[-1] + 1], said))
    if np.array_equal(sides[0].ids, sides[1].ids):
        raise EqualSidesError(
            f"{place}: 'chosen' and 'rejected' are the same tokens, so nothing is preferred: remove this row"
        )
    return TokenPair(sides[0], sides[1], preference.margin)
