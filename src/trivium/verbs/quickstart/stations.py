"""The three models of the quickstart: which recipe, which share of the time, and whether it learned anything."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trivium.tokenizers import Tokenizer
from trivium.verbs.pretrain import PretrainResult, pretrain
from trivium.verbs.recipe import load_recipe


@dataclass(frozen=True)
class Station:
    """One pretraining run. ``words``: the share of the targets that are words and not sentinels or ends."""

    name: str  # its folder
    title: str
    recipe: str
    share: float  # of the quickstart's minutes
    words: float
    does: str
    expect: str
    settings: tuple[str, ...] = ()  # laid over the recipe, as --set would


STATIONS = (
    Station(
        "encoder",
        "Encoder",
        "bert-mini",
        0.36,
        1.0,
        "It reads a text with 40 % of its tokens hidden and learns to restore them from both sides, as BERT does.",
        "After minutes it knows the phrases of its text well: this is the model to fine-tune.",
        ("model.context=64", "training.batch_tokens=2048", "training.log_every=20"),
    ),
    Station(
        "decoder",
        "Decoder",
        "gpt2-mini",
        0.12,
        1.0,
        "It reads from left to right and learns to predict each next token, as GPT-2 does.",
        "After a minute it has the text's spelling, layout and grammar; sense takes hours and more text.",
        (
            "training.batch_tokens=2048",
            "training.log_every=20",
        ),
    ),
    Station(
        "encoder-decoder",
        "Encoder-decoder",
        "t5-mini",
        0.1,
        0.7,
        "Spans are cut out of its text; the encoder reads the rest, the decoder writes the missing spans, as in T5.",
        "It is the slowest of the three to learn: after a minute its spans look plausible and are seldom right.",
        ("model.context=64", "training.batch_tokens=2048", "training.log_every=20"),
    ),
)


@dataclass(frozen=True, eq=False)
class Trained:
    """A finished station. ``plateau``: the loss, in nats, of a model that knows only how frequent each token is."""

    station: Station
    result: PretrainResult
    plateau: float

    @property
    def final_loss(self) -> float:
        """Mean of the last tenth of the run."""
        losses = [loss for _, loss in self.result.losses]
        return float(np.mean(losses[-max(1, len(losses) // 10) :]))

    @property
    def stuck(self) -> bool:
        """No better than the frequencies of tokens: what it learned will not transfer."""
        return self.final_loss > self.plateau - 0.3


def train(
    station: Station,
    text: Path,
    out: Path,
    minutes: float,
    tokenizer: Path | int,
    unigram: Callable[[Tokenizer], float],
    seed: int,
    precision: str,
    quiet: bool,
) -> Trained:
    """``tokenizer``: a folder to take it from, or the size of a vocabulary to train; ``unigram``: entropy in nats."""
    flags: dict[str, Any] = {
        "tokenizer": {"path": str(tokenizer)}
        if isinstance(tokenizer, Path)
        else {"vocab_size": tokenizer, "sample": 32 << 20},
        "training.minutes": minutes,
        "training.seed": seed,
        "training.precision": precision,
    }
    recipe = load_recipe(station.recipe, data=[text], sets=station.settings, flags=flags).recipe
    result = pretrain(recipe, out / station.name, quiet=quiet)
    return Trained(station, result, station.words * unigram(result.tokenizer))


def unigram_entropy(texts: Sequence[str]) -> Callable[[Tokenizer], float]:
    """Entropy of the tokens' frequencies in nats, for a tokenizer."""

    def entropy(tokenizer: Tokenizer) -> float:
        ids = np.concatenate([np.asarray(row, np.int64) for row in tokenizer.encode_batch(list(texts))])
        counts = np.bincount(ids)
        share = counts[counts > 0] / counts.sum()
        return float(-(share * np.log(share)).sum())

    return entropy
