"""Contrastive search (Su et al. 2022, section 4.2): of the most probable tokens the one least like what was written.

At every step each of the ``candidates`` most probable tokens is read on trial. A candidate's score is
(1 - penalty) x its probability - penalty x the largest cosine similarity of its last hidden state with those of the
text so far; the best goes on. It draws nothing, and texts do not fall into repetition as greedy ones do. A penalty of
0, or one candidate, is greedy.

An encoder-decoder's text is what its decoder reads. Two-stream networks are left out: they read a token again with the
next one in sight, so it has no one hidden state. R live rows, k candidates, T tokens so far, W width, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from trivium.errors import SettingsError
from trivium.generation.engine import Choice, finish_of, rooms
from trivium.generation.prompts import Prompt
from trivium.generation.rows import left_padded, read_both_ways, right_padded
from trivium.generation.rules import Forced, Rules, check_any_left, check_settings, text_limits, texts
from trivium.generation.sampling import check_finite
from trivium.generation.wording import Wanted, Wording
from trivium.transformer import Inputs, Network, Tokens
from trivium.transformer.network import Progress, answers


@dataclass(frozen=True)
class Contrastive:
    """How each token is chosen and when a text ends."""

    max_tokens: int = 100
    candidates: int = 4  # the paper's k
    penalty: float = 0.6  # the paper's alpha: 0 counts the probability alone, 1 the dissimilarity alone
    repetition_penalty: float = 1.0
    stop: tuple[str, ...] = ()
    min_tokens: int = 0
    no_repeat_ngram: int = 0
    banned_words: tuple[str, ...] = ()
    forced_words: tuple[str, ...] = ()  # the text does not end before all of these are in it

    def __post_init__(self) -> None:
        for name in ("stop", "banned_words", "forced_words"):
            if isinstance(getattr(self, name), str):
                object.__setattr__(self, name, (getattr(self, name),))
        check_settings(
            self,
            *text_limits(self),
            ("candidates", self.candidates >= 1, "at least 1"),
            ("penalty", 0 <= self.penalty <= 1, "between 0 and 1"),
        )


class ContrastiveDecoding:
    """Iterating over it yields, step by step, one ``Choice`` for every sequence still being written; arguments as of
    ``Decoding``."""

    def __init__(
        self, model: Network, prompts: Sequence[Prompt], settings: Contrastive, ends: frozenset[int], vocabulary: int,
        forced: Forced = Forced(), words: Wording = Wording(),  # noqa: B008 (frozen)
    ):  # fmt: skip
        self._rooms = rooms(model, prompts, settings.max_tokens)
        for room in self._rooms:
            words.check_room(room, forced)
        if model.config.two_stream:
            raise SettingsError("contrastive search compares hidden states, and this model has several of each token")
        self._model, self._prompts, self._settings = model, prompts, settings
        self._rules, self._vocabulary = Rules.of(settings, ends, forced, words.banned), vocabulary
        self._wanted = [Wanted(list(words.forced)) for _ in prompts]
        self._written: list[list[int]] = [[] for _ in prompts]
        self._stopped: set[int] = set()

    def stop(self, row: int) -> None:
        """Leaves a sequence as it is; no more choices come for it."""
        self._stopped.add(row)

    def __iter__(self) -> Iterator[list[Choice]]:
        prompts, settings, rules = self._prompts, self._settings, self._rules
        steps, count = max(self._rooms), min(settings.candidates, self._vocabulary)
        live = list(range(len(prompts)))
        logits, seen, real, cache = _read(self._model, prompts, steps)
        device, read = logits.device, seen.shape[1]
        lengths = torch.tensor([len(prompt.ids) for prompt in prompts], device=device)  # (R,)
        room = torch.tensor(self._rooms, device=device)  # (R,)
        text = texts(prompts, device) if rules.look_back else None  # (R, T)
        cache.branch(count)
        for step in range(steps):
            with torch.inference_mode():
                logits = logits[:, : self._vocabulary].float()  # (R, V)
                check_finite(logits)
                ruled = self._steered(rules.apply(logits, text, step, lengths == 1, room == step + 1), live, step)
                check_any_left(ruled, settings)
                best = ruled.softmax(dim=-1).topk(count, dim=-1)  # (R, k)
                after, states = _tried(self._model, best.indices, lengths + step, cache)  # (R, k, V), (R, k, W)
                chosen = contrasted(best.values, states, seen, real, settings.penalty)  # (R,)
                rows = torch.arange(len(live), device=device)
                tokens = best.indices[rows, chosen]
                chances = logits[rows, tokens] - logits.logsumexp(dim=1)
            most, ends = settings.max_tokens, rules.ends
            choices = [
                Choice(row, token, chance, finish_of(token, step + 1, ends, self._rooms[row], most))
                for row, token, chance in zip(live, tokens.tolist(), chances.tolist(), strict=True)
            ]
            for choice in choices:
                self._written[choice.row].append(choice.token)
                self._wanted[choice.row].take(self._written[choice.row])
            yield choices
            on = [i for i, choice in enumerate(choices) if not choice.finish and choice.row not in self._stopped]
            if not on:
                return
            with torch.inference_mode():
                cache.exchange((rows * count + chosen).repeat_interleave(count), since=read + step)
                logits, state = after[rows, chosen], states[rows, chosen]
                if len(on) < len(live):
                    kept = torch.tensor(on, device=device)
                    cache.select((kept[:, None] * count + torch.arange(count, device=device)).flatten())
                    live, lengths, room = [live[i] for i in on], lengths[kept], room[kept]
                    logits, state, seen, real, tokens = (x[kept] for x in (logits, state, seen, real, tokens))
                    text = None if text is None else text[kept]
                seen = torch.cat([seen, state[:, None]], dim=1)
                real = torch.cat([real, real.new_ones(len(live), 1)], dim=1)
                if text is not None:
                    text = torch.cat([text, tokens[:, None]], dim=1)

    def _steered(self, scores: Tensor, live: Sequence[int], step: int) -> Tensor:
        """(R, V) scores by the forced words of each text."""
        if not any(self._wanted[row].missing or self._wanted[row].queue for row in live):
            return scores
        left, ends = step + (self._rules.forced.last is not None), self._rules.ends
        rows = zip(live, scores, strict=True)
        return torch.stack([self._wanted[row].steer(each, self._rooms[row] - left, ends) for row, each in rows])


def contrasted(chances: Tensor, states: Tensor, seen: Tensor, real: Tensor, penalty: float) -> Tensor:
    """(R,): the best candidate of each row, by (R, k) probabilities, (R, k, W) normalised hidden states, and the
    (R, T, W) of the text so far, where ``real`` (R, T). A candidate of probability 0 is none."""
    alike = (states @ seen.transpose(1, 2)).masked_fill(~real[:, None], -torch.inf).amax(dim=-1)  # (R, k)
    scores = (1 - penalty) * chances - penalty * alike
    return scores.masked_fill(chances == 0, -torch.inf).argmax(dim=-1)


def _read(model: Network, prompts: Sequence[Prompt], room: int) -> tuple[Tensor, Tensor, Tensor, Progress]:
    """(R, V) logits after each prompt, (R, T, W) normalised hidden states, which of them are of tokens, and the cache
    with room for more."""
    weight, pad = next(model.parameters()), model.config.pad_token
    target, source = left_padded([prompt.ids for prompt in prompts], pad, weight.device), None
    if answers(model.config):
        source = right_padded([prompt.source or () for prompt in prompts], pad, weight.device)
    count, width = target.ids.shape
    if model.config.bidirectional_prompt:
        target = read_both_ways(target, [width] * count)  # of the padding no document is seen
    cache = model.new_cache(count, width + room, weight.device, weight.dtype)
    last = torch.arange(1, count + 1, device=weight.device) * width - 1
    with torch.inference_mode():
        outputs = model(Inputs(source, target), at=last, cache=cache)
    assert outputs.logits is not None
    real = torch.ones_like(target.ids, dtype=torch.bool) if target.documents is None else target.documents >= 0
    return outputs.logits, normalize(outputs.hidden.float(), dim=-1), real, cache


def _tried(model: Network, candidates: Tensor, positions: Tensor, cache: Progress) -> tuple[Tensor, Tensor]:
    """(R, k, V) logits after each candidate (R, k), and their (R, k, W) normalised hidden states."""
    rows, count = candidates.shape
    places = None if cache.documents is None else positions.repeat_interleave(count)[:, None]
    target = Tokens(candidates.reshape(-1, 1), positions=places)
    outputs = model(Inputs(target=target), at="all", cache=cache)
    assert outputs.logits is not None
    return outputs.logits.view(rows, count, -1), normalize(outputs.hidden.float(), dim=-1).view(rows, count, -1)
