"""Suites of a text for a text: summaries by ROUGE, with Lead-3 beside them, and translations by BLEU and chrF.

ROUGE is 0 to 1, BLEU and chrF are 0 to 100, as everywhere here. BLEU and chrF are sacrebleu's, whose signatures are a
part of this one; their intervals are those of all suites.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from trivium.errors import DataError, SettingsError
from trivium.evaluation.columns import field_of, rows_of
from trivium.evaluation.resampling import means, scored
from trivium.evaluation.suite import HEADLINE, Baseline, Item, Measured, Reading
from trivium.extras import extra_module
from trivium.metrics import lead
from trivium.metrics.rouge import TYPES, rouge_each
from trivium.metrics.translation import NEED, bleu_counts, bleu_of, chrf_counts, chrf_of, translation
from trivium.text.fields import Columns, text_of, texts_of

SAID = ("output", "prediction")
SOURCES = ("document", "dialogue", "article", "source", "text", "en")
TARGETS = ("summary", "summaries", "highlights", "target", "reference", "references")


@dataclass(frozen=True)
class Summaries:
    """``stem``: words are stemmed first, as in most published figures but T5's; ``sentences``: of the Lead baseline."""

    settings: ClassVar[tuple[str, ...]] = ("stem", "sentences")
    fields: ClassVar[tuple[str, ...]] = ("source", "target")
    main: ClassVar[tuple[str, ...]] = ("rouge1", "rouge2", "rougeLsum")

    stem: bool = True
    sentences: int = 3
    files: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.sentences < 1:
            raise SettingsError(f"sentences = {self.sentences}: it must be at least 1")

    def read(self, path: Path, columns: Columns, format: str | None) -> Reading:
        return _read(path, columns, format, TARGETS)

    def said(self, place: str, row: Mapping[str, object]) -> str:
        return _said(place, row)

    def score(self, items: Sequence[Item], said: Sequence[str]) -> Measured:
        each = [rouge_each(one, item.gold, self.stem) for item, one in zip(items, said, strict=True)]
        columns = {name: np.array([scores[name].f1 for scores in each]) for name in TYPES}
        measure = means(columns)
        scores = scored(len(items), measure, self.main, HEADLINE)
        return Measured(scores, {"stem": str(self.stem).lower()}, measure=measure)

    def lead(self, items: Sequence[Item]) -> Baseline:
        """The first sentences of each text."""
        said = [lead(str(item.row["source"]), self.sentences) for item in items]
        return Baseline(f"Lead-{self.sentences}", self.score(items, said).scores)


@dataclass(frozen=True)
class Translations:
    """``tokenize``: sacrebleu's: 13a, intl (T5's), zh, char ..."""

    settings: ClassVar[tuple[str, ...]] = ("tokenize", "lowercase")
    fields: ClassVar[tuple[str, ...]] = ("source", "target")
    main: ClassVar[tuple[str, ...]] = ("bleu",)

    tokenize: str = "13a"
    lowercase: bool = False
    files: tuple[str, ...] = ()

    def read(self, path: Path, columns: Columns, format: str | None) -> Reading:
        return _read(path, columns, format, ("target", "translation", "reference", "references", "de", "fr", "ro"))

    def said(self, place: str, row: Mapping[str, object]) -> str:
        return _said(place, row)

    def score(self, items: Sequence[Item], said: Sequence[str]) -> Measured:
        known = extra_module("sacrebleu.metrics.bleu", "eval", NEED).BLEU.TOKENIZERS
        if self.tokenize not in known:
            raise SettingsError(f"tokenize is {self.tokenize!r}: sacrebleu has {', '.join(known)}")
        golds = [item.gold for item in items]
        counts = {
            "bleu": (bleu_counts(said, golds, self.tokenize, self.lowercase), bleu_of),
            "chrf": (chrf_counts(said, golds, self.lowercase), chrf_of),
        }

        def measure(weights: np.ndarray) -> dict[str, np.ndarray]:
            return {name: score(weights @ each) for name, (each, score) in counts.items()}

        signed = translation(said, golds, self.tokenize, self.lowercase)
        how = {"bleu": signed.bleu_signature, "chrf": signed.chrf_signature}
        return Measured(scored(len(items), measure, self.main), how, measure=measure)


def _read(path: Path, columns: Columns, format: str | None, targets: Sequence[str]) -> Reading:
    items = []
    for place, row in rows_of(path, format, "jsonl"):
        target = field_of(place, row, targets, columns, "target")
        sources = [name for name in SOURCES if name != target]
        source = text_of(place, row, field_of(place, row, sources, columns, "source"))
        golds = list(texts_of(place, row, target)) if isinstance(row[target], list) else [text_of(place, row, target)]
        if not golds:
            raise DataError(f"{place}: {target!r} holds no reference: remove this row")
        items.append(Item(place, {"source": source}, golds))
    return Reading(tuple(items), len(items))


def _said(place: str, row: Mapping[str, object]) -> str:
    for name in SAID:
        if name in row:
            value = row[name]
            if not isinstance(value, str):
                raise DataError(f"{place}: the text in {name!r} is {type(value).__name__}, not a string")
            return value
    raise DataError(f"{place}: no text: it is looked for in {', '.join(map(repr, SAID))}")
