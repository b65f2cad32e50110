"""What labelled files are warned of before a model is fine-tuned on them: examples of dev that train has, too, so that
they measure memory; training examples that contradict each other; and ones that stand there twice.

Two inputs count as the same where they differ in case and blanks alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import PurePath
from typing import Any, Literal

from trivium.errors import DataError
from trivium.text.examples import Located

Leaks = Literal["warn", "error", "drop"]

TRUTH = frozenset(("label", "labels", "tags", "target", "others", "answers", "spans", "relations", "value"))
"""The fields of examples that are to be predicted; spans are given where relations are."""
UNREAD = frozenset(("id", "key"))
"""Fields that no model reads."""
NAMED = 3  # places that are told of each kind


@dataclass(frozen=True)
class DataChecks:
    """``leaked``: examples of dev whose input train has, too; ``leaked_exactly``: letter by letter; ``leaked_apart``:
    with another truth there. ``contradicted``: inputs of train with more than one truth; ``repeated``: training
    examples that stood in train before. Places come in pairs. ``dropped``: training examples that were left out because
    dev has them."""

    leaked: int = 0
    leaked_exactly: int = 0
    leaked_apart: int = 0
    leaks: tuple[tuple[str, str], ...] = ()  # in dev, in train
    contradicted: int = 0
    contradictions: tuple[tuple[str, str], ...] = ()
    repeated: int = 0
    dropped: int = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """For people."""
        found = []
        if self.leaked:
            apart = f", {self.leaked_apart} of them with another truth there" if self.leaked_apart else ""
            then = f"; left out of train: {self.dropped}" if self.dropped else ""
            found.append(
                f"examples of dev that are in train, too: {self.leaked} ({self.leaked_exactly} letter by letter"
                f"{apart}), such as {_named(self.leaks)}{then}"
            )
        if self.contradicted:
            found.append(
                f"inputs in train with more than one truth: {self.contradicted}, such as {_named(self.contradictions)}"
            )
        if self.repeated:
            found.append(f"training examples that stood in train before: {self.repeated}")
        return tuple(found)


def checked(
    train: Sequence[Located[Any]], dev: Sequence[Located[Any]], leaks: Leaks = "warn"
) -> tuple[list[Located[Any]], DataChecks]:
    """The training examples to use and what was found. ``leaks``: what happens to examples that dev has, too: a
    note, an error, or they are left out of train."""
    first: dict[object, tuple[Located[Any], object]] = {}
    exact: set[object] = set()
    truths: dict[object, set[object]] = {}
    contradictions: dict[object, tuple[str, str]] = {}
    repeated = 0
    for located in train:
        given, truth = parted(located.example)
        alike = _alike(given)
        exact.add(given)
        earlier = first.setdefault(alike, (located, truth))
        seen = truths.setdefault(alike, set())
        if truth in seen:
            repeated += 1
        elif seen:
            contradictions.setdefault(alike, (earlier[0].place, located.place))
        seen.add(truth)
    places: list[tuple[str, str]] = []
    leaked: set[object] = set()
    exactly = apart = 0
    for located in dev:
        given, truth = parted(located.example)
        alike = _alike(given)
        if alike in first:
            leaked.add(alike)
            places.append((located.place, first[alike][0].place))
            exactly += given in exact
            apart += truth not in truths[alike]
    found = DataChecks(
        len(places), exactly, apart, tuple(places[:NAMED]), len(contradictions),
        tuple(contradictions.values())[:NAMED], repeated,
    )  # fmt: skip
    if not leaked or leaks == "warn":
        return list(train), found
    if leaks == "error":
        raise DataError(f"{found.notes[0]}: remove them from one of the two, or from train with leaks = drop")
    kept = [located for located in train if _alike(parted(located.example)[0]) not in leaked]
    if not kept:
        raise DataError("every example of train is in dev, too: give other examples to one of the two")
    return kept, replace(found, dropped=len(train) - len(kept))


def parted(example: Any) -> tuple[object, object]:
    """What of an example is given, and what is to be predicted."""
    if not is_dataclass(example):
        return example, None
    named = [(field.name, _frozen(getattr(example, field.name))) for field in fields(example)]
    true = TRUTH - {"spans"} if any(name == "relations" for name, _ in named) else TRUTH
    given = tuple(value for name, value in named if name not in true | UNREAD)
    return given, tuple(value for name, value in named if name in true)


def _frozen(value: Any) -> object:
    """To be compared by: lists and tables become tuples, whatever is inside them."""
    if isinstance(value, dict):
        return tuple((key, _frozen(each)) for key, each in sorted(value.items()))
    if isinstance(value, list | tuple):
        return tuple(_frozen(each) for each in value)
    return repr(value) if is_dataclass(value) or not isinstance(value, str | int | float | bool | None) else value


def _alike(given: object) -> object:
    """The same with no difference of case and blanks."""
    if isinstance(given, str):
        return " ".join(given.split()).casefold()
    return tuple(_alike(each) for each in given) if isinstance(given, tuple) else given


def _named(places: Sequence[tuple[str, str]]) -> str:
    """Files by their names, without the folders that they lie in: notes go into cards."""
    return ", ".join(f"{PurePath(one).name} and {PurePath(other).name}" for one, other in places)
