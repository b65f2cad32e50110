"""Beam search over the cache (Graves 2012; Wu et al. 2016, section 7): the texts that are most probable as a whole.

Each prompt has ``beams`` unfinished texts. At every step the best continuations of all of them are ranked together;
those that end go among the finished ones, by their score, and the best others are the beams of the next step. A score
is the sum of log-probabilities, divided by the number of tokens (with the end token) to the power ``length_penalty``.

What a text may hold (``rules.py``), when a prompt is done and how ties are broken is as the field's common library has
it, so that published settings give the published texts. Two differences: padding is no token (there it counts as a part
of n-grams), and a beam that does not exist has probability 0 (there 1e-400,000,000). One beam is greedy: ``engine.py``.

A step is a chain of plain functions: the model's log-probabilities, the rules, the best continuations, the sorting of
those into finished and live texts, the exchange of what the cache has read. Another kind of search replaces one link.

Forced words are planned for as in Post and Vilar (2018, "dynamic beam allocation"): texts are ranked in banks, by how
many tokens of forced words have still to come, and the beams are shared out over the banks. Beside the best
continuations of all beams, each beam has its own best ones and those that its missing words go on with, so that some
text has all of them in time, however improbable they are.

B prompts, K beams of each, V vocabulary, C candidates. What is long, the cache, moves as little as possible: prompts
and sources are never copied between beams (``Progress.exchange``), and prompts that are done leave the batch.
"""

from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Literal, Self

import torch
from torch import Tensor

from trivium.generation.engine import Finish, one_more, prefill, rooms
from trivium.generation.prompts import Prompt
from trivium.generation.reading import finished
from trivium.generation.rules import Forced, Rules, check_settings, nothing_left, text_limits, texts
from trivium.generation.sampling import Sampling, check_finite
from trivium.generation.text_stream import TextStream
from trivium.generation.wording import Spellings, Wording, going_on, still_missing, still_to_come
from trivium.settings import build
from trivium.transformer import Network

EarlyStopping = Literal[False, True, "never"]
_FOREIGN = {  # our settings under the names that generation_config.json has for them
    "beams": "num_beams",
    "length_penalty": "length_penalty",
    "early_stopping": "early_stopping",
    "no_repeat_ngram": "no_repeat_ngram_size",
    "repetition_penalty": "repetition_penalty",
    "max_tokens": "max_new_tokens",
    "min_tokens": "min_new_tokens",
}


@dataclass(frozen=True)
class Search:
    """How the most probable texts are searched for, and when one ends. One beam is greedy.

    ``early_stopping``: True, done with the first ``beams`` finished texts; False, when the best beam, if it ended now,
    would not be among them; "never", when it could not be at any length.
    """

    beams: int = 4
    max_tokens: int = 100
    length_penalty: float = 1.0  # 0: none; above, longer texts are preferred; below, shorter ones
    early_stopping: EarlyStopping = False
    min_tokens: int = 0  # no end before so many
    no_repeat_ngram: int = 0  # 0: all; else no sequence of so many tokens comes twice, the prompt included
    repetition_penalty: float = 1.0  # 1: none; on log-probabilities
    stop: tuple[str, ...] = ()
    banned_words: tuple[str, ...] = ()
    forced_words: tuple[str, ...] = ()  # every text has all of these

    def __post_init__(self) -> None:
        for name in ("stop", "banned_words", "forced_words"):
            if isinstance(getattr(self, name), str):
                object.__setattr__(self, name, (getattr(self, name),))
        check_settings(
            self,
            ("beams", self.beams >= 1, "at least 1"),
            ("length_penalty", -20 <= self.length_penalty <= 20, "between -20 and 20, 0 for none"),
            ("early_stopping", str(self.early_stopping) in ("False", "True", "never"), "False, True or 'never'"),
            *text_limits(self),
        )

    @classmethod
    def published(cls, written: Mapping[str, object], opening: int | None) -> Self:
        """The settings in a ``generation_config.json``. ``opening``: how many tokens the model writes after, which that
        file's ``min_length`` and ``max_length`` count too; None where this depends on the prompt."""
        found = {ours: written[theirs] for ours, theirs in _FOREIGN.items() if written.get(theirs) is not None}
        for ours, theirs in (("max_tokens", "max_length"), ("min_tokens", "min_length")):
            total = written.get(theirs)
            if opening is not None and isinstance(total, int):
                found.setdefault(ours, max(total - opening, 0))
        return build(cls, found)

    @property
    def greedy(self) -> Sampling:
        """With one beam, the same by the engine that chooses token by token."""
        return Sampling(
            self.max_tokens, temperature=0, repetition_penalty=self.repetition_penalty, stop=self.stop,
            min_tokens=self.min_tokens, no_repeat_ngram=self.no_repeat_ngram, banned_words=self.banned_words,
            forced_words=self.forced_words,
        )  # fmt: skip


def foreign(settings: Search) -> dict[str, object]:
    """The settings as ``generation_config.json`` has them; ``Search.published`` reads them back, but for stop strings
    and words, which that file has no place for."""
    return {theirs: getattr(settings, ours) for ours, theirs in _FOREIGN.items()}


@dataclass(frozen=True)
class Hypothesis:
    """A text, written or being written. ``score`` is what finished ones are ranked by."""

    tokens: tuple[int, ...] = ()  # the end token is one
    log_probabilities: tuple[float, ...] = ()  # by the model itself, before the rules
    total: float = 0.0  # of log-probabilities, after the rules
    finish: Finish | None = None
    score: float = 0.0
    text: TextStream | None = None  # where stop strings are looked for
    missing: tuple[Spellings, ...] = ()  # forced words that are not in it


@dataclass(frozen=True)
class Candidates:
    """Continuations of one prompt's beams, falling: (C,) each."""

    totals: list[float]
    beams: list[int]
    tokens: list[int]
    log_probabilities: list[float]


@dataclass
class Beam:
    """The search for one prompt."""

    search: Search
    ends: frozenset[int]
    room: int  # how many tokens can be written
    live: list[Hypothesis]  # K, the best first; a total of -inf is no text. One before the first step, none at the end
    finished: list[Hypothesis] = field(default_factory=list)  # at most K, the best first

    def grow(self, candidates: Candidates) -> list[int]:
        """Sorts the continuations into finished and live texts; from which beam each live one comes."""
        width, forcing = self.search.beams, any(each.missing for each in self.live)
        ended: list[Hypothesis] = []
        banks: dict[int, list[tuple[Hypothesis, int]]] = {}  # by how many tokens of forced words have still to come
        ranks: Counter[int] = Counter()
        pieces = zip(candidates.totals, candidates.beams, candidates.tokens, candidates.log_probabilities, strict=True)
        for total, beam, token, chance in pieces:
            if total == -inf or (not forcing and ranks[0] >= width and len(banks[0]) == width):
                break
            grown = self._extended(self.live[beam], token, chance, total)
            wanted = still_to_come(grown.missing, grown.tokens) if grown.missing else 0
            if wanted and (grown.finish or wanted > self.room - len(grown.tokens)):
                continue
            bank, rank = banks.setdefault(wanted, []), ranks[wanted]
            ranks[wanted] += 1
            if grown.finish is None and len(bank) < width:
                bank.append((grown, beam))
            elif grown.finish and rank < width:  # the others are there to keep the beams going
                ended.append(grown)
        places = sorted((place, wanted) for wanted, bank in banks.items() for place in range(len(bank)))[:width]
        kept = sorted((banks[wanted][place] for place, wanted in places), key=lambda each: -each[0].total)
        live, origins = [each for each, _ in kept], [beam for _, beam in kept]
        missing = width - len(live) if live else 0
        self.live = live + [replace(each, total=-inf) for each in live[:1]] * missing
        self.finished = sorted([*self.finished, *ended], key=lambda each: -each.score)[:width]
        return origins + origins[:1] * missing

    @property
    def done(self) -> bool:
        """Whether no live text will be among the finished ones, as far as the settings look ahead."""
        if not self.live:
            return True
        if len(self.finished) < self.search.beams:
            return False
        if self.search.early_stopping is True:
            return True
        penalty = self.search.length_penalty
        ahead = self.search.early_stopping == "never" and penalty > 0
        length = self.room if ahead else len(self.live[0].tokens)
        return self.live[0].total / length**penalty <= self.finished[-1].score

    def _extended(self, before: Hypothesis, token: int, chance: float, total: float) -> Hypothesis:
        tokens = (*before.tokens, token)
        finish: Finish | None = "end" if token in self.ends else None
        text = before.text
        if text is not None and not finish:
            text = text.fork()
            text.push(token)
            finish = "stop" if text.stopped else None
        if not finish and len(tokens) == self.room:
            finish = "length" if self.room == self.search.max_tokens else "context"
        score = total / len(tokens) ** self.search.length_penalty
        missing = still_missing(before.missing, tokens)
        return Hypothesis(tokens, (*before.log_probabilities, chance), total, finish, score, text, missing)


def search(
    model: Network, prompts: Sequence[Prompt], settings: Search, ends: frozenset[int], vocabulary: int,
    forced: Forced = Forced(), streams: Sequence[TextStream] | None = None,  # noqa: B008 (frozen)
    words: Wording = Wording(),  # noqa: B008 (frozen)
) -> list[list[Hypothesis]]:  # fmt: skip
    """The best texts for each prompt, at most ``settings.beams`` of them, by falling score.

    ``ends``, ``vocabulary`` and ``forced`` as of ``Decoding``; ``streams``: one a prompt, which look for stop strings;
    ``words``: the banned and forced words of the settings, as tokens.
    """
    return finished(search_in_steps(model, prompts, settings, ends, vocabulary, forced, streams, words))


def search_in_steps(
    model: Network, prompts: Sequence[Prompt], settings: Search, ends: frozenset[int], vocabulary: int,
    forced: Forced = Forced(), streams: Sequence[TextStream] | None = None,  # noqa: B008 (frozen)
    words: Wording = Wording(),  # noqa: B008 (frozen)
) -> Generator[None, None, list[list[Hypothesis]]]:  # fmt: skip
    """The same for a caller who has other work between two tokens."""
    width, rules = settings.beams, Rules.of(settings, ends, forced, words.banned)
    beams = [
        Beam(settings, ends, room, [Hypothesis(text=streams[place] if streams else None, missing=words.forced)])
        for place, room in enumerate(rooms(model, prompts, settings.max_tokens))
    ]
    for beam in beams:
        words.check_room(beam.room, forced)
    running = beams
    steps = max(beam.room for beam in beams)
    logits, cache = prefill(model, prompts, steps)  # (B, V): before its first step a prompt has one beam
    device, read = logits.device, max(len(prompt.ids) for prompt in prompts)
    lengths = torch.tensor([len(prompt.ids) for prompt in prompts], device=device)  # (B K,)
    room = torch.tensor([beam.room for beam in beams], device=device)  # (B K,)
    text = texts(prompts, device) if rules.look_back else None  # (B K, T)
    totals = torch.zeros(len(prompts), 1, device=device)  # (B, K)
    for step in range(steps):
        with torch.inference_mode():
            check_finite(logits)
            plain = logits[:, :vocabulary].float().log_softmax(dim=-1)  # (B K, V)
            ruled = rules.apply(plain, text, step, lengths == 1, room == step + 1)
            count = width * max(2, 1 + len(ends))
            if words.forced:
                found = of_each(ruled, plain, totals, count, running)
            else:
                found = best(ruled, plain, totals, count)
            grown = [(beam, beam.grow(each)) for beam, each in zip(running, found, strict=True)]
            going = [place for place, beam in enumerate(running) if not beam.done]
            if not going:
                break
            if step == 0:
                cache.branch(width)
                rows = torch.arange(len(lengths), device=device).repeat_interleave(width)
                lengths, room, text = lengths[rows], room[rows], None if text is None else text[rows]
            if len(going) < len(running):
                groups = torch.arange(len(lengths), device=device).view(-1, width)
                rows = groups[torch.tensor(going, device=device)].flatten()
                cache.select(rows)
                lengths, room, text = lengths[rows], room[rows], None if text is None else text[rows]
            grown = [grown[place] for place in going]
            running = [beam for beam, _ in grown]
            rows = torch.tensor([n * width + each for n, (_, origins) in enumerate(grown) for each in origins])
            rows = rows.to(device)
            if step > 0:
                cache.exchange(rows, since=read)
            totals = torch.tensor([[each.total for each in beam.live] for beam in running], device=device)
            latest = torch.tensor([each.tokens[-1] for beam in running for each in beam.live], device=device)  # (B K,)
            if text is not None:
                text = torch.cat([text[rows], latest[:, None]], dim=1)
            logits = one_more(model, latest, lengths + step, cache)
        yield
    if not all(beam.finished for beam in beams):
        raise nothing_left(settings)
    return [beam.finished for beam in beams]


def of_each(
    ruled: Tensor, plain: Tensor, totals: Tensor, count: int, running: Sequence[Beam]
) -> list[Candidates]:
    """As ``best``, but of each beam the ``count`` most probable continuations, and those that its missing words go on
    with."""
    V = ruled.shape[1]
    own = ruled.topk(min(count, V), dim=1).indices.tolist()
    found = []
    for number, (beam, so_far) in enumerate(zip(running, totals.tolist(), strict=True)):
        pieces = []
        for place, each in enumerate(beam.live):
            row = number * len(so_far) + place
            tokens = sorted({*own[row], *going_on(each.missing, each.tokens)} - (beam.ends if each.missing else set()))
            values, chances = ruled[row, tokens].tolist(), plain[row, tokens].tolist()
            pieces += [(so_far[place] + value, place, token, chance)
                       for value, token, chance in zip(values, tokens, chances, strict=True)]  # fmt: skip
        pieces.sort(key=lambda piece: -piece[0])
        found.append(Candidates(*map(list, zip(*pieces, strict=True))))
    return found


def best(ruled: Tensor, plain: Tensor, totals: Tensor, count: int) -> list[Candidates]:
    """The ``count`` most probable continuations of each prompt's beams, falling: (B K, V) log-probabilities of the next
    token, by the rules and by the model itself, and (B, K) of the beams so far."""
    (B, K), V = totals.shape, ruled.shape[1]
    each = ruled.topk(min(count, V), dim=1)  # (B K, C): of one beam no more can be among the best
    sums = (each.values + totals.view(-1, 1)).view(B, -1)
    chosen = sums.topk(min(count, sums.shape[1]), dim=1)  # (B, C)
    origins = chosen.indices // each.indices.shape[1]
    tokens = each.indices.view(B, -1).gather(1, chosen.indices)
    chances = plain.view(B, K * V).gather(1, origins * V + tokens)
    lists = zip(chosen.values.tolist(), origins.tolist(), tokens.tolist(), chances.tolist(), strict=True)
    return [Candidates(*each) for each in lists]
