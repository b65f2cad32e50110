"""Words that a text must not or must hold, and tokens that are made more or less likely: from text to tokens.

A word is what its own tokens are, alone and after a space, as a tokenizer writes it; another spelling of the same
letters is another word. A banned one is not completed: its last token is forbidden where the others have come. A forced
one is left to the model for as long as there is room; the end is forbidden until all forced words are there, and where
the room only just holds those that are missing they are written. Search that plans for them (constrained beams,
Hokamp and Liu 2017) is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from trivium.errors import SettingsError
from trivium.generation.rules import Forced, Rules
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


def wording(sampling: Sampling, tokenizer: Tokenizer) -> Wording:
    """What the settings say, in the tokenizer's tokens."""
    banned = [each for word in sampling.banned_words for each in spellings(word, tokenizer)]
    forced = tuple(spellings(word, tokenizer) for word in sampling.forced_words)
    bias = {_token(name, tokenizer): value for name, value in sampling.biases()}
    return Wording(tuple(sorted(bias.items())), tuple(dict.fromkeys(banned)), forced)


def rules_of(sampling: Sampling, ends: frozenset[int], forced: Forced, words: Wording) -> Rules:
    """All rules of sampled texts but that of forced words, which goes by each text's room."""
    return replace(
        Rules.of(sampling, ends, forced), presence_penalty=sampling.presence_penalty,
        frequency_penalty=sampling.frequency_penalty, bias=words.bias, banned=words.banned,
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
        self.missing = [each for each in self.missing if not any(_ends(text, one) for one in each)]


def _ends(text: Sequence[int], word: Sequence[int]) -> bool:
    return tuple(text[-len(word) :]) == tuple(word)
