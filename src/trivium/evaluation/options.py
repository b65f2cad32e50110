"""Suites of options, of which one or several are right: SuperGLUE's COPA, MultiRC and ReCoRD, as they are distributed.

A model reads a ``context``, a ``question`` and ``options``; of MultiRC each option is a pair of texts with a label of
its own, and the rows that are counted are options.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from trivium.errors import DataError
from trivium.evaluation.columns import rows_of
from trivium.evaluation.labels import UNKNOWN, Labels, gold_label, said_label
from trivium.evaluation.resampling import Measure, means, quotient, scored
from trivium.evaluation.suite import HEADLINE, Item, Measured, Reading
from trivium.metrics import exact_match, token_f1
from trivium.text.fields import Columns, text_of
from trivium.text.readers import Row

SAID = ("choice", "answer", "label", "output", "prediction")
_ASKED = {"cause": "What was the cause of this?", "effect": "What happened as a result?"}


@dataclass(frozen=True)
class Alternatives:
    """COPA (Roemmele et al. 2011): which of two sentences is the cause or the effect of a third."""

    settings: ClassVar[tuple[str, ...]] = ()
    fields: ClassVar[tuple[str, ...]] = ()
    main: ClassVar[tuple[str, ...]] = ("accuracy",)

    files: tuple[str, ...] = ()

    def read(self, path: Path, columns: Columns, format: str | None) -> Reading:
        items, read, without = [], 0, 0
        for place, row in rows_of(path, format, "jsonl"):
            read += 1
            gold = gold_label(place, row, "label", (("0",), ("1",))) if "label" in row else None
            if gold is None:
                without += 1
                continue
            asked = row.get("question")
            if asked not in _ASKED:
                raise DataError(f"{place}: the question is {asked!r}: it must be 'cause' or 'effect'")
            options = [text_of(place, row, name) for name in ("choice1", "choice2")]
            inputs = {"context": text_of(place, row, "premise"), "question": _ASKED[str(asked)], "options": options}
            own = {name: value for name, value in row.items() if name != "label"}
            items.append(Item(place, inputs, int(gold), published=own))
        return Reading(tuple(items), read, _without(without))

    def said(self, place: str, row: Mapping[str, object]) -> str:
        return _said(place, row)

    def score(self, items: Sequence[Item], said: Sequence[str]) -> Measured:
        """A number from 0, ``choice1`` and ``choice2``, or the sentence itself name a choice."""
        hits = np.array([_names(item, each) for item, each in zip(items, said, strict=True)])
        measure = means({"accuracy": hits})
        return Measured(scored(len(items), measure, self.main, shares={"accuracy": hits}), measure=measure)


@dataclass(frozen=True)
class ManyRight:
    """MultiRC (Khashabi et al. 2018): each option of a question is right or wrong. ``f1a`` pools all options; ``exact``
    is the share of questions with every option right. Questions, not options, are resampled."""

    settings: ClassVar[tuple[str, ...]] = ()
    fields: ClassVar[tuple[str, ...]] = ()
    main: ClassVar[tuple[str, ...]] = ("f1a", "exact")
    labels: ClassVar[Labels] = (("0", "false"), ("1", "true"))

    files: tuple[str, ...] = ()

    def read(self, path: Path, columns: Columns, format: str | None) -> Reading:
        items, read, without = [], 0, 0
        for place, row in rows_of(path, format, "jsonl"):
            passage = _object(place, row, "passage")
            text = text_of(place, passage, "text")
            for number, question in enumerate(_objects(place, passage, "questions")):
                for answer in _objects(place, question, "answers"):
                    read += 1
                    gold = gold_label(place, answer, "label", self.labels) if "label" in answer else None
                    if gold is None:
                        without += 1
                        continue
                    asked, option = text_of(place, question, "question"), text_of(place, answer, "text")
                    inputs = {"text": text, "text2": f"{asked} {option}"}
                    own = {"paragraph": text, "question": asked, "answer": option}
                    items.append(Item(place, inputs, ((place, number), gold), published=own))
        return Reading(tuple(items), read, _without(without))

    def said(self, place: str, row: Mapping[str, object]) -> str:
        return said_label(place, row, ("label", "output", "prediction"), self.labels)

    def score(self, items: Sequence[Item], said: Sequence[str]) -> Measured:
        """A prediction that is no label is wrong, whatever is true."""
        questions: dict[object, list[tuple[bool, bool]]] = {}
        for item, each in zip(items, said, strict=True):
            key, gold = item.gold
            wanted = gold == "1"
            questions.setdefault(key, []).append((wanted, not wanted if each == UNKNOWN else each == "1"))
        exact = np.array([all(wanted == each for wanted, each in pairs) for pairs in questions.values()])
        measure = multirc_measure(list(questions.values()))
        return Measured(scored(len(questions), measure, self.main, HEADLINE, {"exact": exact}))


def multirc_measure(questions: Sequence[Sequence[tuple[bool, bool]]]) -> Measure:
    """Of the (true, said) of each question's options."""
    table = np.array(
        [
            (
                sum(wanted and said for wanted, said in pairs),
                sum(wanted + said for wanted, said in pairs),
                all(wanted == said for wanted, said in pairs),
            )
            for pairs in questions
        ],
        np.float64,
    )

    def measure(weights: np.ndarray) -> dict[str, np.ndarray]:
        both, total, exact = np.moveaxis(weights @ table, 1, 0)
        return {"f1a": quotient(2 * both, total), "exact": exact / weights.sum(axis=1)}

    return measure


@dataclass(frozen=True)
class Mentions:
    """ReCoRD (Zhang et al. 2018): which entity of a passage fills the blank of a sentence; SQuAD's measures against
    every right mention."""

    settings: ClassVar[tuple[str, ...]] = ()
    fields: ClassVar[tuple[str, ...]] = ()
    main: ClassVar[tuple[str, ...]] = ("f1", "exact")

    files: tuple[str, ...] = ()

    def read(self, path: Path, columns: Columns, format: str | None) -> Reading:
        items, read, without = [], 0, 0
        for place, row in rows_of(path, format, "jsonl"):
            passage = _object(place, row, "passage")
            text = text_of(place, passage, "text")
            named = list(dict.fromkeys(_mentions(place, text, passage)))
            for query in _objects(place, row, "qas"):
                read += 1
                golds = [text_of(place, each, "text") for each in _objects(place, query, "answers", False)]
                if not golds:
                    without += 1
                    continue
                inputs = {"context": text, "question": text_of(place, query, "query"), "options": named}
                own = {"passage": text, "query": inputs["question"], "entities": named}
                items.append(Item(place, inputs, (golds, named), published=own))
        return Reading(tuple(items), read, _without(without))

    def said(self, place: str, row: Mapping[str, object]) -> str:
        return _said(place, row)

    def score(self, items: Sequence[Item], said: Sequence[str]) -> Measured:
        pairs = [(item.gold[0], _mentioned(item.gold[1], each)) for item, each in zip(items, said, strict=True)]
        exact = np.array([max(exact_match(each, gold) for gold in golds) for golds, each in pairs])
        f1 = np.array([max(token_f1(each, gold) for gold in golds) for golds, each in pairs])
        measure = means({"f1": f1, "exact": exact})
        return Measured(scored(len(items), measure, self.main, HEADLINE, {"exact": exact}), measure=measure)


def _names(item: Item, said: str) -> bool:
    options = item.row["options"]
    assert isinstance(options, list)
    return said in (str(item.gold), f"choice{item.gold + 1}", options[item.gold].strip())


def _mentioned(named: Sequence[str], said: str) -> str:
    """An entity by its number among the passage's, or by its name."""
    return named[int(said)] if said.isdecimal() and int(said) < len(named) and said not in named else said


def _mentions(place: str, text: str, passage: Row) -> Iterator[str]:
    """The marked entities; their ends are inside them."""
    for entity in _objects(place, passage, "entities"):
        start, end = entity.get("start"), entity.get("end")
        if not (isinstance(start, int) and isinstance(end, int) and 0 <= start <= end < len(text)):
            raise DataError(f"{place}: an entity from {start!r} to {end!r} is not inside the passage")
        yield text[start : end + 1]


def _said(place: str, row: Mapping[str, object]) -> str:
    for name in SAID:
        value = row.get(name)
        if value is not None:  # a text that is no label has a null beside it
            if not isinstance(value, str | int):
                raise DataError(f"{place}: the prediction in {name!r} is {type(value).__name__}, not an option")
            return str(int(value)) if isinstance(value, int) else value.strip()
    raise DataError(f"{place}: no prediction: it is looked for in {', '.join(map(repr, SAID))}")


def _object(place: str, row: Row, name: str) -> Row:
    value = row.get(name)
    if not isinstance(value, dict):
        raise DataError(f"{place}: {name!r} is {type(value).__name__}, not an object, as this suite's files have it")
    return value


def _objects(place: str, row: Row, name: str, needed: bool = True) -> list[Row]:
    value = row.get(name)
    if value is None and not needed:
        return []
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise DataError(f"{place}: {name!r} is {type(value).__name__}, not a list of objects")
    return value


def _without(count: int) -> dict[str, int]:
    return {"no gold label": count} if count else {}
