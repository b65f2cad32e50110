"""What may be written next, whatever the model thinks probable: the same rules for sampling and for beams.

Definitions and order are those of the field's common library: bias, repetition penalty (Keskar et al. 2019, section
4.1), no n-gram twice (Paulus et al. 2017, section 2.5), banned words, no end before ``min_tokens``, and tokens that a
model's files force to the beginning or to the end. Between the repetition penalty and the n-grams come two penalties
that are known from services and that library lacks: presence, for every token that was written, and frequency, for
each time that it was. R rows (sequences), V vocabulary, T tokens so far.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor

from trivium.errors import SettingsError
from trivium.generation.prompts import Prompt

NOTHING = -1  # in rows of different lengths, where no token is


class TextSettings(Protocol):
    """What every way to write can be told about the text."""

    @property
    def max_tokens(self) -> int: ...
    @property
    def min_tokens(self) -> int: ...
    @property
    def no_repeat_ngram(self) -> int: ...
    @property
    def repetition_penalty(self) -> float: ...
    @property
    def stop(self) -> tuple[str, ...]: ...
    @property
    def banned_words(self) -> tuple[str, ...]: ...
    @property
    def forced_words(self) -> tuple[str, ...]: ...


Limit = tuple[str, bool, str]  # a setting, whether it is allowed, what is


def text_limits(settings: TextSettings) -> list[Limit]:
    """Those of the settings that every way to write has."""
    return [
        ("max_tokens", settings.max_tokens >= 1, "at least 1"),
        ("min_tokens", 0 <= settings.min_tokens <= settings.max_tokens, f"0 to max_tokens = {settings.max_tokens}"),
        ("no_repeat_ngram", settings.no_repeat_ngram >= 0, "0 (all may) or above"),
        ("repetition_penalty", 0 < settings.repetition_penalty < float("inf"), "above 0, 1 for none"),
        ("stop", all(settings.stop), "made of texts that are not empty"),
        ("banned_words", all(settings.banned_words), "made of words that are not empty"),
        ("forced_words", all(settings.forced_words), "made of words that are not empty"),
    ]


def check_settings(settings: object, *limits: Limit) -> None:
    """Refuses the first that is not allowed."""
    for name, holds, allowed in limits:
        if not holds:
            raise SettingsError(f"{name} is {getattr(settings, name)!r}: it must be {allowed}")


@dataclass(frozen=True)
class Forced:
    """Tokens that stand at fixed places, whatever the model says: BART's summaries begin with ``<s>``."""

    first: int | None = None  # after a prompt of one token: what an encoder-decoder writes first
    last: int | None = None  # where there is room for one more token


class Constraint(Protocol):
    """What one text may look like as a whole (a grammar, a schema): asked before each token and told it after."""

    @property
    def complete(self) -> bool:
        """Nothing more may come."""
        ...

    def allowed(self) -> Tensor:
        """(V,) bool: the tokens that may come next, an end token where the text may end."""
        ...

    def take(self, token: int) -> None:
        """This one came."""
        ...


@dataclass(frozen=True)
class Rules:
    """Of one way to write. ``ends``: tokens that end a text."""

    ends: frozenset[int]
    min_tokens: int = 0
    no_repeat_ngram: int = 0
    repetition_penalty: float = 1.0
    forced: Forced = Forced()
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    bias: tuple[tuple[int, float], ...] = ()  # added to the scores of tokens
    banned: tuple[tuple[int, ...], ...] = ()  # sequences of tokens that are not written

    @classmethod
    def of(
        cls, settings: TextSettings, ends: frozenset[int], forced: Forced, banned: tuple[tuple[int, ...], ...] = ()
    ) -> Self:
        return cls(
            ends, settings.min_tokens, settings.no_repeat_ngram, settings.repetition_penalty, forced, banned=banned
        )

    @property
    def none(self) -> bool:
        """Whether they leave all scores as they are."""
        settings = self.min_tokens or self.bias or self.banned or self.forced != Forced()
        return not settings and not self.look_back

    @property
    def look_back(self) -> bool:
        """Whether they ask for the text so far."""
        long = any(len(each) > 1 for each in self.banned)
        return self.no_repeat_ngram > 0 or self.repetition_penalty != 1 or self.counts or long

    @property
    def counts(self) -> bool:
        """Whether they ask how often each token was written."""
        return self.presence_penalty != 0 or self.frequency_penalty != 0

    def apply(
        self, scores: Tensor, text: Tensor | None, step: int | Sequence[int], firsts: Tensor, lasts: Tensor
    ) -> Tensor:
        """(R, V) scores (logits, or log-probabilities) as the rules change them; -inf where they forbid a token.

        ``text``: (R, T) of prompt and new tokens, if they look back; ``step`` new tokens were written, or so many in
        each row; ``firsts`` and ``lasts``: (R,) bool, the rows that write after a single token, and those with room for
        one more.
        """
        device, size = scores.device, scores.shape[1]
        written = [step] * len(scores) if isinstance(step, int) else step
        if self.bias:
            tokens, added = (list(each) for each in zip(*self.bias, strict=True))
            scores = scores.index_add(1, torch.tensor(tokens, device=device), _each(added, scores))
        if text is not None and self.repetition_penalty != 1:
            scores = penalised(scores, seen(text, size), self.repetition_penalty)
        if text is not None and self.counts:
            times = counted(text, written, size)
            scores = scores - self.frequency_penalty * times - self.presence_penalty * (times > 0)
        if text is not None and self.no_repeat_ngram:
            scores = scores.masked_fill(completing(text, self.no_repeat_ngram, size), -torch.inf)
        for banned in self.banned:
            if len(banned) == 1 or (text is not None and text.shape[1] >= len(banned) - 1):
                scores = _without(scores, banned, text)
        if self.ends and min(written) < self.min_tokens:
            early = torch.tensor([each < self.min_tokens for each in written], device=device)
            ending = torch.tensor(sorted(self.ends), device=device)
            scores = scores.index_copy(1, ending, scores[:, ending].masked_fill(early[:, None], -torch.inf))
        if self.forced.first is not None and min(written) == 0:
            begins = torch.tensor([each == 0 for each in written], device=device)
            scores = _only(scores, self.forced.first, firsts & begins)
        if self.forced.last is not None:
            scores = _only(scores, self.forced.last, lasts)
        return scores


def _each(values: Sequence[float], scores: Tensor) -> Tensor:
    """The same values in every row of scores."""
    return torch.tensor(values, device=scores.device, dtype=scores.dtype).expand(len(scores), -1)


def _without(scores: Tensor, banned: Sequence[int], text: Tensor | None) -> Tensor:
    """The last token of a banned sequence is forbidden where the others have just been written."""
    last = torch.tensor([banned[-1]], device=scores.device)
    if len(banned) == 1:
        return scores.index_fill(1, last, -torch.inf)
    assert text is not None
    begun = torch.tensor(banned[:-1], device=scores.device)
    there = (text[:, text.shape[1] - len(begun) :] == begun).all(dim=1)
    return scores.index_copy(1, last, scores[:, last].masked_fill(there[:, None], -torch.inf))


def _only(scores: Tensor, token: int, rows: Tensor) -> Tensor:
    """The token scores 0 in these rows (R,), and all others -inf."""
    forced = torch.full_like(scores[:1], -torch.inf)
    forced[:, token] = 0.0
    return torch.where(rows[:, None], forced, scores)


def penalised(scores: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """(R, V) scores with those of the tokens ``seen`` (R, V bool) divided by ``penalty``, or multiplied if negative."""
    return torch.where(seen, torch.where(scores < 0, scores * penalty, scores / penalty), scores)


def seen(text: Tensor, vocabulary: int) -> Tensor:
    """(R, V) bool: the tokens of each row of ``text`` (R, T)."""
    outside = (text < 0) | (text >= vocabulary)
    marks = torch.zeros(len(text), vocabulary + 1, dtype=torch.bool, device=text.device)
    return marks.scatter_(1, text.masked_fill(outside, vocabulary), True)[:, :vocabulary]


def counted(text: Tensor, written: Sequence[int], vocabulary: int) -> Tensor:
    """(R, V) float32: how often each token is among the last ``written`` of each row of ``text`` (R, T)."""
    columns = torch.arange(text.shape[1], device=text.device)
    ours = columns >= text.shape[1] - torch.tensor(written, device=text.device)[:, None]
    kept = text.masked_fill(~ours | (text < 0) | (text >= vocabulary), vocabulary)
    times = torch.zeros(len(text), vocabulary + 1, device=text.device)
    return times.scatter_add_(1, kept, torch.ones_like(kept, dtype=times.dtype))[:, :vocabulary]


def completing(text: Tensor, size: int, vocabulary: int) -> Tensor:
    """(R, V) bool: the tokens after which a row of ``text`` (R, T) would hold an n-gram of ``size`` tokens twice."""
    if text.shape[1] < size:
        return torch.zeros(len(text), vocabulary, dtype=torch.bool, device=text.device)
    grams = text.unfold(1, size, 1)  # (R, T - size + 1, size)
    begun = text[:, text.shape[1] + 1 - size :]  # (R, size - 1)
    again = (grams[..., :-1] == begun[:, None]).all(dim=-1)
    return seen(grams[..., -1].masked_fill(~again, NOTHING), vocabulary)


def check_any_left(scores: Tensor, settings: TextSettings) -> None:
    """Refuses (R, V) scores of which a row has no token left."""
    if bool((scores.amax(dim=-1) == -torch.inf).any()):
        raise nothing_left(settings)


def nothing_left(settings: TextSettings) -> SettingsError:
    """What to say where the rules forbid every token."""
    if not settings.no_repeat_ngram:
        return SettingsError(
            "no token is left to go on with: the form of the text, min_tokens, banned and forced words rule out "
            "every one"
        )
    return SettingsError(
        f"no token is left to go on with: every one would repeat a sequence of {settings.no_repeat_ngram} tokens: make "
        "no_repeat_ngram larger, or max_tokens smaller"
    )


def texts(prompts: Sequence[Prompt], device: torch.device) -> Tensor:
    """(R, T): the prompts, each at the end of its row."""
    widest = max(len(prompt.ids) for prompt in prompts)
    rows = [[NOTHING] * (widest - len(prompt.ids)) + list(prompt.ids) for prompt in prompts]
    return torch.tensor(rows, device=device)
