"""How probable a model finds tokens: questions in, natural-log probabilities out, in batches of similar length.

Logits are computed at the positions asked about only, and nothing is read twice (``score_rows.py``). Results do not
depend on what else is asked, but for the last bits of a sum. N positions asked about, V vocabulary.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import NamedTuple

import torch

from trivium.generation.rows import check_length, read_both_ways, right_padded
from trivium.generation.score_rows import Group, Question, groups, merged
from trivium.transformer import Inputs, Network, Tokens
from trivium.transformer.network import Progress

_LOGITS = 2**26  # at most this many logits in one pass: 256 MB in float32
_STRETCH = 2048  # tokens of a text without end that are read in one pass


@dataclass(frozen=True)
class Score:
    """Natural-log probabilities of tokens; ``greedy``: each was the model's most probable choice."""

    log_probabilities: tuple[float, ...]
    greedy: bool

    @property
    def log_probability(self) -> float:
        return sum(self.log_probabilities)

    @property
    def tokens(self) -> int:
        return len(self.log_probabilities)


@dataclass(frozen=True)
class Surprise:
    """What a text costs a model, in nats; ``tokens`` counts those that were predicted."""

    nats: float
    tokens: int
    bytes: int
    characters: int


@torch.inference_mode()
def answers(model: Network, questions: Sequence[Question], tokens: int = 4096) -> list[Score]:
    """Scores of all questions, in their order; run in batches of similar length of about ``tokens`` tokens."""
    config = model.config
    for question in questions:
        check_length(max(len(question.ids), len(question.source or ())), config.limit, "the text")
    causal = not config.encoder_layers and not config.bidirectional_prompt
    whole = merged(questions, causal)
    parts = groups(whole.rows) if causal else [Group(0, tuple(range(len(whole.rows))))]
    found: dict[int, _Read] = {}
    for part in parts:
        rows = [whole.rows[place] for place in part.rows]
        read = _beginning(model, rows, part.shared) if part.shared else None
        for batch in _batches(rows, tokens, max(1, _LOGITS // config.vocab_size)):
            asked = [rows[i] for i in batch]
            said = _answer(model, asked) if read is None else _answer_on(model, asked, part.shared, read)
            for place, one in zip(batch, said, strict=True):
                found[part.rows[place]] = one
    return [
        _score(found[place], start, count)
        for place, start, count in zip(whole.places, whole.starts, whole.counts, strict=True)
    ]


class _Read(NamedTuple):
    """What one row says of all targets that it was asked about: log-probabilities, and whether each was the best."""

    values: list[float]
    best: list[bool]


def _score(read: _Read, start: int, count: int) -> Score:
    return Score(tuple(read.values[start : start + count]), all(read.best[start : start + count]))


def _answer(model: Network, questions: Sequence[Question]) -> list[_Read]:
    device = next(model.parameters()).device
    config = model.config
    if config.limit is None and not config.encoder_layers and max(len(q.ids) for q in questions) > _STRETCH:
        return [_read_through(model, question, device) for question in questions]
    return _asked(model, read_by(model, questions), questions, 0, max(len(q.ids) for q in questions), None)


def read_by(model: Network, questions: Sequence[Question]) -> Inputs:
    """What a model reads to answer questions side by side, padded to the longest."""
    device, config = next(model.parameters()).device, model.config
    last = right_padded([q.ids for q in questions], config.pad_token, device)
    if config.bidirectional_prompt:
        return Inputs(target=read_both_ways(last, [q.known for q in questions]))
    if config.decoder_layers == 0:
        return Inputs(source=last)
    if config.encoder_layers == 0:
        return Inputs(target=last)
    return Inputs(right_padded([q.source or () for q in questions], config.pad_token, device), last)


def _beginning(model: Network, rows: Sequence[Question], shared: int) -> Progress:
    """What the rows have in common, read by one sequence, with room for the longest of them."""
    weight = next(model.parameters())
    cache = model.new_cache(1, max(len(row.ids) for row in rows), weight.device, weight.dtype)
    model(Inputs(target=Tokens(torch.tensor([rows[0].ids[:shared]], device=weight.device))), cache=cache)
    return cache


def _answer_on(model: Network, questions: Sequence[Question], shared: int, read: Progress) -> list[_Read]:
    """The same of what follows the first ``shared`` tokens, which were ``read``. No place sees the padding after it."""
    device = next(model.parameters()).device
    cache = copy(read)  # select gives the copy tensors of its own
    cache.select(torch.zeros(len(questions), dtype=torch.long, device=device))
    last = right_padded([q.ids[shared:] for q in questions], model.config.pad_token, device)
    inputs = Inputs(target=Tokens(last.ids))
    return _asked(model, inputs, questions, shared, last.ids.shape[1], cache)


def _asked(
    model: Network, inputs: Inputs, questions: Sequence[Question], shared: int, width: int, cache: Progress | None
) -> list[_Read]:
    """``width``: of the rows of the last stack, which begin ``shared`` tokens into the questions' ids."""
    device = next(model.parameters()).device
    at = torch.tensor(
        [row * width + place - shared for row, q in enumerate(questions) for place in q.positions], device=device
    )
    targets = torch.tensor([t for q in questions for t in q.targets], device=device)
    chosen, best = _chosen(model(inputs, at=at, cache=cache).logits, targets)
    counts = [len(q.targets) for q in questions]
    return [
        _Read(values.tolist(), hits.tolist())
        for values, hits in zip(chosen.split(counts), best.split(counts), strict=True)
    ]


def _read_through(model: Network, question: Question, device: torch.device) -> _Read:
    """A text of any length, stretch by stretch: what a recurrent model has read is of one size."""
    ids = torch.tensor([question.ids], device=device)
    positions = torch.tensor(question.positions, device=device)
    targets = torch.tensor(question.targets, device=device)
    stretch = max(1, min(_STRETCH, _LOGITS // model.config.vocab_size))
    weight = next(model.parameters())
    cache = model.new_cache(1, ids.shape[1], device, weight.dtype)
    values: dict[int, float] = {}
    hits: dict[int, bool] = {}
    for start in range(0, ids.shape[1], stretch):
        here = (positions >= start) & (positions < start + stretch)
        part = Inputs(target=Tokens(ids[:, start : start + stretch]))
        chosen, best = _chosen(model(part, at=positions[here] - start, cache=cache).logits, targets[here])
        numbers = here.nonzero()[:, 0].tolist()
        values |= dict(zip(numbers, chosen.tolist(), strict=True))
        hits |= dict(zip(numbers, best.tolist(), strict=True))
    return _Read([values[i] for i in range(len(values))], [hits[i] for i in range(len(hits))])


def _chosen(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(N, V) logits to the log-probabilities of the targets (N,), and whether each was the most probable."""
    logits = logits.float()
    return logits.gather(1, targets[:, None])[:, 0] - logits.logsumexp(dim=1), logits.argmax(dim=1) == targets


def _batches(questions: Sequence[Question], tokens: int, positions: int) -> list[list[int]]:
    lengths = [max(len(q.ids), len(q.source or ())) for q in questions]
    batches: list[list[int]] = []
    asked = 0
    for index in sorted(range(len(questions)), key=lambda i: (-lengths[i], i)):
        batch = batches[-1] if batches else []
        asked += len(questions[index].positions)
        if not batch or (len(batch) + 1) * lengths[batch[0]] > tokens or asked > positions:
            batch = []
            batches.append(batch)
            asked = len(questions[index].positions)
        batch.append(index)
    return batches


def joined(scores: Sequence[Score]) -> Score:
    """Scores of parts as one score of the whole."""
    return Score(tuple(v for s in scores for v in s.log_probabilities), all(s.greedy for s in scores))


def surprise(score: Score, text: str) -> Surprise:
    """The score of a text, with the sizes that make it comparable across tokenizers."""
    return Surprise(-score.log_probability, score.tokens, len(text.encode()), len(text))
