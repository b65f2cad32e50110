"""Suites of a tag for each word: named entities (CoNLL-2003), chunks (CoNLL-2000), parts of speech (Universal
Dependencies).

Entities are read as ``conlleval`` reads them, whichever of IOB1, BIO and BIOES their tags are in, so gold and
predictions need not use the same scheme, for words neither. Sentences are resampled.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from trivium.errors import DataError
from trivium.evaluation.columns import field_of, rows_of
from trivium.evaluation.resampling import Measure, quotient, scored
from trivium.evaluation.suite import Item, Measured, Reading
from trivium.metrics import entities
from trivium.text.fields import Columns, texts_of
from trivium.text.tag_schemes import to_bio

SAID = ("tags", "prediction")


@dataclass(frozen=True)
class Tagging:
    """``scores``: of whole entities, or of words."""

    settings: ClassVar[tuple[str, ...]] = ()
    fields: ClassVar[tuple[str, ...]] = ("words", "tags")

    scores: Literal["entities", "words"]
    tags: tuple[str, ...] = ("tags",)
    format: str = "conll"
    files: tuple[str, ...] = ()

    @property
    def main(self) -> tuple[str, ...]:
        """F1 of entities, or the share of words with the right tag."""
        return ("f1",) if self.scores == "entities" else ("accuracy",)

    def read(self, path: Path, columns: Columns, format: str | None) -> Reading:
        items = []
        for place, row in rows_of(path, format, self.format):
            words = texts_of(place, row, field_of(place, row, ("words", "tokens"), columns, "words"))
            gold = texts_of(place, row, field_of(place, row, self.tags, columns, "tags"))
            if len(words) != len(gold):
                raise DataError(f"{place}: {len(words)} words but {len(gold)} tags")
            items.append(Item(place, {"words": list(words)}, gold))
        return Reading(tuple(items), len(items))

    def said(self, place: str, row: Mapping[str, object]) -> tuple[str, ...]:
        for name in SAID:
            if name in row:
                return texts_of(place, row, name)
        raise DataError(f"{place}: no tags: they are looked for in {', '.join(map(repr, SAID))}")

    def score(self, items: Sequence[Item], said: Sequence[tuple[str, ...]]) -> Measured:
        for item, tags in zip(items, said, strict=True):
            if len(tags) != len(item.gold):
                raise DataError(f"{item.place}: {len(item.gold)} words, and the prediction has {len(tags)} tags")
        golds = [item.gold for item in items]
        measure = entity_measure(golds, said) if self.scores == "entities" else word_measure(golds, said)
        how = {"scheme": "conlleval"} if self.scores == "entities" else {}
        return Measured(scored(len(items), measure, self.main), how, measure=measure)


def word_measure(gold: Sequence[Sequence[str]], said: Sequence[Sequence[str]]) -> Measure:
    """The share of words, over sentences."""
    pairs = list(zip(gold, said, strict=True))
    hits = np.array([sum(a == b for a, b in zip(*pair, strict=True)) for pair in pairs], float)
    words = np.array([len(wanted) for wanted, _ in pairs], float)
    return lambda weights: {"accuracy": quotient(weights @ hits, weights @ words)}


def entity_measure(gold: Sequence[Sequence[str]], said: Sequence[Sequence[str]]) -> Measure:
    """Precision, recall and F1 over entities, and the share of words with the right tag, once both are BIO."""
    table, tags = [], []
    for wanted_tags, said_tags in zip(gold, said, strict=True):
        wanted, found = entities(wanted_tags), entities(said_tags)
        table.append((len(set(wanted) & set(found)), len(wanted), len(found)))
        tags.append([to_bio(each, len(wanted_tags)) for each in (wanted, found)])
    counts, words = np.array(table, float), word_measure(*zip(*tags, strict=True))

    def measure(weights: np.ndarray) -> dict[str, np.ndarray]:
        right, golds, guesses = np.moveaxis(weights @ counts, 1, 0)
        scores = {"precision": quotient(right, guesses), "recall": quotient(right, golds)}
        return {**scores, "f1": quotient(2 * right, golds + guesses), **words(weights)}

    return measure
