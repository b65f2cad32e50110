"""Every task as text to text (Raffel et al. 2020, section 2.4 and appendix D): what T5 reads and writes for each.

``sst2 sentence: a lovely film`` -> ``positive``. The name of the data set comes first, then each feature after its
name, in the order of the names (but of ``multirc`` and ``wic``, whose order is given); labels are words. Strings follow
T5's code where the paper differs: ``wsc`` puts blanks inside its marks, ``wic`` shows no part of speech. Left out: the
simplified ``wsc``, whose answers are the nouns; ``ax`` is cast as ``mnli``, ``axb`` and ``axg`` as ``rte``.
"""

import re
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from trivium.errors import DataError
from trivium.tasks.cast_scores import (
    ACCEPTABLE,
    COMMITTED,
    TRUTH,
    acceptability,
    accuracy,
    answers,
    commitments,
    number_of,
    options,
    paraphrases,
    similarities,
)
from trivium.tasks.text_scores import TEXT_METRICS, TextMetric
from trivium.text.examples import Rewrite
from trivium.text.fields import Columns, label_of, text_of, texts_of

Row = Mapping[str, object]
Read = Callable[[str, Row, Columns, bool], Rewrite]


@dataclass(frozen=True)
class Cast:
    """``read`` makes an example of a row, as ``Task.example`` does; ``words``: the labels, by their numbers;
    ``prefix``: what stands before a text that is otherwise as it is."""

    read: Read
    metric: TextMetric
    words: tuple[str, ...] = ()
    prefix: str = ""

    def label(self, output: str) -> str | None:
        """The label that an output is, if it is one."""
        said = output.strip()
        return said if said in self.words else None


@dataclass(frozen=True)
class Features:
    """Of one data set. ``layouts``: the features by their names, in the order in which they are shown, for each of its
    distributions. ``texts``: which features of the first the fields ``text`` and ``text2`` are, where a row has those
    instead."""

    name: str
    layouts: tuple[tuple[str, ...], ...]
    texts: tuple[str, ...] = ()

    def read(self, place: str, row: Row, columns: Columns) -> dict[str, str]:
        """Each feature's text, in order."""
        general = dict(zip(self.texts, ("text", "text2"), strict=False))
        own = next((layout for layout in self.layouts if all(feature in row for feature in layout)), None)
        renamed = any(name in columns for name in general.values())
        if general and (renamed or (own is None and "text" in row)):
            fields = {feature: columns.get(name, name) for feature, name in general.items()}
            return {feature: text_of(place, row, fields[feature]) for feature in self.layouts[0]}
        return {feature: text_of(place, row, feature) for feature in own or self.layouts[0]}

    def source(self, found: Mapping[str, str]) -> str:
        return " ".join([self.name, *(f"{feature}: {text}" for feature, text in found.items())])


def labelled(
    features: Features, words: tuple[str, ...], metric: TextMetric,
    source: Callable[[str, Row, Columns], tuple[str, str]] | None = None,
) -> Cast:  # fmt: skip
    """Labels as words. ``source``: the text that is read and the key of the example, where they are not just the
    features."""

    def read(place: str, row: Row, columns: Columns, gold: bool) -> Rewrite:
        text, key = source(place, row, columns) if source else (features.source(features.read(place, row, columns)), "")
        field = columns.get("label", "label")
        word = word_of(place, row, field, words) if gold or field in row else ""
        if gold and not word:
            raise DataError(f"{place}: the label in {field!r} is -1, which means that it is not known: remove this row")
        return Rewrite(text, word, key=key)

    return Cast(read, metric, words)


def word_of(place: str, row: Row, field: str, words: tuple[str, ...]) -> str:
    """A label's word, from the word, in letters of any case, or its number; empty for -1, not known."""
    label = label_of(place, row, field)
    if label == "-1":
        return ""
    by_word = {word.lower(): word for word in words}
    if label.lower() in by_word:
        return by_word[label.lower()]
    if label.isdecimal() and int(label) < len(words):
        return words[int(label)]
    raise DataError(
        f"{place}: the label in {field!r} is {label!r}: it must be {' or '.join(words)}, or a number from 0 to "
        f"{len(words) - 1}"
    )


# ---- rows that are more than features after their names ----


def read_similarity(place: str, row: Row, columns: Columns, gold: bool) -> Rewrite:
    """STS-B: numbers from 0 to 5 as words, rounded to fifths: 3.79 is ``3.8``."""
    source = STSB.source(STSB.read(place, row, columns))
    field = columns.get("label", "label" if "label" in row else "score")
    if not gold and field not in row:
        return Rewrite(source, "")
    value = row.get(field)
    number = number_of(value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= 5:
        raise DataError(f"{place}: the score in {field!r} is {value!r}: it must be a number from 0 to 5")
    return Rewrite(source, f"{round(number * 5) / 5:.1f}", key=repr(float(number)))


def _multirc_source(place: str, row: Row, columns: Columns) -> tuple[str, str]:
    found = MULTIRC.read(place, row, columns)
    plain = re.sub("</?b>", "", MULTIRC.source(found).replace("<br>", " "))
    number = row.get("idx")
    inside = number if isinstance(number, dict) else {}
    if "paragraph" in inside and "question" in inside:
        return plain, f"{inside['paragraph']}-{inside['question']}"
    return plain, f"{found['question']}\n{found['paragraph']}"


def _wsc_source(place: str, row: Row, columns: Columns) -> tuple[str, str]:
    """``This is * the test * of # it #``: the noun and the pronoun between marks, found by their words' numbers."""
    nested = row.get("target")
    fields = {**row, **(nested if isinstance(nested, dict) else {})}
    text = text_of(place, row, "text")
    places = []
    for span, mark in (("span1", "*"), ("span2", "#")):
        number = fields.get(f"{span}_index")
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise DataError(f"{place}: {span}_index is {number!r}: it must be the number of a word, from 0")
        places.append((number, text_of(place, fields, f"{span}_text"), mark))
    for number, words, mark in sorted(places, reverse=True):  # from behind, so that numbers stay what they are
        text = re.sub(rf"^((?:\S+\s){{{number}}})({re.escape(words)})", rf"\1{mark} \2 {mark}", text)
    return f"wsc text: {text}", ""


def read_record(place: str, row: Row, columns: Columns, gold: bool) -> Rewrite:
    """ReCoRD: its highlights become sentences; any of the answers is right, the first is learnt."""
    passage = re.sub(r"([.?!\"'])\n@highlight\n", r"\1 ", text_of(place, row, "passage"))
    entities = ", ".join(texts_of(place, row, "entities"))
    query = text_of(place, row, "query")
    source = f"record query: {query} entities: {entities} passage: " + passage.replace("\n@highlight\n", ". ")
    found = texts_of(place, row, "answers") if gold or "answers" in row else ()
    return _answered(place, source, found, gold)


def read_question(place: str, row: Row, columns: Columns, gold: bool) -> Rewrite:
    """SQuAD: blanks around punctuation, in the answers too. They may be texts, or as SQuAD's files have them."""
    question, context = (padded_punctuation(text_of(place, row, name)) for name in ("question", "context"))
    source = _single_blanks(f"question: {question} context: {context}")
    held = row.get("answers")
    if isinstance(held, dict):
        held = held.get("text")
    if isinstance(held, list):
        held = [each.get("text") if isinstance(each, dict) else each for each in held]
    found = texts_of(place, {"answers": held}, "answers") if gold or held is not None else ()
    return _answered(place, source, tuple(padded_punctuation(answer) for answer in found), gold)


def _answered(place: str, source: str, found: tuple[str, ...], gold: bool) -> Rewrite:
    if gold and not found:
        raise DataError(f"{place}: 'answers' is empty: give an answer, or remove this row")
    return Rewrite(source, found[0], found[1:]) if found else Rewrite(source, "")


def padded_punctuation(text: str) -> str:
    return _single_blanks(re.sub(f"([{re.escape(string.punctuation)}])", r" \1 ", text))


def _single_blanks(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def prefixed(prefix: str, names: tuple[str, str], metric: TextMetric) -> Cast:
    """A text after a prefix; the fields ``source`` and ``target``, or those of ``names``."""

    def read(place: str, row: Row, columns: Columns, gold: bool) -> Rewrite:
        given = {general: own for general, own in zip(GENERAL, names, strict=True) if general not in row and own in row}
        return read_texts(place, row, {**given, **columns}, gold)

    return Cast(read, metric, prefix=prefix)


def read_texts(place: str, row: Row, columns: Columns, gold: bool) -> Rewrite:
    """Fields ``source`` and ``target``, which may be a list of texts each of which is right; to rewrite, a ``text`` is
    enough."""
    source, target = (columns.get(name, name) for name in GENERAL)
    if not gold and source not in row and "text" in row:
        source = "text"
    text = text_of(place, row, source)
    wanted = targets_of(place, row, target) if gold or target in row else ("",)
    return Rewrite(text, wanted[0], wanted[1:])


def targets_of(place: str, row: Row, field: str) -> tuple[str, ...]:
    """A text, or a list of texts each of which is right."""
    if not isinstance(row.get(field), list):
        return (text_of(place, row, field),)
    found = texts_of(place, row, field)
    if not found:
        raise DataError(f"{place}: {field!r} is an empty list: give a text, or remove this row")
    return found


# ---- the table ----

GENERAL = ("source", "target")
ENTAILED = ("entailment", "not_entailment")
SENTENCES = ("sentence1", "sentence2")
STSB = Features("stsb", (SENTENCES,), SENTENCES)
MULTIRC = Features("multirc", (("question", "answer", "paragraph"),))
ACCURACY = TextMetric(accuracy, "accuracy")
ANSWERS = TextMetric(answers, "f1")

MRPC = ("not_equivalent", "equivalent")
QQP = ("not_duplicate", "duplicate")
PREMISE = ("premise", "hypothesis")

CASTS: Mapping[str, Cast] = {
    "cola": labelled(
        Features("cola", (("sentence",),), ("sentence",)), ACCEPTABLE, TextMetric(acceptability, "matthews")
    ),
    "sst2": labelled(Features("sst2", (("sentence",),), ("sentence",)), ("negative", "positive"), ACCURACY),
    "mrpc": labelled(Features("mrpc", (SENTENCES,), SENTENCES), MRPC, paraphrases(MRPC)),
    "qqp": labelled(Features("qqp", (("question1", "question2"),), ("question1", "question2")), QQP, paraphrases(QQP)),
    "stsb": Cast(read_similarity, TextMetric(similarities, "correlation")),
    "mnli": labelled(
        Features("mnli", (("hypothesis", "premise"),), PREMISE), ("entailment", "neutral", "contradiction"), ACCURACY
    ),
    "qnli": labelled(Features("qnli", (("question", "sentence"),), ("question", "sentence")), ENTAILED, ACCURACY),
    "rte": labelled(Features("rte", (SENTENCES, ("hypothesis", "premise")), SENTENCES), ENTAILED, ACCURACY),
    "wnli": labelled(Features("wnli", (SENTENCES,), SENTENCES), ENTAILED[::-1], ACCURACY),
    "boolq": labelled(Features("boolq", (("passage", "question"),), ("question", "passage")), TRUTH, ACCURACY),
    "cb": labelled(
        Features("cb", (("hypothesis", "premise"),), PREMISE), COMMITTED, TextMetric(commitments, "macro_f1")
    ),
    "copa": labelled(
        Features("copa", (("choice1", "choice2", "premise", "question"),)), ("choice1", "choice2"), ACCURACY
    ),
    "multirc": labelled(MULTIRC, TRUTH, TextMetric(options, "f1a"), _multirc_source),
    "wic": labelled(Features("wic", (("sentence1", "sentence2", "word"),)), TRUTH, ACCURACY),
    "wsc": labelled(Features("wsc", (("text",),)), TRUTH, ACCURACY, _wsc_source),
    "record": Cast(read_record, ANSWERS),
    "squad": Cast(read_question, ANSWERS),
    "translate_en_de": prefixed("translate English to German: ", ("en", "de"), TEXT_METRICS["bleu"]),
    "translate_en_fr": prefixed("translate English to French: ", ("en", "fr"), TEXT_METRICS["bleu"]),
    "translate_en_ro": prefixed("translate English to Romanian: ", ("en", "ro"), TEXT_METRICS["bleu"]),
    "summarize": prefixed("summarize: ", ("article", "highlights"), TEXT_METRICS["rouge"]),
}
"""By the names that the task's setting ``cast`` has for them."""
