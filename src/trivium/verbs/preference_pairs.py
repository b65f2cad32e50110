"""What reward models and direct preference optimisation share: files of preferences to batches, and their figures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from trivium.alignment.pairs import PREFERENCE, TokenPair, TokenPairs, pair_of, reads_endings
from trivium.errors import DataError, SettingsError
from trivium.metrics.intervals import wilson
from trivium.objectives import Batch, Loss
from trivium.randomness import key
from trivium.tasks.batching import training_batches, within_budget
from trivium.text.chat_fields import EqualSidesError, read_preferences
from trivium.text.chats import Preference
from trivium.text.fields import EmptyTextError
from trivium.transformer import Network
from trivium.verbs.alignment_parts import EMPTY, Start, Unfit, left_out

FAULTS: tuple[tuple[type[DataError], str], ...] = ((EqualSidesError, "equal"), (EmptyTextError, "empty"))
"""Of rows that no pair can be made of, and the setting that says what happens to them."""


@dataclass(frozen=True)
class Reading:
    """``length``: tokens of a prompt with a reply, as far as the model's context goes; pairs with a longer side are
    left out, or with ``too_long`` "error" refused; those with ``equal`` sides, or with an ``empty`` turn in the prompt
    or a reply, the other way about."""

    length: int = 2048
    too_long: Unfit = "drop"
    equal: Unfit = "error"
    empty: Unfit = "error"

    def __post_init__(self) -> None:
        if self.length < 2:
            raise SettingsError(f"method.length = {self.length}: it must be at least 2")


@dataclass(frozen=True, eq=False)
class PreferenceData:
    """The pairs of train and of dev as tokens, the preferences of dev that they are of, and what is to be said."""

    train: TokenPairs
    dev: TokenPairs | None
    dev_preferences: Sequence[Preference]
    notes: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """Of all tokens."""
        return self.train.digest + (self.dev.digest if self.dev is not None else "")


def read_pairs(start: Start, reading: Reading) -> PreferenceData:
    """Both files of a run."""
    notes: list[str] = []
    train, read = _tokens("train", start.train, start, reading, notes)
    if start.dev is None:
        return PreferenceData(train, None, (), tuple(notes))
    dev, dev_read = _tokens("dev", start.dev, start, reading, notes)
    known = {preference.prompt for preference in read}
    if leaked := sum(preference.prompt in known for preference in dev_read):
        notes.append(f"{leaked} of {len(dev_read)} prompts of dev are in train, too: their figures flatter the model")
    return PreferenceData(train, dev, dev_read, tuple(notes))


def _tokens(
    name: str, file: Path, start: Start, reading: Reading, notes: list[str]
) -> tuple[TokenPairs, list[Preference]]:
    limit = start.model.config.limit
    room = reading.length if limit is None else min(reading.length, limit)
    unfit: dict[type[DataError], list[str]] = {
        fault: [] for fault, setting in FAULTS if getattr(reading, setting) == "drop"
    }
    located = read_preferences(file, start.columns, start.format, unfit)
    renderer = start.renderer()
    ends = start.generation(renderer).ends
    made: list[TokenPair] = []
    kept: list[Preference] = []
    long: list[str] = []
    for each in located:
        try:
            pair = pair_of(renderer, each, ends)
        except EqualSidesError:
            if EqualSidesError not in unfit:
                raise
            unfit[EqualSidesError].append(each.place)
            continue
        longest = max(len(pair.chosen.ids), len(pair.rejected.ids))
        if longest <= room:
            made.append(pair)
            kept.append(each.example)
        elif reading.too_long == "error":
            prompt = int(pair.chosen.said[0])
            raise DataError(
                f"{each.place}: the prompt has {prompt} tokens and the longer reply ends at {longest}, but {room} "
                "are read: raise method.length as far as the model's context goes, shorten them, or set too_long=drop"
            )
        else:
            long.append(each.place)
    if not made and long:
        raise DataError(
            f"no pair of {name} fits into {room} tokens, the first of them {long[0]}: raise method.length as far as "
            "the model's context goes, or give shorter ones"
        )
    equal, empty = unfit.get(EqualSidesError, []), unfit.get(EmptyTextError, [])
    why = ((f"longer than {room} tokens", long), ("with equal sides", equal), (EMPTY, empty))
    total = len(made) + len(long) + len(equal) + len(empty)
    told = [note for fault, places in why for note in left_out(name, "pairs", places, total, fault)]
    if not made:
        raise DataError(f"no pair of {name} can be learnt from: {', and '.join(told)}: give others")
    notes += told
    return TokenPairs(made, reads_endings(start.model.config)), kept


def pair_feed(
    pairs: TokenPairs, start: Start, batch: Callable[[np.ndarray], Batch]
) -> Callable[[int], list[Batch]]:
    """The micro-batches of a step, a pure function of its number: pairs of similar length together."""
    training = start.training
    size, lengths = training.batch, pairs.lengths
    per_epoch = -(-len(pairs) // size)

    @lru_cache(maxsize=2)
    def epoch(number: int) -> list[np.ndarray]:
        return training_batches(lengths, size, key(training.seed, "pairs"), number)

    def feed(number: int) -> list[Batch]:
        chosen = epoch(number // per_epoch)[number % per_epoch]
        return [batch(part) for part in within_budget(lengths, chosen, training.micro_tokens)]

    return feed


@torch.no_grad()
def pair_figures(
    model: Network, pairs: TokenPairs, batch: Callable[[np.ndarray], Batch],
    loss: Callable[[Network, Batch], Mapping[str, Loss]], tokens: int,
) -> dict[str, float]:  # fmt: skip
    """The loss and all that is watched, means over all pairs; the accuracy with its 95% interval."""
    device = next(model.parameters()).device
    sums: dict[str, float] = {}
    counts: dict[str, int] = {}
    for numbers in within_budget(pairs.lengths, np.arange(len(pairs)), tokens):
        made = batch(numbers)
        for name, part in loss(model, made.to(device)).items():
            sums[name] = sums.get(name, 0.0) + part.total.item()
            counts[name] = counts.get(name, 0) + part.count
    figures = {"loss" if name == PREFERENCE else name: total / counts[name] for name, total in sums.items()}
    sure = wilson(round(sums["accuracy"]), len(pairs))
    return {**figures, "accuracy_low": sure.low, "accuracy_high": sure.high}
