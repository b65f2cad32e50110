"""Decoding, one token a step for many sequences side by side: cached, each row independent of the others.

Prompts of different lengths are padded on the left, so that all rows write at the same column of the cache; padding is
in no document, and positions count real tokens only. Sequences that have ended leave the batch. Logits are computed at
the last position only. R live rows, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from trivium.errors import SettingsError
from trivium.generation.constraints import Guide, constrained
from trivium.generation.prompts import Prompt
from trivium.generation.rows import check_length, left_padded, read_both_ways, right_padded
from trivium.generation.rules import Forced, Rules, check_any_left, texts
from trivium.generation.sampling import Sampling, choose, uniforms
from trivium.transformer import Inputs, Network, Tokens
from trivium.transformer.network import Progress, answers, writes
from trivium.transformer.segment_memory import TwoStreamCache

Finish = Literal["end", "stop", "length", "context"]


@dataclass(frozen=True)
class Choice:
    """The next token of one sequence; ``finish`` is set when it is the last."""

    row: int
    token: int
    log_probability: float  # by the model itself, before penalty, temperature and filters
    finish: Finish | None


def finish_of(token: int, written: int, ends: frozenset[int], room: int, most: int) -> Finish | None:
    """Whether a text of ``written`` tokens, of which this is the last, ends with it: ``room`` is what it can have, and
    ``most`` what was asked for."""
    if token in ends:
        return "end"
    if written < room:
        return None
    return "length" if room == most else "context"


@dataclass(frozen=True)
class Written:
    """A finished sequence: its new tokens without the end token, the log-probabilities with it."""

    tokens: tuple[int, ...]
    log_probabilities: tuple[float, ...]
    finish: Finish

    @property
    def probability(self) -> float:
        return exp(sum(self.log_probabilities))


class Decoding:
    """Iterating over it yields, step by step, one ``Choice`` for every sequence still being written.

    ``ends``: tokens that end a sequence; ``vocabulary``: how many tokens may be chosen from (a model may have more rows
    than its tokenizer has tokens). ``forced``: tokens that stand at fixed places; ``guides``: one a prompt, where texts
    have a prescribed form. ``stop(row)`` ends a sequence from outside.
    """

    def __init__(
        self, model: Network, prompts: Sequence[Prompt], sampling: Sampling, ends: frozenset[int], vocabulary: int,
        forced: Forced = Forced(), guides: Sequence[Guide] = (),  # noqa: B008 (frozen)
    ):  # fmt: skip
        self._guides = guides
        self._rooms = rooms(model, prompts, sampling.max_tokens)
        self._model, self._prompts, self._sampling = model, prompts, sampling
        self._rules, self._vocabulary = Rules.of(sampling, ends, forced), vocabulary
        self._stopped: set[int] = set()

    def stop(self, row: int) -> None:
        """Leaves a sequence as it is; no more choices come for it."""
        self._stopped.add(row)

    def __iter__(self) -> Iterator[list[Choice]]:
        prompts, sampling, rules = self._prompts, self._sampling, self._rules
        steps = max(self._rooms)
        noise = self._noise(steps)
        live = list(range(len(prompts)))
        logits, cache = prefill(self._model, prompts, steps)
        lengths = torch.tensor([len(prompt.ids) for prompt in prompts], device=logits.device)  # (R,)
        room = torch.tensor(self._rooms, device=logits.device)  # (R,)
        text = texts(prompts, logits.device) if rules.look_back else None  # (R, T)
        for step in range(steps):
            with torch.inference_mode():  # entered at each step: a caller's code runs between the steps
                logits = logits[:, : self._vocabulary].float()  # (R, V)
                steered = rules.apply(logits, text, step, lengths == 1, room == step + 1)
                if self._guides:
                    steered = constrained(steered, [self._guides[row] for row in live])
                if rules.no_repeat_ngram or self._guides:
                    check_any_left(steered, sampling)
                tokens = choose(steered, sampling, noise[live, step])  # (R,)
                chances = logits.gather(1, tokens[:, None])[:, 0] - logits.logsumexp(dim=1)
            choices = [
                Choice(row, token, chance, self._finish(row, token, step + 1))
                for row, token, chance in zip(live, tokens.tolist(), chances.tolist(), strict=True)
            ]
            yield choices
            on = [i for i, choice in enumerate(choices) if not choice.finish and choice.row not in self._stopped]
            if not on:
                return
            with torch.inference_mode():
                if len(on) < len(live):
                    kept = torch.tensor(on, device=logits.device)
                    cache.select(kept)
                    live, lengths, tokens = [live[i] for i in on], lengths[kept], tokens[kept]
                    room, text = room[kept], None if text is None else text[kept]
                if text is not None:
                    text = torch.cat([text, tokens[:, None]], dim=1)
                logits = one_more(self._model, tokens, lengths + step, cache)

    def _finish(self, row: int, token: int, written: int) -> Finish | None:
        finish = finish_of(token, written, self._rules.ends, self._rooms[row], self._sampling.max_tokens)
        if self._guides and finish != "end":
            self._guides[row].take(token)
            if self._guides[row].complete:
                return "stop"
        return finish

    def _noise(self, count: int) -> Tensor:
        """(R, count) float64 in [0, 1): the randomness of each row, whatever stands beside it."""
        if self._sampling.greedy:
            return torch.zeros(len(self._prompts), count)
        seed = self._sampling.seed
        rows = [uniforms(seed, (*p.ids, -1, *(p.source or ())), p.sample, count) for p in self._prompts]
        return torch.from_numpy(np.stack(rows))


def rooms(model: Network, prompts: Sequence[Prompt], most: int) -> list[int]:
    """How many tokens can follow each prompt, at most ``most``; refuses what cannot be done, with the numbers."""
    config = model.config
    if not writes(config):
        raise SettingsError("this model is an encoder, which writes no text: use fill to predict missing words")
    for prompt in prompts:
        if config.limit is not None and len(prompt.ids) >= config.limit:
            raise SettingsError(
                f"the prompt has {len(prompt.ids)} tokens, and this model's context is {config.limit}: shorten "
                f"it by at least {len(prompt.ids) - config.limit + 1} tokens"
            )
        check_length(len(prompt.source or ()), config.limit, "the prompt")
    return [most if config.limit is None else min(most, config.limit - len(prompt.ids)) for prompt in prompts]


@torch.inference_mode()
def prefill(model: Network, prompts: Sequence[Prompt], room: int) -> tuple[Tensor, Progress]:
    """(R, V) logits after each prompt, and the cache that has read them, with room for ``room`` more tokens.

    Prompts that occur several times (samples of one text) are read once.
    """
    places: dict[tuple[tuple[int, ...], tuple[int, ...] | None], int] = {}
    rows = torch.tensor([places.setdefault((prompt.ids, prompt.source), len(places)) for prompt in prompts])
    weight, pad = next(model.parameters()), model.config.pad_token
    target = left_padded([ids for ids, _ in places], pad, weight.device)
    if model.config.two_stream:
        target = read_both_ways(target, [target.ids.shape[1]] * len(places))
    source = None
    if answers(model.config):
        source = right_padded([source or () for _, source in places], pad, weight.device)
    count, width = target.ids.shape
    cache = model.new_cache(count, width + room, weight.device, weight.dtype)
    last = torch.arange(1, count + 1, device=weight.device) * width - 1
    logits = model(Inputs(source, target), at=last, cache=cache).logits
    assert logits is not None
    if count < len(prompts):
        rows = rows.to(weight.device)
        cache.select(rows)
        logits = logits[rows]
    return logits, cache


def one_more(model: Network, tokens: Tensor, positions: Tensor, cache: Progress) -> Tensor:
    """(R, V) logits after one more token (R,) in each row. A two-stream network reads it together with the one before,
    each with the other in sight, as the field's common library has it."""
    count = 1
    if isinstance(cache, TwoStreamCache):
        target, count = Tokens(torch.stack([cache.take_back(), tokens], dim=1)), 2
        target = read_both_ways(target, [count] * len(tokens))
    else:
        target = Tokens(tokens[:, None], positions=None if cache.documents is None else positions[:, None])
    last = torch.arange(1, len(tokens) + 1, device=tokens.device) * count - 1
    logits = model(Inputs(target=target), at=last, cache=cache).logits
    assert logits is not None
    return logits


def next_tokens(model: Network, prompt: Prompt, vocabulary: int) -> Tensor:
    """(V,) log-probabilities of the token after a prompt."""
    return prefill(model, [prompt], 0)[0][0, :vocabulary].float().log_softmax(dim=-1)


def run(
    model: Network, prompts: Sequence[Prompt], sampling: Sampling, ends: frozenset[int], vocabulary: int,
    forced: Forced = Forced(),  # noqa: B008 (frozen)
) -> list[Written]:  # fmt: skip
    """Writes all sequences to their ends."""
    choices: dict[int, list[Choice]] = {row: [] for row in range(len(prompts))}
    for step in Decoding(model, prompts, sampling, ends, vocabulary, forced):
        for choice in step:
            choices[choice.row].append(choice)
    return [
        Written(
            tuple(choice.token for choice in row if choice.finish != "end"),
            tuple(choice.log_probability for choice in row),
            row[-1].finish or "length",
        )
        for row in choices.values()
    ]
