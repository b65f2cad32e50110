"""Suites of sentence pairs of which one is right, such as BLiMP (Warstadt et al. 2020), or one a stereotype, such as
CrowS-Pairs (Nangia et al. 2020), where a half is what a model without the prejudice has.

A pair is decided by the total log-probability of each sentence, without a context and without regard to lengths; equal
ones are wrong. Encoders are asked for pseudo-log-likelihoods (Salazar et al. 2020); of an encoder-decoder the decoder
writes each sentence to an empty source. A folder is read file by file.
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
    """``by``: fields whose values are scored one by one, too; ``good`` and ``bad``: those of the sentences; ``named``:
    the share of pairs whose first sentence is the more probable one."""

    settings: ClassVar[tuple[str, ...]] = ()

    by: tuple[str, ...] = ("linguistics_term", "UID")
    good: str = "sentence_good"
    bad: str = "sentence_bad"
    named: str = "accuracy"
    files: tuple[str, ...] = ()

    @property
    def main(self) -> tuple[str, ...]:
        return (self.named,)

    def run(self, scorer: Scorer, path: Path, limit: int | None) -> Run:
        """Of a folder, ``limit`` pairs of each file."""
        if scorer.kind == "decoder" and not beginning(scorer.tokenizer):
            raise SettingsError(
                "this tokenizer has no token to begin a text with, so a sentence's first word has no probability: "
                "give a model whose tokenizer has a begin or end token"
            )
        pairs, groups = self._read(path, limit)
        found, _ = scorer.continuations([("", sentence) for pair in pairs for sentence in pair])
        values = np.array([score.log_probability for score in found]).reshape(-1, 2)
        hits = values[:, 0] > values[:, 1]
        scores = scored(len(pairs), means({self.named: hits}), self.main, shares={self.named: hits})
        names = [name for name in self.by if any(name in group for group in groups)]
        for name in names:
            for value in sorted({group[name] for group in groups if name in group}):
                chosen = hits[[group.get(name) == value for group in groups]]
                share = wilson(int(chosen.sum()), len(chosen))
                scores[f"{self.named} {value}"] = Score(share.value, share.low, share.high, "wilson")
        kind = "pseudo-log-likelihood" if scorer.kind == "encoder" else "log-likelihood"
        how = {"score": kind, "length": "not-normalised", "context": "empty", "ties": "wrong"}
        if scorer.kind == "encoder-decoder":
            how["stack"] = "decoder"
        return Run(Measured(scores, how), len(pairs), len(pairs))

    def _read(self, path: Path, limit: int | None) -> tuple[list[tuple[str, str]], list[dict[str, str]]]:
        pairs, groups = [], []
        for file in _files(path):
            for place, row in islice(read_rows(file), limit):
                pairs.append((text_of(place, row, self.good), text_of(place, row, self.bad)))
                groups.append({name: str(row[name]) for name in self.by if name in row})
        return pairs, groups


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    found = sorted(path.glob("*.jsonl"))
    if not found:
        raise DataError(f"{path} holds no .jsonl file: give a file of pairs, or the folder of BLiMP's")
    yield from found
