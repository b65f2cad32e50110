"""What a suite is: data whose truth is known, the published scores of what is said of it, and how sure they are.

Two kinds: of labelled examples, for which a fine-tuned model or a file of predictions says something, and of texts that
a language model gives probabilities to. A suite is a frozen dataclass; the fields named in its ``settings`` are the
user's to change.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from trivium.errors import DataError
from trivium.evaluation.resampling import Measure, Score
from trivium.evaluation.scorer import Scorer
from trivium.text.decoding import chunks
from trivium.text.fields import Columns

HEADLINE = "average"  # the mean of a suite's main scores, where there are several


@dataclass(frozen=True)
class Item:
    """One decision to make: what a fine-tuned model reads of it, by the names of its task, and what is true. ``id``:
    its name in the file, where it has one; ``published``: what is read by the set's own names, where they differ,
    which is what T5's casting makes text of."""

    place: str
    row: Mapping[str, object]
    gold: Any
    id: str = ""
    published: Mapping[str, object] | None = None


@dataclass(frozen=True)
class Reading:
    """The items of a file; ``read`` counts rows, ``skipped`` those without an item, by reason."""

    items: tuple[Item, ...]
    read: int
    skipped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """The scores; ``conventions``: how they were computed, for the signature; ``measure``: the same scores by how often
    each item counts, where items are what is drawn."""

    scores: Mapping[str, Score]
    conventions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    measure: Measure | None = None


@dataclass(frozen=True)
class Run:
    """What a language model scored, and of how many rows."""

    measured: Measured
    read: int
    scored: int
    skipped: Mapping[str, int] = field(default_factory=dict)


class LabelledSuite(Protocol):
    """For a fine-tuned model, or predictions from anywhere."""

    settings: ClassVar[tuple[str, ...]]

    @property
    def fields(self) -> tuple[str, ...]:
        """What a file may call otherwise."""
        ...

    @property
    def main(self) -> tuple[str, ...]:
        """The published scores; their mean stands for the suite where suites are averaged."""
        ...

    @property
    def files(self) -> tuple[str, ...]:
        """Where the file is in a folder of suites as they are distributed, the first that exists."""
        ...

    def read(self, path: Path, columns: Columns, format: str | None) -> Reading:
        """Every row of a file."""
        ...

    def said(self, place: str, row: Mapping[str, object]) -> Any:
        """The prediction in a row of JSON, as ``trivium predict`` writes it."""
        ...

    def score(self, items: Sequence[Item], said: Sequence[Any]) -> Measured:
        """What was said against what is true."""
        ...


class LanguageSuite(Protocol):
    """For a language model as it is, without fine-tuning."""

    settings: ClassVar[tuple[str, ...]]

    @property
    def main(self) -> tuple[str, ...]: ...

    @property
    def files(self) -> tuple[str, ...]: ...

    def run(self, scorer: Scorer, path: Path, limit: int | None) -> Run:
        """``limit``: only so many rows (of a text: lines)."""
        ...


@dataclass(frozen=True)
class Baseline:
    """What a simple method scores on the same items."""

    name: str
    scores: Mapping[str, Score]
    chosen: str = ""


@dataclass(frozen=True)
class Result:
    """One suite on one model. ``read`` is ``scored`` plus what was ``skipped``."""

    suite: str
    model: str
    scores: Mapping[str, Score]
    main: tuple[str, ...]
    read: int
    scored: int
    skipped: Mapping[str, int]
    signature: Mapping[str, str]
    notes: tuple[str, ...] = ()
    baselines: tuple[Baseline, ...] = ()

    @property
    def headline(self) -> Score:
        """The one score, or the mean of the main ones."""
        return self.scores[self.main[0] if len(self.main) == 1 else HEADLINE]

    @property
    def signed(self) -> str:
        """The signature in one line."""
        return "|".join(f"{name}:{value}" for name, value in self.signature.items())


def fingerprint(path: Path) -> str:
    """SHA-256 of a file's bytes, unzipped; of a folder, of its files' names and theirs."""
    digest = hashlib.sha256()
    if path.is_dir():
        for each in sorted(p for p in path.rglob("*") if p.is_file()):
            digest.update(f"{each.relative_to(path)} {fingerprint(each)}\n".encode())
        return digest.hexdigest()
    for data in chunks(path):
        digest.update(data)
    return digest.hexdigest()


def checked_file(path: Path) -> Path:
    """A file that is there."""
    if not path.is_file():
        raise DataError(f"{path} is not a file: check the name")
    return path
