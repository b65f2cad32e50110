"""How good vectors are: analogies by category (Mikolov et al. 2013) and similarity judgements (Spearman).

Analogies: lines of four words, "Athens Greece Oslo Norway", under headings ": capital-common-countries". An answer
counts when it is exactly the fourth word, found among the most frequent words (30,000 in the C tool's compute-accuracy,
300,000 in gensim); questions with a word outside them are left out and counted. Sections named "gram..." are the
syntactic ones. Similarity: lines of two words and a human score (WordSim-353, RG-65, MEN, SimLex-999); the rank
correlation of the scores with the cosines.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from trivium.errors import DataError, SettingsError
from trivium.metrics.correlation import spearman
from trivium.text.decoding import lines
from trivium.vectors.similarity import EPSILON, Method, normalised
from trivium.vectors.vectors import Vectors

Case = Literal["fold", "exact"]

RESTRICT = 300_000
_SCORES = 1 << 24  # numbers in one product of questions and words


@dataclass(frozen=True)
class Questions:
    """A section of an analogy file: a is to b as c is to d."""

    name: str
    questions: list[tuple[str, str, str, str]]


@dataclass(frozen=True)
class SectionScore:
    """Answers to one section, or to several together."""

    name: str
    right: int
    asked: int
    skipped: int  # a word of the question is not among those searched

    @property
    def accuracy(self) -> float | None:
        return self.right / self.asked if self.asked else None


@dataclass(frozen=True)
class AnalogyScores:
    """Each section, and the semantic ones, the syntactic ones and all together."""

    sections: list[SectionScore]
    semantic: SectionScore
    syntactic: SectionScore
    total: SectionScore
    method: str
    words: int  # that were searched


@dataclass(frozen=True)
class Pair:
    """Two words and how similar people found them."""

    first: str
    second: str
    score: float


@dataclass(frozen=True)
class SimilarityScore:
    """``spearman`` is None where fewer than three pairs are known, or where one side has but one value."""

    name: str
    spearman: float | None
    pairs: int
    skipped: int  # a word of the pair is unknown


def read_analogies(path: Path) -> list[Questions]:
    """The sections of a file in the form of questions-words.txt."""
    sections: list[Questions] = []
    for number, line in lines(path, "strict"):
        words = line.split()
        if not words:
            continue
        if words[0].startswith(":"):
            sections.append(Questions(line.strip()[1:].strip() or f"section {len(sections) + 1}", []))
            continue
        if not sections:
            raise DataError(f"{path}:{number}: no heading such as `: capital-common-countries` comes before this line")
        if len(words) != 4:
            raise DataError(f"{path}:{number}: {len(words)} words where an analogy has 4: correct or remove this line")
        sections[-1].questions.append((words[0], words[1], words[2], words[3]))
    if not any(section.questions for section in sections):
        raise DataError(f"{path} holds no analogies: name a file such as questions-words.txt")
    return sections


def evaluate_analogies(
    vectors: Vectors,
    sections: Sequence[Questions],
    *,
    method: Method = "add",
    restrict: int = RESTRICT,
    case: Case = "fold",
) -> AnalogyScores:
    """Accuracy by section. ``case="fold"``: Greece and greece are one word, as in the C tool and gensim."""
    if method not in ("add", "mul"):
        raise SettingsError(f"method {method!r}: choose add (3CosAdd) or mul (3CosMul)")
    if restrict < 1:
        raise SettingsError(f"restrict = {restrict}: search among 1 word or more")
    fold = _fold(case)
    count = min(restrict, len(vectors))
    unit = normalised(np.asarray(vectors.matrix[:count]))
    vectors.check_finite(unit.sum(1), range(count))
    first: dict[str, int] = {}  # folded word -> its most frequent row
    form = np.array([first.setdefault(fold(word), row) for row, word in enumerate(vectors.words[:count])])
    spellings: dict[int, list[int]] = {}
    for row in np.flatnonzero(form != np.arange(count)).tolist():
        spellings.setdefault(int(form[row]), []).append(row)
    scores = []
    for section in sections:
        known = [tuple(first.get(fold(word), -1) for word in question) for question in section.questions]
        rows = np.array([each for each in known if min(each) >= 0], np.int64).reshape(-1, 4)
        right = _answered(unit, form, spellings, rows, method)
        scores.append(SectionScore(section.name, right, len(rows), len(known) - len(rows)))
    syntactic = [score for score in scores if score.name.startswith("gram")]
    semantic = [score for score in scores if not score.name.startswith("gram")]
    return AnalogyScores(
        scores,
        *(_sum("semantic", semantic), _sum("syntactic", syntactic), _sum("total", scores)),
        method=method,
        words=count,
    )


def _answered(
    unit: np.ndarray, form: np.ndarray, spellings: dict[int, list[int]], questions: np.ndarray, method: Method
) -> int:
    """How many of the questions (n, 4), given as rows, have the right answer."""
    right = 0
    step = max(1, _SCORES // len(unit))
    for begin in range(0, len(questions), step):
        a, b, c, d = questions[begin : begin + step].T
        if method == "add":
            scores = (unit[b] - unit[a] + unit[c]) @ unit.T
        else:
            scores = _shifted(unit, b)
            scores *= _shifted(unit, c)
            scores /= _shifted(unit, a) + EPSILON
        for number, question in enumerate(zip(a.tolist(), b.tolist(), c.tolist(), strict=True)):
            scores[number, [row for each in question for row in (each, *spellings.get(each, ()))]] = -np.inf
        right += int((form[scores.argmax(axis=1)] == d).sum())
    return right


def _shifted(unit: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return np.clip((1 + unit[rows] @ unit.T) / 2, 0, 1)


def _sum(name: str, scores: Sequence[SectionScore]) -> SectionScore:
    return SectionScore(
        name, sum(s.right for s in scores), sum(s.asked for s in scores), sum(s.skipped for s in scores)
    )


def read_pairs(path: Path) -> list[Pair]:
    """Pairs from lines of two words and a score, apart by tabs, commas or spaces, a heading or not.

    The score is the first number after the two words, so that SimLex-999 is read as it comes.
    """
    pairs: list[Pair] = []
    column = columns = 0
    for number, line in lines(path, "strict"):
        if not line.strip() or line.startswith("#"):
            continue
        fields = _fields(line)
        if not columns:
            found = [at for at, field in enumerate(fields) if at > 1 and _number(field) is not None]
            if not found:
                if number == 1 and len(fields) > 2:
                    continue  # the heading
                raise DataError(f"{path}:{number}: two words and a score are wanted, as in `tiger cat 7.35`")
            column, columns = found[0], len(fields)
        if len(fields) != columns:
            raise DataError(f"{path}:{number}: {len(fields)} columns where other lines have {columns}: correct it")
        score = _number(fields[column])
        if score is None:
            raise DataError(
                f"{path}:{number}: the score {fields[column]!r} is not a number: correct or remove this line"
            )
        if not fields[0] or not fields[1]:
            raise DataError(f"{path}:{number}: a word is missing: correct or remove this line")
        pairs.append(Pair(fields[0], fields[1], score))
    if not pairs:
        raise DataError(f"{path} holds no pairs of words: name a file such as wordsim353.tsv")
    return pairs


def _fields(line: str) -> list[str]:
    apart = "\t" if "\t" in line else "," if "," in line else None
    return [field.strip() for field in line.strip("\n").split(apart)]


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def evaluate_similarity(
    vectors: Vectors, pairs: Sequence[Pair], name: str, *, restrict: int | None = None, case: Case = "fold"
) -> SimilarityScore:
    """Spearman's rank correlation of the cosines with people's scores, over the pairs whose words are known."""
    fold = _fold(case)
    first: dict[str, int] = {}
    for row, word in enumerate(vectors.words[:restrict]):
        first.setdefault(fold(word), row)
    known = [pair for pair in pairs if fold(pair.first) in first and fold(pair.second) in first]
    rows = np.array([(first[fold(pair.first)], first[fold(pair.second)]) for pair in known], np.int64).reshape(-1, 2)
    left, right = (np.asarray(vectors.matrix[rows[:, side]], np.float64) for side in (0, 1))
    for side, of_side in enumerate((left, right)):
        vectors.check_finite(of_side, rows[:, side].tolist())
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    cosines = (left * right).sum(1) / np.where(lengths > 0, lengths, 1)
    value = spearman(cosines, [pair.score for pair in known]) if len(known) > 2 else None
    return SimilarityScore(name, value, len(known), len(pairs) - len(known))


def _fold(case: Case) -> Callable[[str], str]:
    if case not in ("fold", "exact"):
        raise SettingsError(f"case {case!r}: choose fold (Greece is greece) or exact")
    return str.upper if case == "fold" else str
