"""How probable a model finds tokens: questions in, natural-log probabilities out, in batches of similar length.

Logits are computed at the positions asked about only. Results do not depend on what else is in the batch. N positions
asked about, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from trivium.generation.rows import check_length, read_both_ways, right_padded
from trivium.transformer import Inputs, Network, Tokens

_LOGITS = 2**26  # at most this many logits in one pass: 256 MB in float32
_STRETCH = 2048  # tokens of a text without end that are read in one pass


@dataclass(frozen=True)
class Question:
    """One row for the model, and the ``targets`` whose log-probabilities are asked for at ``positions`` of ``ids``.

    ``ids`` feed the last stack; ``source`` feeds the encoder below a decoder. The first ``known`` of the ids are only
    read, and so see each other both ways in a network that can do that.
    """

    ids: tuple[int, ...]
    positions: tuple[int, ...]
    targets: tuple[int, ...]
    source: tuple[int, ...] | None = None
    known: int = 0


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
    results: dict[int, Score] = {}
    for batch in _batches(questions, tokens, max(1, _LOGITS // config.vocab_size)):
        for index, score in zip(batch, _answer(model, [questions[i] for i in batch]), strict=True):
            results[index] = score
    return [results[i] for i in range(len(questions))]


def _answer(model: Network, questions: Sequence[Question]) -> list[Score]:
    device = next(model.parameters()).device
    config = model.config
    if config.limit is None and not config.encoder_layers and max(len(q.ids) for q in questions) > _STRETCH:
        return [_read_through(model, question, device) for question in questions]
    last = right_padded([q.ids for q in questions], config.pad_token, device)
    if config.two_stream:
        inputs = Inputs(target=read_both_ways(last, [q.known for q in questions]))
    elif config.decoder_layers == 0:
        inputs = Inputs(source=last)
    elif config.encoder_layers == 0:
        inputs = Inputs(target=last)
    else:
        inputs = Inputs(right_padded([q.source or () for q in questions], config.pad_token, device), last)
    width = last.ids.shape[1]
    at = torch.tensor([row * width + p for row, q in enumerate(questions) for p in q.positions], device=device)
    targets = torch.tensor([t for q in questions for t in q.targets], device=device)
    chosen, best = _chosen(model(inputs, at=at).logits, targets)
    counts = [len(q.targets) for q in questions]
    return [
        Score(tuple(values.tolist()), bool(hits.all()))
        for values, hits in zip(chosen.split(counts), best.split(counts), strict=True)
    ]


def _read_through(model: Network, question: Question, device: torch.device) -> Score:
    """A text of any length, stretch by stretch: what a recurrent model has read is of one size."""
    ids = torch.tensor([question.ids], device=device)
    positions = torch.tensor(question.positions, device=device)
    targets = torch.tensor(question.targets, device=device)
    stretch = max(1, min(_STRETCH, _LOGITS // model.config.vocab_size))
    weight = next(model.parameters())
    cache = model.new_cache(1, ids.shape[1], device, weight.dtype)
    values, hits = [], True
    for start in range(0, ids.shape[1], stretch):
        here = (positions >= start) & (positions < start + stretch)
        part = Inputs(target=Tokens(ids[:, start : start + stretch]))
        chosen, best = _chosen(model(part, at=positions[here] - start, cache=cache).logits, targets[here])
        values += chosen.tolist()
        hits = hits and bool(best.all())
    return Score(tuple(values), hits)


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
