"""Speculative decoding (Leviathan et al. 2023): a small model drafts, the model itself checks all of it at once.

Reading several tokens costs a model little more than reading one, so each draft token that is accepted saves a step. A
draft token x, drawn from q, is accepted with probability min(1, p(x) / q(x)), where p is the model's own distribution;
the first that is not is replaced by a draw from max(0, p - q), scaled to 1. What is written is distributed as if the
model had written alone (their appendix A.1), with all rules, filters and forms; at temperature 0 it is the same text.

A draft token's three random numbers (its own, whether it is accepted, what replaces it) belong to its position, and a
position is settled once: what was drafted behind a rejected token is forgotten together with numbers that nothing
depended on. Texts are written one after another; what gains is the time of each. Left out: models that cannot take back
what they have read (recurrent and two-stream ones), and trees of drafts. g draft tokens, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from trivium.errors import SettingsError
from trivium.generation.constraints import Guide, constrained
from trivium.generation.engine import Choice, Finish, finish_of, rooms
from trivium.generation.prompts import Prompt
from trivium.generation.rows import check_length, read_both_ways, right_padded
from trivium.generation.rules import Forced, check_any_left
from trivium.generation.sampling import Sampling, check_finite, drawn, probabilities
from trivium.generation.wording import Wording, rules_of
from trivium.randomness import Draws, key
from trivium.transformer import Inputs, Network, Tokens
from trivium.transformer.cache import Cache
from trivium.transformer.network import answers


@dataclass(frozen=True)
class Draft:
    """The model that drafts, of the same vocabulary, and how many tokens at a time."""

    model: Network
    tokens: int = 4

    def __post_init__(self) -> None:
        if self.tokens < 1:
            raise SettingsError(f"draft_tokens is {self.tokens}: it must be at least 1")


@dataclass
class Acceptance:
    """Of how many draft tokens that were looked at how many were accepted, and in how many passes of the model."""

    tried: int = 0
    accepted: int = 0
    passes: int = 0

    @property
    def rate(self) -> float | None:
        return self.accepted / self.tried if self.tried else None


class _State(NamedTuple):
    """A text so far. ``guide``: where it stands in its form; ``finish`` is set when it is over."""

    written: tuple[int, ...]
    guide: Guide | None
    finish: Finish | None = None


class _Guess(NamedTuple):
    """A draft token, the text before it and with it, and what it was drawn from, (1, V)."""

    token: int
    before: _State
    after: _State
    chances: Tensor


class SpeculativeDecoding:
    """Iterating over it yields one ``Choice`` at a time, text by text; arguments as of ``Decoding``."""

    def __init__(
        self, model: Network, prompts: Sequence[Prompt], sampling: Sampling, ends: frozenset[int], vocabulary: int,
        draft: Draft, forced: Forced = Forced(), guides: Sequence[Guide] = (),  # noqa: B008 (frozen)
        words: Wording = Wording(),  # noqa: B008 (frozen)
    ):  # fmt: skip
        self._rooms = rooms(model, prompts, sampling.max_tokens)
        for each, what in ((model, "this model"), (draft.model, "the draft model")):
            if each.config.two_stream or each.config.carries_state or not each.config.decoder_layers:
                raise SettingsError(
                    f"{what} cannot take back what it has read, which speculative decoding asks for: use a decoder or "
                    "an encoder-decoder of Transformer layers"
                )
        if answers(model.config) != answers(draft.model.config):
            raise SettingsError("a decoder drafts for a decoder, and an encoder-decoder for an encoder-decoder")
        for prompt in prompts:
            check_length(len(prompt.source or ()), draft.model.config.limit, "for the draft model the prompt")
        self._model, self._draft, self._prompts, self._sampling = model, draft, prompts, sampling
        self._rules, self._vocabulary, self._guides = rules_of(sampling, ends, forced, words), vocabulary, guides
        self._stopped: set[int] = set()
        self.acceptance = [Acceptance() for _ in prompts]

    def stop(self, row: int) -> None:
        """Leaves a sequence as it is; no more choices come for it."""
        self._stopped.add(row)

    def __iter__(self) -> Iterator[list[Choice]]:
        for row in range(len(self._prompts)):
            for choice in self._write(row):
                yield [choice]
                if row in self._stopped:
                    break

    def _write(self, row: int) -> Iterator[Choice]:
        prompt, room, limit = self._prompts[row], self._rooms[row], self._draft.model.config.limit
        model, drafter = _Reader(self._model, prompt, room), _Reader(self._draft.model, prompt, room)
        noise = _noise(self._sampling, prompt, room)
        state = _State((), self._guides[row] if self._guides else None)
        while not state.finish:
            # the model also says what comes after the last draft token, so there must be room for one more
            most = min(self._draft.tokens, room - len(state.written) - 1)
            if limit is not None:
                most = min(most, limit + 1 - len(prompt.ids) - len(state.written))
            with torch.inference_mode():  # entered at each round: a caller's code runs between them
                guesses = self._guess(drafter, row, state, noise["draft"], most)
                logits = model.read([guess.token for guess in guesses], len(guesses) + 1)[:, : self._vocabulary]
                tokens, accepted = self._settle(row, state, guesses, logits, noise)
                chances = logits.log_softmax(dim=-1)[range(len(tokens)), tokens].tolist()
            model.take_back(len(guesses) - accepted, tokens[-1:])
            if accepted == len(guesses):  # the drafter has not read its last token
                drafter.take_back(0, tokens[-2:])
            else:
                drafter.take_back(len(guesses) - 1 - accepted, tokens[-1:])
            for token, chance in zip(tokens, chances, strict=True):
                state = self._after(row, state, token)
                yield Choice(row, token, chance, state.finish)

    def _guess(self, drafter: "_Reader", row: int, state: _State, noise: Tensor, most: int) -> list[_Guess]:
        """At most ``most`` draft tokens, and none behind the last of a text."""
        guesses: list[_Guess] = []
        while len(guesses) < most and not state.finish:
            logits = drafter.read([guess.token for guess in guesses[-1:]], 1)[:, : self._vocabulary]
            chances = self._chances(row, state, logits)
            token = int(drawn(chances, noise[len(state.written), None]))
            after = self._after(row, state, token)
            guesses.append(_Guess(token, state, after, chances))
            state = after
        return guesses

    def _settle(
        self, row: int, state: _State, guesses: Sequence[_Guess], logits: Tensor, noise: dict[str, Tensor]
    ) -> tuple[list[int], int]:
        """The draft tokens that are accepted and, but where the text is over, one of the model's own; and how many were
        accepted. ``logits``: (g + 1, V)."""
        counts = self.acceptance[row]
        counts.passes += 1
        tokens: list[int] = []
        for guess, each in zip(guesses, logits[:-1], strict=True):
            chances, place = self._chances(row, guess.before, each[None]), len(guess.before.written)
            counts.tried += 1
            if noise["accept"][place] * guess.chances[0, guess.token] >= chances[0, guess.token]:
                rest = (chances - guess.chances).clamp(min=0)
                rest = rest if bool(rest.sum() > 0) else chances  # the two are the same up to rounding
                return [*tokens, int(drawn(rest, noise["replace"][place, None]))], len(tokens)
            counts.accepted += 1
            tokens.append(guess.token)
            state = guess.after
        if state.finish:
            return tokens, len(tokens)
        chances = self._chances(row, state, logits[-1:])
        return [*tokens, int(drawn(chances, noise["replace"][len(state.written), None]))], len(tokens)

    def _chances(self, row: int, state: _State, logits: Tensor) -> Tensor:
        """(1, V) float64: what the next token of a text is drawn from, by one model's logits (1, V)."""
        check_finite(logits)
        ids, device = (*self._prompts[row].ids, *state.written), logits.device
        text = torch.tensor([ids], device=device) if self._rules.look_back else None
        first, last = len(self._prompts[row].ids) == 1, self._rooms[row] == len(state.written) + 1
        marks = torch.tensor([[first], [last]], device=device)
        steered = self._rules.apply(logits, text, len(state.written), *marks)
        if state.guide is not None:
            steered = constrained(steered, [state.guide])
        check_any_left(steered, self._sampling)
        return probabilities(steered, self._sampling)

    def _after(self, row: int, state: _State, token: int) -> _State:
        """The text with one more token."""
        written = (*state.written, token)
        room, most = self._rooms[row], self._sampling.max_tokens
        finish, guide = finish_of(token, len(written), self._rules.ends, room, most), state.guide
        if guide is not None and finish != "end":
            guide = guide.fork()
            guide.take(token)
            finish = "stop" if guide.complete else finish
        return _State(written, guide, finish)


class _Reader:
    """A model and what it has read of one text."""

    def __init__(self, model: Network, prompt: Prompt, room: int) -> None:
        weight = next(model.parameters())
        self._model, self._device, self._unread = model, weight.device, list(prompt.ids)
        cache = model.new_cache(1, len(prompt.ids) + room, weight.device, weight.dtype)
        assert isinstance(cache, Cache)
        self._cache = cache
        self._both_ways = len(prompt.ids) if model.config.bidirectional_prompt else 0  # of what is not read yet
        self._source = None
        if answers(model.config):
            self._source = right_padded([prompt.source or ()], model.config.pad_token, weight.device)

    def read(self, more: Sequence[int], last: int) -> Tensor:
        """(last, V) float32 logits after each of the ``last`` tokens of what was left unread and of ``more``."""
        ids = torch.tensor([[*self._unread, *more]], device=self._device)
        at = torch.arange(ids.shape[1] - last, ids.shape[1], device=self._device)
        target = read_both_ways(Tokens(ids), [self._both_ways]) if self._both_ways else Tokens(ids)
        logits = self._model(Inputs(self._source, target), at=at, cache=self._cache).logits
        assert logits is not None
        self._source, self._unread, self._both_ways = None, [], 0
        return logits.float()

    def take_back(self, count: int, instead: Sequence[int]) -> None:
        """Forgets the last ``count`` tokens that were read; these come next."""
        self._cache.rewind(count)
        self._unread += instead


def _noise(sampling: Sampling, prompt: Prompt, count: int) -> dict[str, Tensor]:
    """(count,) float64 in [0, 1) for each purpose, one a position."""
    names = ("draft", "accept", "replace")
    if sampling.greedy:
        return dict.fromkeys(names, torch.zeros(count, dtype=torch.float64))
    row = key(sampling.seed, "speculate", prompt.sample, *prompt.ids, -1, *(prompt.source or ()))
    draws = Draws(row, np.arange(count))
    return {name: torch.from_numpy(draws.uniform(name, 1)[:, 0]) for name in names}
