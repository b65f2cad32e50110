"""From numbered rows to batches, their FLOPs, and what held-out text costs the model. Pure functions of numbers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from trivium.metrics.likelihood import likelihood
from trivium.objectives import Mixed
from trivium.objectives.objective import Batch, Objective
from trivium.randomness import Draws, key
from trivium.recurrent.state import set_aside
from trivium.text.blocks import Blocks
from trivium.text.lanes import passage
from trivium.tokenizers import Tokenizer
from trivium.training.flops import Passes, training_flops
from trivium.transformer import Config, Network, Tokens
from trivium.verbs.pretraining_data import PretrainingData

EVALUATED_TOKENS = 65_536  # at most so many places of held-out rows a source, the first in file order


@dataclass(frozen=True)
class Feed:
    """Step number -> micro-batches: rows ``number * rows`` on of the mixture, corrupted by noise keyed by each row."""

    objective: Objective | Mixed
    data: PretrainingData
    rows: int
    micro_rows: int
    seed: int

    def __call__(self, number: int) -> Sequence[Batch]:
        made = []
        for turn in self.data.turns(number * self.rows, self.rows):
            rows, of_part = turn.rows(), len(turn.draws)
            make = self.objective.batch if not isinstance(self.objective, Mixed) else partial(
                self.objective.batch, turn.part, of_part / self.rows
            )  # fmt: skip
            few = [rows.part(start, start + self.micro_rows) for start in range(0, of_part, self.micro_rows)]
            made += [make(each, Draws(self.seed, each.draws), self.data.tokenizer) for each in few]
        return made


def batch_flops(config: Config, batch: Batch) -> float:
    """FLOPs of training on a batch; padding is not counted."""
    (source, source_length), (target, target_length) = (
        _side(batch.inputs.source),
        _side(batch.inputs.target),
    )
    spelt = batch.inputs.source if config.characters else None
    distinct = len(spelt.ids.unique()) if spelt is not None else 0
    logits = batch.scored
    if logits is None:
        logits = sum(count for name, count in batch.counts.items() if name in batch.targets or len(batch.counts) == 1)
    asked = logits if batch.inputs.source is not None and batch.inputs.source.queries is not None else 0
    return training_flops(config, Passes(source, source_length, target, target_length, logits, asked, distinct))


def _side(side: Tokens | None) -> tuple[int, int]:
    """Tokens without padding, and the row's length."""
    if side is None:
        return 0, 0
    real = side.ids.numel() if side.documents is None else int((side.documents >= 0).sum())
    return real, side.ids.shape[1]


def evaluation(
    model: Network, objective: Objective | Mixed, data: PretrainingData, rows: int, length: int, seed: int
) -> Callable[[], dict[str, float]] | None:
    """A function that measures the model on the held-out rows, always the same ones with the same noise: by each part
    of a mixture apart, and their weighted mean."""
    if not data.heldout:
        return None
    if not isinstance(objective, Mixed):
        return _evaluation(model, objective, data.heldout, data.tokenizer, rows, length, seed)
    each = [
        _evaluation(model, part, data.cuts[layout].heldout, data.tokenizer, rows, length, seed)
        for part, layout in zip(objective.parts, data.layouts, strict=True)
    ]

    def evaluate() -> dict[str, float]:
        found = [measure() for measure in each]
        values = {"loss": float(data.shares @ [of_part["loss"] for of_part in found])}
        for name, of_part in zip(objective.names, found, strict=True):
            values |= {f"{name}.{figure}": value for figure, value in of_part.items()}
        return values

    return evaluate


def _evaluation(
    model: Network, objective: Objective, heldout: Sequence[Blocks], tokenizer: Tokenizer, rows: int, length: int,
    seed: int,
) -> Callable[[], dict[str, float]]:  # fmt: skip
    """By one objective.

    Where every token is predicted: loss, perplexity and bits per byte of the text. Where it is predicted in several
    ways, loss and perplexity of all and of each. Otherwise the loss and perplexity of the tokens that were hidden,
    under the objective's name, with the share of tokens that they are, and what they cost in bits per byte of the text
    that was hidden: figures of different shares do not compare. Labels of rows have a loss and an accuracy; other
    losses that are not of tokens are means.
    """
    counted = [min(len(blocks), max(1, EVALUATED_TOKENS // length)) for blocks in heldout]
    shares = [count * blocks.passes / len(blocks) for blocks, count in zip(heldout, counted, strict=True)]
    text_bytes = sum(blocks.shards.text_bytes * share for blocks, share in zip(heldout, shares, strict=True))
    text_tokens = sum(blocks.tokens * share for blocks, share in zip(heldout, shares, strict=True))

    def batches() -> Sequence[Batch]:
        made = []
        for number, (blocks, count) in enumerate(zip(heldout, counted, strict=True)):
            noise = key(seed, "evaluation", number)
            if blocks.layout.continued:
                parts = [blocks.rows(some).in_lanes(number * rows + lanes) for some, lanes in passage(count, rows)]
            else:
                parts = [blocks.rows(np.arange(at, min(at + rows, count))) for at in range(0, count, rows)]
            made += [objective.batch(some, Draws(noise, some.draws), tokenizer) for some in parts]
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
        means = {name: total / max(1, counts[name]) for name, total in totals.items()}
        weights = kept[0].weights
        weighted = sum(weights.get(name, 1.0) * mean for name, mean in means.items())
        words = [name for name in totals if name in kept[0].targets and name not in right]  # their targets are tokens
        values = {"loss": weighted}
        read = any(batch.inputs.source is not None for batch in kept)  # what was read before is not predicted
        if len(words) == 1 and not read and counts[words[0]] > 0.95 * text_tokens:  # but for a row's or piece's first
            values |= likelihood(totals[words[0]], counts[words[0]], bytes=round(text_bytes))
        else:
            for name in words:
                values[f"{name}_perplexity"] = likelihood(totals[name], max(1, counts[name]))["perplexity"]
                values[f"{name}_share"] = round(counts[name] / max(1, tokens), 3)
            hidden = _text_targets(kept, words[0], tokenizer.controls) if len(words) == 1 else 0
            if hidden:  # of as many bytes as so many tokens have on the whole
                hidden_bytes = max(1, round(text_bytes * hidden / text_tokens))
                values["hidden_bits_per_byte"] = likelihood(totals[words[0]], 1, bytes=hidden_bytes)["bits_per_byte"]
        values |= {f"{name}_loss": mean for name, mean in means.items() if name not in words}
        values |= {f"{name}_accuracy": found / max(1, counts[name]) for name, found in right.items()}
        return values | {"loss": weighted}

    return torch.no_grad()(evaluate)


def _text_targets(batches: Sequence[Batch], name: str, controls: frozenset[int]) -> int:
    """How many targets of a loss are text, not control tokens such as sentinels."""
    none = torch.tensor(sorted(controls), dtype=torch.int64)
    found = (batch.targets[name] for batch in batches if name in batch.targets)
    return sum(int((~torch.isin(ids, none)).sum()) for ids in found)
