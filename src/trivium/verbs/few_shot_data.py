"""What a few-shot evaluation reads: any labelled file, a published suite's, or puzzles made of words; as cases, with a
layout for them.

The examples that prompts may show are never among the rows that are scored: what both files have is left out of the
examples, and of a single file a half is set aside.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from trivium.errors import DataError, SettingsError
from trivium.evaluation import LABELLED, Item, LabelledSuite
from trivium.evaluation.classification import Classification
from trivium.evaluation.in_context import InContext
from trivium.evaluation.resampling import Score, crossed_measures, with_average
from trivium.evaluation.suite import HEADLINE
from trivium.randomness import Draws, key
from trivium.tasks import TASKS
from trivium.tasks.sequences import in_order
from trivium.text import python_docs
from trivium.text.documents import read_documents
from trivium.text.examples import Answer, Choices, Labelled, Located, Pair, Question, Rewrite
from trivium.text.few_shot import Case, Layout, case_of, fields_of, label_words, suggested, with_changes
from trivium.text.fields import Columns, text_of
from trivium.text.readers import Row, read_rows
from trivium.text.word_puzzles import WORD_PUZZLES, frequent_words, puzzles
from trivium.verbs.data_checks import checked
from trivium.verbs.examples import checked_columns, example_of

KINDS = ("sequence", "choices", "answers", "rewriting")
SET_ASIDE = 2  # of a single file, one row of so many becomes an example
PUZZLES = 100  # that are scored where no limit is given
Items = list[Located[Any]]


@dataclass(frozen=True)
class FewShotData:
    """``rows``: what is scored; ``pool``: what prompts may show; both also as ``examples`` of a task."""

    name: str
    kind: str
    rows: tuple[Case, ...]
    pool: tuple[Case, ...]
    row_examples: tuple[Any, ...]
    pool_examples: tuple[Any, ...]
    labels: tuple[str, ...]
    words: Mapping[str, str]
    layout: Layout
    notes: tuple[str, ...]
    suite: LabelledSuite | None = None  # whose published scores stand beside the accuracy
    items: tuple[Item, ...] = ()  # of the suite, by row

    def published(self, said: Sequence[Sequence[str]]) -> dict[str, Score]:
        """The suite's own scores of what was answered, row by row and draw by draw, with intervals over both."""
        if self.suite is None:
            return {}
        by_word = {word: label for label, word in self.words.items()}
        draws = [self.suite.score(self.items, [by_word.get(each, each) for each in draw]) for draw in said]
        if len(draws) == 1:
            return dict(draws[0].scores)
        average = HEADLINE if HEADLINE in draws[0].scores else ""
        measures = [with_average(each.measure, self.suite.main, average) for each in draws if each.measure is not None]
        return crossed_measures(len(self.items), measures)


def read_few_shot(
    data: Path | None, train: Path | None, suite: str | None, task: str | None, columns: Columns, format: str | None,
    settings: InContext, limit: int | None, shots: bool,
) -> FewShotData:  # fmt: skip
    """``shots``: whether examples are needed at all. ``limit``: at most so many rows are scored, drawn by the seed."""
    notes: list[str] = []
    items: dict[str, Item] = {}
    if suite in WORD_PUZZLES:
        rows, pool = _puzzles(suite, data, settings.seed)
        limit = limit or PUZZLES
        kind, words, base = "rewriting", {}, WORD_PUZZLES[suite][1]
        labels: tuple[str, ...] = ()
    else:
        if data is None:
            raise SettingsError("there is no data: give --data, a labelled file, or a suite of word puzzles")
        kind, rows, known, items = _rows(data, suite, task, columns, format)
        pool = _rows(train, suite, kind, columns, format)[1] if train is not None else []
        if train is not None and type(pool[0].example) is not type(rows[0].example):
            raise DataError(f"{train} and {data} have rows of different kinds: give examples of the same layout")
        if not pool and shots:
            rows, pool = _halves(rows, settings.seed)
            notes.append(f"{len(pool)} rows are set aside as examples, and {len(rows)} are left to score")
        labels = in_order({each.example.label for each in (*rows, *pool)}) if kind == "sequence" else ()
        if kind == "sequence" and len(labels) < 2:
            raise DataError(f"{data}: all rows have the label {labels[0]!r}: nothing can be told apart")
        pair = isinstance(rows[0].example, Pair)
        words = label_words(labels, pair, {**{k: v for k, v in known.items() if k in labels}, **settings.given_words})
        base = suggested(kind, [known.get(label, label) for label in labels], pair)
    if kind != "sequence" and settings.words:
        raise SettingsError("words stand for labels, and these rows have none: leave words out")
    if pool:
        pool, found = checked(pool, rows, "drop")
        if found.dropped:
            notes.append(f"{found.dropped} examples are among the scored rows, and are never shown")
    if settings.choose == "balanced" and kind in ("answers", "rewriting"):
        raise SettingsError("balanced examples need labels, and free answers have none: set choose=random")
    rows = _sampled(rows, limit, settings.seed)
    layout = with_changes(base, settings.description, settings.example, settings.separator)
    layout.check(tuple(fields_of(rows[0].example)))
    return FewShotData(
        name=suite or str(data),
        kind=kind,
        rows=_cases(rows, words),
        pool=_cases(pool, words),
        row_examples=tuple(each.example for each in rows),
        pool_examples=tuple(each.example for each in pool),
        labels=labels,
        words=words,
        layout=layout,
        notes=tuple(notes),
        suite=LABELLED.get(suite or ""),
        items=tuple(items[each.place] for each in rows if items),
    )


def _cases(part: Items, words: Mapping[str, str]) -> tuple[Case, ...]:
    return tuple(case_of(each.place, each.example, words) for each in part)


def _rows(
    path: Path, suite: str | None, task: str | None, columns: Columns, format: str | None
) -> tuple[str, Items, dict[str, str], dict[str, Item]]:
    """The kind of a file's rows, the rows, the words that a suite has for its labels, and its items by place."""
    if suite is not None:
        return _suite_rows(path, suite, columns, format)
    read = list(read_rows(path, format))
    kind = task or _kind(read[0][1], columns)
    if kind not in KINDS:
        near = get_close_matches(kind, KINDS, 1)
        advice = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(KINDS)}"
        raise SettingsError(f"task {kind!r} is not asked in prompts: {advice}")
    if kind == "answers":
        found = [Located(_question(place, row, columns), place) for place, row in read]
    else:
        reader = TASKS[kind]()
        known = checked_columns(reader, columns)
        found = [Located(example_of(reader, place, row, known, True), place) for place, row in read]
        if kind == "choices":
            reader.learn(found, [])
        if kind == "sequence" and len({type(each.example) for each in found}) > 1:
            raise DataError(f"{path}: some rows have one text and some two: give text2 in all of them, or in none")
    usable = [each for each in found if not isinstance(each.example, Question) or each.example.answers]
    if not usable:
        raise DataError(f"{path} has no question with an answer: nothing can be scored")
    return kind, usable, {}, {}


def _kind(row: Row, columns: Columns) -> str:
    names = {columns.get(name, name) for name in ("options", "question", "source", "target")} & set(row)
    if columns.get("options", "options") in names:
        return "choices"
    if {columns.get("source", "source"), columns.get("target", "target")} <= names:
        return "rewriting"
    answered = any(columns.get(name, name) in row for name in ("answers", "answer"))
    return "answers" if answered and columns.get("question", "question") in names else "sequence"


def _question(place: str, row: Row, columns: Columns) -> Question:
    """``question``, perhaps ``context``, and ``answers`` (a list of texts, or of objects with one) or ``answer``."""
    question, context = columns.get("question", "question"), columns.get("context", "context")
    name = next((n for n in (columns.get("answers", "answers"), "answer") if n in row), "answers")
    value = row.get(name)
    value = value.get("text") if isinstance(value, dict) else value
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list):
        raise DataError(f"{place}: the answers in {name!r} are {type(value).__name__}, not a text or a list of them")
    texts = [each.get("text") if isinstance(each, dict) else each for each in listed]
    if not all(isinstance(each, str) for each in texts):
        raise DataError(f"{place}: an answer in {name!r} is no text")
    found = tuple(Answer(each.strip(), -1) for each in texts if isinstance(each, str) and each.strip())
    passage = text_of(place, row, context) if context in row else ""
    return Question(text_of(place, row, question), passage, found)


def _suite_rows(
    path: Path, suite: str, columns: Columns, format: str | None
) -> tuple[str, Items, dict[str, str], dict[str, Item]]:
    known = LABELLED.get(suite)
    if known is None:
        names = [*WORD_PUZZLES, *LABELLED]
        near = get_close_matches(suite, names, 1)
        advice = f"did you mean {near[0]}?" if near else "leave --suite out and give a labelled file"
        raise SettingsError(f"suite {suite!r} has no rows to be asked in prompts: {advice}")
    reading = known.read(path, columns, format)
    found: Items = []
    for item in reading.items:
        row, place = item.row, item.place
        golds = [item.gold] if isinstance(item.gold, str) else item.gold
        free = isinstance(golds, list | tuple) and all(isinstance(each, str) for each in golds)
        if "options" in row and isinstance(item.gold, int):
            texts = {name: str(row.get(name, "")) for name in ("context", "question")}
            example: Any = Choices(texts["context"], texts["question"], tuple(row["options"]), item.gold)  # type: ignore[arg-type]
        elif isinstance(known, Classification):
            first = str(row["text"])
            example = Pair(first, str(row["text2"]), item.gold) if "text2" in row else Labelled(first, item.gold)
        elif "question" in row and free:
            answers = tuple(Answer(each, -1) for each in golds)
            example = Question(str(row["question"]), str(row["context"]), answers)
        elif ("source" in row or "text" in row) and free:
            example = Rewrite(str(row.get("source", row.get("text"))), golds[0], tuple(golds[1:]))
        else:
            raise SettingsError(f"{suite} has no rows to be asked in prompts: its answers are neither labels nor texts")
        if not isinstance(example, Question) or example.answers:
            found.append(Located(example, place))
    if not found:
        raise DataError(f"{path} has no row with what is true in it: nothing can be scored")
    kinds = {Labelled: "sequence", Pair: "sequence", Choices: "choices", Question: "answers", Rewrite: "rewriting"}
    words = {}
    if isinstance(known, Classification):
        words = {each[0]: next((w for w in each if not w.isdecimal()), each[0]) for each in known.labels}
    return kinds[type(found[0].example)], found, words, {item.place: item for item in reading.items}


def _puzzles(kind: str, data: Path | None, seed: int) -> tuple[Items, Items]:
    """Of the words of a text, or of the embedded corpus; even ones are scored, odd ones are examples."""
    if data is None:
        texts = [each.text for each in python_docs.documents("all")]
    else:
        texts = list(read_documents([data]))
    made = puzzles(kind, frequent_words(texts), seed)
    return made[::2], made[1::2]


def _halves(rows: Items, seed: int) -> tuple[Items, Items]:
    order = np.argsort(Draws(key(seed, "set aside"), np.arange(len(rows))).bits("rows", 1)[:, 0], kind="stable")
    aside = set(order[: len(rows) // SET_ASIDE].tolist())
    if not aside:
        raise DataError("there is one row, which cannot be scored and shown: give examples of their own with --train")
    return [each for i, each in enumerate(rows) if i not in aside], [each for i, each in enumerate(rows) if i in aside]


def _sampled(rows: Items, limit: int | None, seed: int) -> Items:
    if limit is None or len(rows) <= limit:
        return rows
    order = np.argsort(Draws(key(seed, "scored"), np.arange(len(rows))).bits("rows", 1)[:, 0], kind="stable")[:limit]
    return [rows[int(i)] for i in np.sort(order)]


def numbered(shots: Sequence[int | None]) -> tuple[int | None, ...]:
    """Checked, rising, each once; None: as many as the context holds, which is last."""
    wrong = [each for each in shots if each is not None and each < 0]
    if wrong or not shots:
        raise SettingsError(f"shots = {wrong[0] if wrong else 'nothing'}: give numbers of examples, 0 or above, or max")
    found = sorted({each for each in shots if each is not None})
    return (*found, None) if None in shots else tuple(found)


def shots_of(text: str) -> tuple[int | None, ...]:
    """``0,1,16,max`` of a command line."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part == "max" or part.isdecimal() for part in parts):
        raise SettingsError(f"shots {text!r} must look like 0,1,4,16 or 0,max: numbers of examples in the prompt")
    return numbered([None if part == "max" else int(part) for part in parts])
