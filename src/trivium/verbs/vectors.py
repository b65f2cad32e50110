"""``trivium vectors``: what saved vectors know: neighbours, analogies, cosines, published tests; other formats."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trivium.errors import SettingsError
from trivium.text.decoding import Errors
from trivium.vectors import saving
from trivium.vectors.blocks import Format
from trivium.vectors.evaluation import (
    RESTRICT,
    AnalogyScores,
    Case,
    SimilarityScore,
    evaluate_analogies,
    evaluate_similarity,
    read_analogies,
    read_pairs,
)
from trivium.vectors.files import load_vectors
from trivium.vectors.similarity import Method, Neighbour, analogy, cosine_table, neighbours
from trivium.vectors.vectors import Vectors

Given = str | Path | Vectors

_ANALOGIES = "questions-words.txt"


@dataclass(frozen=True)
class SimilarWords:
    """A word and its nearest others."""

    word: str
    neighbours: list[Neighbour]


@dataclass(frozen=True)
class WordAnalogy:
    """An analogy as it was understood, and the answers, best first."""

    plus: tuple[str, ...]
    minus: tuple[str, ...]
    method: str
    answers: list[Neighbour]


@dataclass(frozen=True)
class CosineTable:
    """Cosines of each word with each."""

    words: tuple[str, ...]
    cosines: list[list[float]]


@dataclass(frozen=True)
class VectorsEvaluation:
    """Scores on the files that were given or found."""

    words: int
    dimensions: int
    analogies: AnalogyScores | None
    similarity: list[SimilarityScore]


def open_vectors(given: Given, limit: int | None = None, errors: Errors = "strict") -> Vectors:
    """The vectors themselves, or those of a file."""
    return given if isinstance(given, Vectors) else load_vectors(given, limit, errors=errors)


def similar_words(
    vectors: Given, words: Sequence[str], count: int = 10, *, limit: int | None = None, errors: Errors = "strict"
) -> list[SimilarWords]:
    """The ``count`` nearest words of each word. ``limit``: of a file, only the first so many words are read."""
    if not words:
        raise SettingsError("name a word whose neighbours are asked for")
    found = neighbours(open_vectors(vectors, limit, errors), words, count)
    return [SimilarWords(word, near) for word, near in zip(words, found, strict=True)]


def word_analogy(
    vectors: Given,
    question: str | Sequence[str],
    method: Method = "add",
    count: int = 10,
    *,
    limit: int | None = None,
    errors: Errors = "strict",
) -> WordAnalogy:
    """The words that complete ``"king - man + woman"``, or ``"man king woman"``: man is to king as woman is to what?"""
    plus, minus = _terms(question if isinstance(question, str) else " ".join(question))
    answers = analogy(open_vectors(vectors, limit, errors), plus, minus, count, method)
    return WordAnalogy(tuple(plus), tuple(minus), method, answers)


def _terms(question: str) -> tuple[list[str], list[str]]:
    """Words to add and words to take away."""
    parts = question.split()
    if not {"+", "-"} & set(parts):
        if len(parts) != 3:
            raise SettingsError(
                "an analogy is three words (a is to b as c is to ?) or a sum such as `king - man + woman`: "
                f"{question!r} has {len(parts)} words"
            )
        return [parts[1], parts[2]], [parts[0]]
    terms: dict[str, list[str]] = {"+": [], "-": []}
    signed = parts if parts[0] in terms else ["+", *parts]
    if len(signed) % 2 or any((part in terms) == bool(place % 2) for place, part in enumerate(signed)):
        raise SettingsError(
            f"{question!r} is no sum of words: write words with + or - between two, each apart by spaces"
        )
    for sign, word in zip(signed[::2], signed[1::2], strict=True):
        terms[sign].append(word)
    return terms["+"], terms["-"]


def word_table(
    vectors: Given, words: Sequence[str], *, limit: int | None = None, errors: Errors = "strict"
) -> CosineTable:
    """The cosine of every two of ``words``."""
    if len(words) < 2:
        raise SettingsError("a table of cosines needs two words or more")
    table = cosine_table(open_vectors(vectors, limit, errors), words)
    return CosineTable(tuple(words), table.tolist())


def evaluate_vectors(
    vectors: Given,
    analogies: str | Path | None = None,
    similarity: Sequence[str | Path] = (),
    *,
    method: Method = "add",
    restrict: int = RESTRICT,
    case: Case = "fold",
    limit: int | None = None,
    errors: Errors = "strict",
) -> VectorsEvaluation:
    """Accuracy on an analogy file and Spearman's correlation on similarity files.

    Without files, those of the folder ``word_vectors`` in TRIVIUM_DATA: questions-words.txt and every .tsv.
    """
    if analogies is None and not similarity:
        analogies, similarity = _found()
    sections = None if analogies is None else read_analogies(Path(analogies))
    pairs = [(Path(each).stem, read_pairs(Path(each))) for each in similarity]
    opened = open_vectors(vectors, limit, errors)
    return VectorsEvaluation(
        len(opened),
        opened.dimensions,
        None if sections is None else evaluate_analogies(opened, sections, method=method, restrict=restrict, case=case),
        [evaluate_similarity(opened, each, name, case=case) for name, each in pairs],
    )


def _found() -> tuple[Path | None, list[Path]]:
    """The files that TRIVIUM_DATA names."""
    data = os.environ.get("TRIVIUM_DATA")
    folder = Path(data or "", "word_vectors")
    questions = folder / _ANALOGIES
    analogies = questions if data and questions.is_file() else None
    similarity = sorted(folder.glob("*.tsv")) if data else []
    if analogies is None and not similarity:
        where = f"{folder} has neither {_ANALOGIES} nor a .tsv" if data else "TRIVIUM_DATA is not set"
        raise SettingsError(
            f"name what to evaluate on, with --analogies {_ANALOGIES} or --similarity wordsim353.tsv: {where}, so "
            "none were found"
        )
    return analogies, similarity


def convert_vectors(
    source: str | Path,
    out: str | Path,
    format: Format | None = None,
    *,
    limit: int | None = None,
    decimals: int | None = None,
    errors: Errors = "strict",
) -> saving.Converted:
    """A file of vectors in another format, streamed, read back and compared; ``out`` must be new."""
    if Path(out).exists():
        raise SettingsError(f"{out} exists: choose another name, or remove it first")
    return saving.convert_vectors(source, out, format, limit=limit, decimals=decimals, errors=errors)
