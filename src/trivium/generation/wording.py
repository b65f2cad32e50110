"""Words that a text must not or must hold, and tokens that are made more or less likely: from text to tokens.

A word is what its own tokens are, alone and after a space, as a tokenizer writes it; another spelling of the same
letters is another word. A banned one is not completed: its last token is forbidden where the others have come. A forced
one is left to the model for as long as there is room; the end is forbidden until all forced words are there, and where
the room only just holds those that are missing they are written. Beam search plans for them (``search.py``).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from trivium.errors import SettingsError
from trivium.generation.rules import Forced, Rules, TextSettings
from trivium.generation.sampling import Sampling
from trivium.tokenizers import Tokenizer

Spellings = tuple[tuple[int, ...], ...]  # of one word: the first is the one that is written


@dataclass(frozen=True)
class Wording:
    """The words and biases of a text, as tokens."""

    bias: tuple[tuple[int, float], ...] = ()
    banned: tuple[tuple[int, ...], ...] = ()
    forced: tuple[Spellings, ...] = ()

    @property
    def room(self) -> int:
        """How many tokens the forced words take."""
        return sum(len(spellings[0]) for spellings in self.forced)

    def check_room(self, room: int, forced: Forced) -> None:
        """Refuses words that do not fit into a text of ``room`` tokens."""
        words = self.room + (forced.last is not None)
        if self.forced and words > room:
            raise SettingsError(f"the forced words take {words} tokens, and there is room for {room}: raise max_tokens")


def wording(settings: TextSettings, tokenizer: Tokenizer) -> Wording:
    """What the settings say, in the tokenizer's tokens."""
    banned = [each for word in settings.banned_words for each in spellings(word, tokenizer)]
    forced = tuple(spellings(word, tokenizer) for word in settings.forced_words)
    biases = settings.biases() if isinstance(settings, Sampling) else []
    bias = {_token(name, tokenizer): value for name, value in biases}
    return Wording(tuple(sorted(bias.items())), tuple(dict.fromkeys(banned)), forced)


def rules_of(sampling: Sampling, ends: frozenset[int], forced: Forced, words: Wording) -> Rules:
    """All rules of sampled texts but that of forced words, which goes by each text's room."""
    return replace(
        Rules.of(sampling, ends, forced, words.banned), presence_penalty=sampling.presence_penalty,
        frequency_penalty=sampling.frequency_penalty, bias=words.bias,
    )  # fmt: skip


def spellings(word: str, tokenizer: Tokenizer) -> Spellings:
    """After a space and as it is."""
    found = [tuple(tokenizer.encode(text).ids) for text in (f" {word.lstrip(' ')}", word)]
    if not all(found) or any(tokenizer.unknown in each for each in found):
        raise SettingsError(f"the word {word!r} cannot be written in this tokenizer's tokens: leave it out")
    return tuple(dict.fromkeys(found))


def _token(name: str, tokenizer: Tokenizer) -> int:
    if name.isascii() and name.isdecimal():
        number = int(name)
        if number >= tokenizer.vocab_size:
            raise SettingsError(f"logit_bias names token {name}, and this tokenizer has {tokenizer.vocab_size} tokens")
        return number
    ids = tokenizer.encode(name).ids
    if len(ids) != 1:
        raise SettingsError(
            f"logit_bias names {name!r}, which is {len(ids)} tokens ({', '.join(map(str, ids))}): name one of them"
        )
    return ids[0]


@dataclass
class Wanted:
    """The forced words that a text does not hold yet."""

    missing: list[Spellings]
    queue: list[int] = field(default_factory=list)  # tokens that are written now, whatever the model says

    def next(self, room: int) -> int | None:
        """The token that has to come, with room for ``room`` more; None: the model chooses."""
        if not self.queue and self.missing and room <= sum(len(each[0]) for each in self.missing):
            self.queue = [token for each in self.missing for token in each[0]]
        return self.queue[0] if self.queue else None

    def take(self, text: Sequence[int]) -> None:
        """The new tokens of a text, of which the last has just come."""
        if self.queue:
            self.queue.pop(0)
        self.missing = list(still_missing(self.missing, text))

    def steer(self, scores: Tensor, room: int, ends: frozenset[int]) -> Tensor:
        """(V,) scores with the token that has to come alone, or without those of an end while words are missing."""
        token = self.next(room)
        if token is not None:
            return torch.full_like(scores, -torch.inf).index_fill(0, torch.tensor(token, device=scores.device), 0.0)
        if self.missing and ends:
            return scores.index_fill(0, torch.tensor(sorted(ends), device=scores.device), -torch.inf)
        return scores


def still_missing(missing: Sequence[Spellings], text: Sequence[int]) -> tuple[Spellings, ...]:
    """Of the words that a text missed before its last token came, those that it misses now."""
    return tuple(each for each in missing if not any(tuple(text[-len(one) :]) == one for one in each))


def still_to_come(missing: Sequence[Spellings], text: Sequence[int]) -> int:
    """How many tokens the missing words take, one of which may have begun at the end of the text."""
    begun = (len(each[0]) - len(one) + _begun(one, text) for each in missing for one in each if _begun(one, text))
    return sum(len(each[0]) for each in missing) - max([0, *begun])


def going_on(missing: Sequence[Spellings], text: Sequence[int]) -> set[int]:
    """The tokens that the missing words begin with, or go on with where one has begun."""
    return {one[_begun(one, text)] for each in missing for one in each if one is each[0] or _begun(one, text)}


def _begun(word: Sequence[int], text: Sequence[int]) -> int:
    """How many of its first tokens, but not all, a text ends with."""
    most = min(len(word) - 1, len(text))
    return next((count for count in range(most, 0, -1) if tuple(text[-count:]) == tuple(word[:count])), 0)
