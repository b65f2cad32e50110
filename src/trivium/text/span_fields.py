"""Spans in the fields of a row: lists of objects that count words or characters, or columns of tags, one a level.

- ``spans``: ``[{"first": 0, "last": 2, "label": "PER"}]``, words counted from 0, both inside; or ``{"start": 4, "end":
  9, "label": "PER"}``, characters of ``text`` from ``start`` up to, not with, ``end``, which must be borders of words.
- Columns of tags (BIO, IOB1, BIOES), read as conlleval reads them: nested entities have a column for each level.
"""

from collections.abc import Mapping, Sequence

from trivium.errors import DataError
from trivium.metrics.entities import entities
from trivium.text.examples import Relation, Span
from trivium.text.fields import integer_of, label_of, objects_of, texts_of

Row = Mapping[str, object]
Text = tuple[tuple[str, ...], str, tuple[tuple[int, int], ...]]
"""Words; and where they were cut out of a text that text, and the characters of each."""


def spans_of(place: str, row: Row, field: str, text: Text, labelled: bool = True) -> tuple[Span, ...]:
    """The list of spans in a field. ``labelled``: each has to have a label."""
    return tuple(_span(f"{place}: span {number} in {field!r}", each, text, labelled) for number, each in
                 enumerate(objects_of(place, row, field), 1))  # fmt: skip


def _span(place: str, given: Row, text: Text, labelled: bool) -> Span:
    words, _, cut = text
    label = label_of(place, given, "label") if labelled or "label" in given else ""
    if "start" in given or "end" in given:
        if not cut:
            raise DataError(f"{place} counts characters, and the row has words, not a text: give first and last")
        start, end = integer_of(place, given, "start"), integer_of(place, given, "end")
        return Span(label, *_by_characters(place, start, end, text))
    first, last = integer_of(place, given, "first"), integer_of(place, given, "last")
    if not 0 <= first <= last < len(words):
        raise DataError(
            f"{place} is words {first} to {last}, and the row has the words 0 to {len(words) - 1}: correct it"
        )
    return Span(label, first, last)


def _by_characters(place: str, start: int, end: int, text: Text) -> tuple[int, int]:
    words, whole, cut = text
    if not 0 <= start < end <= len(whole):
        raise DataError(f"{place} is characters {start} to {end}, and the text has {len(whole)}: correct it")
    inside = [number for number, (begin, stop) in enumerate(cut) if begin < end and stop > start]
    if not inside:
        raise DataError(f"{place} is characters {start} to {end}, which are spaces alone: correct it")
    first, last = inside[0], inside[-1]
    for word, split in ((first, cut[first][0] < start), (last, cut[last][1] > end)):
        if split:
            raise DataError(
                f"{place} is characters {start} to {end}, a border inside the word {words[word]!r}: move it, or give "
                "words cut as you need them in place of the text"
            )
    return first, last


def tagged_spans(place: str, row: Row, columns: Sequence[str], words: int) -> tuple[Span, ...]:
    """Those of all columns of tags, each once, in the order of the text."""
    found: list[Span] = []
    for column in columns:
        tags = [tag.strip() for tag in texts_of(place, row, column)]
        if len(tags) != words:
            raise DataError(f"{place}: {words} words but {len(tags)} tags in {column!r}: give one for each word")
        try:
            found += [Span(*each) for each in entities(tags)]
        except ValueError as error:
            raise DataError(f"{place}: column {column!r} does not mark spans: {error}") from None
    return tuple(sorted(set(found), key=lambda span: (span.first, -span.last, span.label)))


def relations_of(place: str, row: Row, field: str, spans: int) -> tuple[Relation, ...]:
    """``[{"head": 0, "tail": 1, "label": "of"}]``: numbers of spans, from 0."""
    found: dict[tuple[int, int], Relation] = {}
    for number, given in enumerate(objects_of(place, row, field), 1):
        where = f"{place}: relation {number} in {field!r}"
        head, tail = integer_of(where, given, "head"), integer_of(where, given, "tail")
        if not (0 <= head < spans and 0 <= tail < spans):
            known = f"spans 0 to {spans - 1}" if spans else "no spans"
            raise DataError(f"{where} is between spans {head} and {tail}, and the row has {known}: correct it")
        if (head, tail) in found:
            raise DataError(f"{where} is the second one from span {head} to span {tail}: keep one of them")
        found[head, tail] = Relation(label_of(where, given, "label"), head, tail)
    return tuple(found.values())
