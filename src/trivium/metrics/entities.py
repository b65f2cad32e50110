"""Entities in sequences of tags (conlleval's and seqeval's measure), and labelled spans of any kind, nested ones too.

An entity is (type, first, last) and right where all three are. Scheme ``conll`` reads tags of any scheme as conlleval
does, to which an ``I-X`` that continues nothing begins an entity; ``iob2`` and ``iobes`` want entities whole: B, I, I,
or B, I, E and S (also spelt L and U).
"""

from collections.abc import Hashable, Iterable, Sequence
from typing import Literal

Entity = tuple[str, int, int]
"""Type, first position and last position, both inside."""


Scheme = Literal["conll", "iob2", "iobes"]


def entities(tags: Sequence[str], scheme: Scheme = "conll") -> list[Entity]:
    """The entities of one sequence, in order."""
    return _lenient(tags) if scheme == "conll" else _strict(tags, closed=scheme == "iobes")


def _lenient(tags: Sequence[str]) -> list[Entity]:
    """conlleval's reading: type and mark of neighbours decide where one ends and the next begins."""
    found: list[Entity] = []
    begun: int | None = None
    mark, kind = "O", ""
    for place, tag in enumerate([*tags, "O"]):
        next_mark, next_kind = _split(tag)
        changed = mark != "O" and next_mark != "O" and kind != next_kind
        if begun is not None and (next_mark in "OBSU" or mark in "ESLU" or changed):
            found.append((kind, begun, place - 1))
            begun = None
        starts = next_mark in "BSU" or (next_mark != "O" and (mark in "OESLU" or changed))
        if starts:
            begun = place
        mark, kind = next_mark, next_kind
    return found


def _strict(tags: Sequence[str], closed: bool) -> list[Entity]:
    """``closed``: ends are marked."""
    found: list[Entity] = []
    marks = [_split(tag) for tag in tags]
    place = 0
    while place < len(marks):
        mark, kind = marks[place]
        if closed and mark in "SU":
            found.append((kind, place, place))
        elif mark == "B":
            last = place + 1
            while last < len(marks) and marks[last] == ("I", kind):
                last += 1
            if not closed:
                found.append((kind, place, last - 1))
            elif last < len(marks) and marks[last][0] in "EL" and marks[last][1] == kind:
                found.append((kind, place, last))
        place += 1
    return found


def _split(tag: str) -> tuple[str, str]:
    """"B-PER" to ("B", "PER"); a type may hold hyphens; a bare mark has the type "_"."""
    mark, hyphen, kind = tag.partition("-")
    if mark not in ("B", "I", "O", "E", "S", "L", "U") or (mark == "O" and hyphen):
        raise ValueError(f"{tag!r} is no tag of IOB or IOBES: it must be O, or B-, I-, E-, S-, L- or U- and a type")
    return mark, kind or "_"


def entity_scores(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], scheme: Scheme = "conll"
) -> dict[str, float]:
    """Precision, recall and F1 over all entities, the unweighted mean of the types' F1, and the tags' accuracy."""
    _same_length(gold, predicted)
    for number, (wanted, said) in enumerate(zip(gold, predicted, strict=True)):
        if len(wanted) != len(said):
            raise ValueError(f"sequence {number} has {len(wanted)} gold tags but {len(said)} predicted ones")
    pairs = [(g, p) for wanted, said in zip(gold, predicted, strict=True) for g, p in zip(wanted, said, strict=True)]
    accuracy = sum(g == p for g, p in pairs) / len(pairs) if pairs else 0.0
    scores = span_scores([entities(each, scheme) for each in gold], [entities(each, scheme) for each in predicted])
    return {**scores, "accuracy": accuracy}


def span_scores(
    gold: Sequence[Iterable[tuple[Hashable, int, int]]], predicted: Sequence[Iterable[tuple[Hashable, int, int]]]
) -> dict[str, float]:
    """Precision, recall and F1 of sets of (label, first, last), one set a text; ``macro_f1``: the unweighted mean
    of the labels' F1."""
    by_label = label_scores(gold, predicted)
    counts = [tuple(map(sum, zip(*(each[0] for each in by_label.values()), strict=True)))] if by_label else [(0, 0, 0)]
    precision, recall, f1 = _quotients(*counts[0])
    macro = sum(each[1][2] for each in by_label.values()) / len(by_label) if by_label else 0.0
    return {"precision": precision, "recall": recall, "f1": f1, "macro_f1": macro}


def label_scores(
    gold: Sequence[Iterable[tuple[Hashable, int, int]]], predicted: Sequence[Iterable[tuple[Hashable, int, int]]]
) -> dict[Hashable, tuple[tuple[int, int, int], tuple[float, float, float]]]:
    """For each label (right, gold, predicted) counts and (precision, recall, F1)."""
    _same_length(gold, predicted)
    counts: dict[Hashable, list[int]] = {}
    for wanted_spans, said_spans in zip(gold, predicted, strict=True):
        wanted, said = set(wanted_spans), set(said_spans)
        for column, spans in enumerate((wanted & said, wanted, said)):
            for span in spans:
                counts.setdefault(span[0], [0, 0, 0])[column] += 1
    return {
        label: ((right, golds, guesses), _quotients(right, golds, guesses))
        for label, (right, golds, guesses) in counts.items()
    }


def _quotients(right: int, gold: int, predicted: int) -> tuple[float, float, float]:
    both = gold + predicted
    return (
        right / predicted if predicted else 0.0,
        right / gold if gold else 0.0,
        2 * right / both if both else 0.0,
    )


def _same_length(gold: Sequence[object], predicted: Sequence[object]) -> None:
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} gold sequences but {len(predicted)} predicted ones")
    if not gold:
        raise ValueError("no sequences to score")
