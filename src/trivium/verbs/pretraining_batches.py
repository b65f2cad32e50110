"""From numbered rows to batches, their FLOPs, and what held-out text costs the model. Pure functions of numbers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from trivium.metrics.likelihood import likelihood
from trivium.objectives.objective import Batch, Objective
from trivium.randomness import Draws, key
from trivium.recurrent.state import set_aside
from trivium.text.lanes import passage
from trivium.training.flops import Passes, training_flops
from trivium.transformer import Config, Network, Tokens
from trivium.verbs.pretraining_data import PretrainingData

EVALUATED_TOKENS = 65_536  # at most so many places of held-out rows a source, the first in file order


@dataclass(frozen=True)
class Feed:
    """Step number -> micro-batches: rows ``number * rows`` on of the mixture, corrupted by noise keyed by each row."""

    objective: Objective
    data: PretrainingData
    rows: int
    micro_rows: int
    seed: int

    def __call__(self, number: int) -> Sequence[Batch]:
        rows = self.data.training.rows(number * self.rows, self.rows)
        parts = [rows.part(start, start + self.micro_rows) for start in range(0, self.rows, self.micro_rows)]
        return [self.objective.batch(each, Draws(self.seed, each.draws), self.data.tokenizer) for each in parts]


def batch_flops(config: Config, batch: Batch) -> float:
    """FLOPs of training on a batch; padding is not counted."""
    (source, source_length), (target, target_length) = (
        _side(batch.inputs.source),
        _side(batch.inputs.target),
    )
    spelt = batch.inputs.source if config.characters else None
    distinct = len(spelt.ids.unique()) if spelt is not None else 0
    logits = sum(batch.counts.values()) if batch.scored is None else batch.scored
    return training_flops(config, Passes(source, source_length, target, target_length, logits, distinct))


def _side(side: Tokens | None) -> tuple[int, int]:
    """Tokens without padding, and the row's length."""
    if side is None:
        return 0, 0
    real = side.ids.numel() if side.documents is None else int((side.documents >= 0).sum())
    return real, side.ids.shape[1]


def evaluation(
    model: Network, objective: Objective, data: PretrainingData, rows: int, length: int, seed: int
) -> Callable[[], dict[str, float]] | None:
    """A function that measures the model on the held-out rows, always the same ones with the same noise.

    Where every token is predicted: loss, perplexity and bits per byte of the text. Where it is predicted in several
    ways, loss and perplexity of all and of each. Otherwise the loss and perplexity of the tokens that were hidden,
    under the objective's name, with the share of tokens that they are, and what they cost in bits per byte of the text
    that was hidden: figures of different shares do not compare. Labels of rows have a loss and an accuracy.
    """
    if not data.heldout:
        return None
    counted = [min(len(blocks), max(1, EVALUATED_TOKENS // length)) for blocks in data.heldout]
    shares = [count / len(blocks) for blocks, count in zip(data.heldout, counted, strict=True)]
    text_bytes = sum(blocks.shards.text_bytes * share for blocks, share in zip(data.heldout, shares, strict=True))
    text_tokens = sum(blocks.tokens * share for blocks, share in zip(data.heldout, shares, strict=True))

    def batches() -> Sequence[Batch]:
        made = []
        for number, (blocks, count) in enumerate(zip(data.heldout, counted, strict=True)):
            noise = key(seed, "evaluation", number)
            if blocks.layout.continued:
                parts = [blocks.rows(some).in_lanes(number * rows + lanes) for some, lanes in passage(count, rows)]
            else:
                parts = [blocks.rows(np.arange(at, min(at + rows, count))) for at in range(0, count, rows)]
            made += [objective.batch(some, Draws(noise, some.draws), data.tokenizer) for some in parts]
        return made

    kept = batches()

    def evaluate() -> dict[str, float]:
        device = next(model.parameters()).device
        totals: dict[str, float] = {}
        counts: dict[str, int] = {}
        ways: dict[str, tuple[float, int]] = {}
        right: dict[str, int] = {}
        with set_aside(model):
            for batch in kept:
                for name, loss in objective.loss(model, batch.to(device)).items():
                    totals[name] = totals.get(name, 0.0) + loss.total.item()
                    counts[name] = counts.get(name, 0) + loss.count
                    if loss.right is not None:
                        right[name] = right.get(name, 0) + int(loss.right)
                    for way, part in loss.parts.items():
                        total, count = ways.get(way, (0.0, 0))
                        ways[way] = total + part.total.item(), count + part.count
        tokens = sum(batch.tokens for batch in kept)
        if ways:
            each = {f"{way}_perplexity": likelihood(*costs)["perplexity"] for way, costs in ways.items()}
            return likelihood(sum(totals.values()), sum(counts.values())) | each
        text = totals.keys() - right.keys()
        every = sum(counts.values()) > 0.95 * text_tokens  # only a row's or piece's first is left out
        if len(text) == len(totals) == 1 and every:
            return likelihood(sum(totals.values()), sum(counts.values()), bytes=round(text_bytes))
        values = {"loss": sum(totals[name] / max(1, counts[name]) for name in totals)}
        for name, total in totals.items():
            if name in right:
                values[f"{name}_loss"] = total / max(1, counts[name])
                values[f"{name}_accuracy"] = right[name] / max(1, counts[name])
                continue
            values[f"{name}_perplexity"] = likelihood(total, max(1, counts[name]))["perplexity"]
            values[f"{name}_share"] = round(counts[name] / max(1, tokens), 3)
        for name in text if len(text) == 1 else ():
            if hidden := _text_targets(kept, name, data.tokenizer.controls):
                hidden_bytes = max(1, round(text_bytes * hidden / text_tokens))  # as so many tokens have on the whole
                values["hidden_bits_per_byte"] = likelihood(totals[name], 1, bytes=hidden_bytes)["bits_per_byte"]
        return values

    return torch.no_grad()(evaluate)


def _text_targets(batches: Sequence[Batch], name: str, controls: frozenset[int]) -> int:
    """How many targets of a loss are text, not control tokens such as sentinels."""
    none = torch.tensor(sorted(controls), dtype=torch.int64)
    found = (batch.targets[name] for batch in batches if name in batch.targets)
    return sum(int((~torch.isin(ids, none)).sum()) for ids in found)
