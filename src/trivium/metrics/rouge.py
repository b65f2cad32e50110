"""ROUGE (Lin 2004), with the choices of the original Perl script and of the package ``rouge_score``, which papers use.

Words are runs of a-z and 0-9 after lower-casing. ``rouge1`` and ``rouge2``: clipped n-gram counts; ``rougeL``: the
longest common subsequence of the whole texts; ``rougeLsum``: of the texts' lines, each line of the reference joined
over all lines of the summary (section 3.2), words counted once. Published CNN/DailyMail "ROUGE-L" is ``rougeLsum``.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from trivium.extras import extra_module

TYPES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
_WORDS = re.compile(r"[a-z0-9]+")
_STEMMED_FROM = 4  # letters: shorter words are left as they are


@dataclass(frozen=True)
class Overlap:
    """Precision and recall of one summary against one reference, and their harmonic mean."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def rouge(predicted: Sequence[str], golds: Sequence[str | Sequence[str]], stem: bool = False) -> dict[str, float]:
    """The mean F1 of each of ``TYPES`` over the texts, from 0 to 1; of several references the best one counts.

    ``stem``: by Porter's stemmer (extra ``[eval]``), as most published figures but T5's.
    """
    each = [rouge_each(said, gold, stem) for said, gold in zip(predicted, golds, strict=True)]
    if not each:
        raise ValueError("no texts to score")
    return {name: float(np.mean([scores[name].f1 for scores in each])) for name in TYPES}


def rouge_each(predicted: str, gold: str | Sequence[str], stem: bool = False) -> dict[str, Overlap]:
    """All types for one text; of several references, for each type the one with the best F1."""
    stemmed = _stemmer() if stem else None
    references = [gold] if isinstance(gold, str) else gold
    if not references:
        raise ValueError("a text without a reference cannot be scored")
    scores = [_against(predicted, reference, stemmed) for reference in references]
    return {name: max((each[name] for each in scores), key=lambda overlap: overlap.f1) for name in TYPES}


def lead(text: str, sentences: int = 3) -> str:
    """The baseline of summarisation: the first sentences of a text, a line each."""
    return "\n".join(sentences_of(text)[:sentences])


def sentences_of(text: str) -> list[str]:
    """A sentence ends at a line's end, or at ., ! or ?, perhaps in quotes, before a space and no small letter."""
    found = [part.strip() for line in text.splitlines() for part in _SENTENCES.split(line)]
    return [part for part in found if part]


_SENTENCES = re.compile(r"(?<=[.!?])[\"'”’)]*\s+(?=[^a-z])")


def _against(predicted: str, gold: str, stemmed: Callable[[str], str] | None) -> dict[str, Overlap]:
    said, wanted = _words(predicted, stemmed), _words(gold, stemmed)
    return {
        "rouge1": _ngrams(said, wanted, 1),
        "rouge2": _ngrams(said, wanted, 2),
        "rougeL": _shares(_longest(wanted, said), len(said), len(wanted)),
        "rougeLsum": _summary_level(
            [_words(line, stemmed) for line in predicted.split("\n") if line],
            [_words(line, stemmed) for line in gold.split("\n") if line],
        ),
    }


def _words(text: str, stemmed: Callable[[str], str] | None) -> list[str]:
    words = _WORDS.findall(text.lower())
    if stemmed is None:
        return words
    return [stemmed(word) if len(word) >= _STEMMED_FROM else word for word in words]


def _stemmer() -> Callable[[str], str]:
    porter = extra_module("nltk.stem.porter", "eval", "ROUGE with stemming needs nltk")
    stem: Callable[[str], str] = porter.PorterStemmer().stem
    return stem


def _ngrams(said: Sequence[str], wanted: Sequence[str], n: int) -> Overlap:
    counts = [Counter(zip(*(words[i:] for i in range(n)), strict=False)) for words in (said, wanted)]
    return _shares((counts[0] & counts[1]).total(), counts[0].total(), counts[1].total())


def _shares(hits: int, said: int, wanted: int) -> Overlap:
    return Overlap(hits / said if said else 0.0, hits / wanted if wanted else 0.0)


def _longest(first: Sequence[str], second: Sequence[str]) -> int:
    """The length of the longest common subsequence, all columns of a row at once as bits (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for place, word in enumerate(second):
        places[word] = places.get(word, 0) | 1 << place
    every = (1 << len(second)) - 1
    row = every
    for word in first:
        met = row & places.get(word, 0)
        row = (row + met | row - met) & every
    return len(second) - row.bit_count()


def _summary_level(said: Sequence[Sequence[str]], wanted: Sequence[Sequence[str]]) -> Overlap:
    total_said, total_wanted = sum(map(len, said)), sum(map(len, wanted))
    left = [Counter(word for line in lines for word in line) for lines in (said, wanted)]
    hits = 0
    for reference in wanted:
        for place in sorted(set().union(*(_common_places(reference, line) for line in said))):
            word = reference[place]
            if left[0][word] > 0 and left[1][word] > 0:
                hits += 1
                left[0][word] -= 1
                left[1][word] -= 1
    return _shares(hits, total_said, total_wanted)


def _common_places(reference: Sequence[str], line: Sequence[str]) -> set[int]:
    """Places in ``reference`` of one longest common subsequence: the one that the published scripts read out."""
    numbers: dict[str, int] = {}
    rows, columns = (np.array([numbers.setdefault(w, len(numbers)) for w in words], int) for words in (reference, line))
    table = np.zeros((len(rows) + 1, len(columns) + 1), int)
    for i, word in enumerate(rows, 1):
        table[i, 1:] = np.maximum.accumulate(np.maximum(table[i - 1, 1:], table[i - 1, :-1] + (columns == word)))
    places, i, j = set(), len(rows), len(columns)
    while i and j:
        if rows[i - 1] == columns[j - 1]:
            places.add(i - 1)
            i, j = i - 1, j - 1
        elif table[i, j - 1] > table[i - 1, j]:
            j -= 1
        else:
            i -= 1
    return places
