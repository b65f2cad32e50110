"""Suites of sentence pairs of which one is right, such as BLiMP (Warstadt et al. 2020).

A pair is decided by the total log-probability of each sentence, without a context and without regard to lengths; equal
ones are wrong. Encoders are asked for pseudo-log-likelihoods (Salazar et al. 2020). A folder is read file by file.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import ClassVar

import numpy as np

from trivium.errors import DataError, SettingsError
from trivium.evaluation.resampling import Score, means, scored
from trivium.evaluation.scorer import Scorer
from trivium.evaluation.suite import Measured, Run
from trivium.generation.prompts import beginning
from trivium.metrics import wilson
from trivium.text.fields import text_of
from trivium.text.readers import read_rows


@dataclass(frozen=True)
class MinimalPairs:
    """``by``: fields whose values are scored one by one, too."""

    settings: ClassVar[tuple[str, ...]] = ()
    main: ClassVar[tuple[str, ...]] = ("accuracy",)

    by: tuple[str, ...] = ("linguistics_term", "UID")
    files: tuple[str, ...] = ()

    def run(self, scorer: Scorer, path: Path, limit: int | None) -> Run:
        """Of a folder, ``limit`` pairs of each file."""
        if scorer.kind == "encoder-decoder":
            raise SettingsError("an encoder-decoder gives no probability to a text alone: give an encoder or a decoder")
        if scorer.kind == "decoder" and not beginning(scorer.tokenizer):
            raise SettingsError(
                "this tokenizer has no token to begin a text with, so a sentence's first word has no probability: "
                "give a model whose tokenizer has a begin or end token"
            )
        pairs, groups = _read(path, limit, self.by)
        found, _ = scorer.continuations([("", sentence) for pair in pairs for sentence in pair])
        values = np.array([score.log_probability for score in found]).reshape(-1, 2)
        hits = values[:, 0] > values[:, 1]
        scores = scored(len(pairs), means({"accuracy": hits}), self.main, shares={"accuracy": hits})
        names = [name for name in self.by if any(name in group for group in groups)]
        for name in names:
            for value in sorted({group[name] for group in groups if name in group}):
                chosen = hits[[group.get(name) == value for group in groups]]
                share = wilson(int(chosen.sum()), len(chosen))
                scores[f"accuracy {value}"] = Score(share.value, share.low, share.high, "wilson")
        kind = "pseudo-log-likelihood" if scorer.kind == "encoder" else "log-likelihood"
        how = {"score": kind, "length": "not-normalised", "context": "empty", "ties": "wrong"}
        return Run(Measured(scores, how), len(pairs), len(pairs))


def _read(
    path: Path, limit: int | None, by: tuple[str, ...]
) -> tuple[list[tuple[str, str]], list[dict[str, str]]]:
    pairs, groups = [], []
    for file in _files(path):
        for place, row in islice(read_rows(file), limit):
            pairs.append((text_of(place, row, "sentence_good"), text_of(place, row, "sentence_bad")))
            groups.append({name: str(row[name]) for name in by if name in row})
    return pairs, groups


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    found = sorted(path.glob("*.jsonl"))
    if not found:
        raise DataError(f"{path} holds no .jsonl file: give a file of pairs, or the folder of BLiMP's")
    yield from found
