"""What a vocabulary does to a text, in numbers: length, fertility, unknowns, what it splits, scripts, speed.

Fertility, tokens per word, is the measure of Rust et al. 2021, "How Good is Your Tokenizer?", section 3.1; a word is
one of Unicode's that begins with a letter or digit. All is counted from offsets, so for any algorithm and any script.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from trivium.tokenizers.alignment import Span, word_spans, words_of_tokens
from trivium.tokenizers.scripts import script_of
from trivium.tokenizers.tokenizer import Tokenizer

FREQUENT = 1000  # words among which those split most are looked for
LISTED = 10


@dataclass(frozen=True)
class SplitWord:
    """A frequent word and the pieces it is usually cut into."""

    word: str
    count: int
    pieces: list[str]


@dataclass(frozen=True)
class ScriptCoverage:
    """``known``: the share of the script's characters that are in no unknown token."""

    script: str
    characters: int
    known: float
    tokens_per_character: float


@dataclass(frozen=True)
class TextReport:
    """One tokenizer on one text. ``unknown_tokens``, ``unknown_words``: shares of the tokens and of the words."""

    bytes: int
    tokens: int
    words: int
    bytes_per_token: float
    fertility: float
    unknown_tokens: float
    unknown_words: float
    most_split: list[SplitWord]
    scripts: list[ScriptCoverage]
    megabytes_per_second: float


@dataclass(frozen=True)
class Texts:
    """The texts that tokenizers are measured on, with what does not depend on a tokenizer."""

    texts: Sequence[str]

    @cached_property
    def words(self) -> list[list[Span]]:
        """The words of each text."""
        return [[span for span in word_spans(text) if text[span[0]].isalnum()] for text in self.texts]

    @cached_property
    def bytes(self) -> int:
        return sum(len(text.encode("utf-8", "replace")) for text in self.texts)

    @cached_property
    def frequent(self) -> Counter[str]:
        """The most frequent words of at least two letters, with their counts."""
        counts: Counter[str] = Counter()
        for text, spans in zip(self.texts, self.words, strict=True):
            counts.update(text[start:end] for start, end in spans if end - start > 1)
        return Counter(dict(counts.most_common(FREQUENT)))


def report(tokenizer: Tokenizer, measured: Texts) -> TextReport:
    """All figures of a tokenizer on these texts."""
    began = time.perf_counter()
    tokenizer.encode_batch(measured.texts)
    seconds = time.perf_counter() - began
    totals: Counter[str] = Counter()
    split: defaultdict[str, Counter[tuple[int, ...]]] = defaultdict(Counter)
    coverage = _Coverage()
    for text, spans in zip(measured.texts, measured.words, strict=True):
        encoding = tokenizer.encode(text)
        aligned = words_of_tokens(encoding.offsets, spans)
        unknown = [number == tokenizer.unknown for number in encoding.ids]
        per_word: dict[int, list[int]] = {}
        for place, word in enumerate(aligned):
            if word >= 0:
                per_word.setdefault(word, []).append(place)
        totals["tokens"] += len(encoding.ids)
        totals["words"] += len(spans)
        totals["in words"] += sum(map(len, per_word.values()))
        totals["unknown"] += sum(unknown)
        totals["unknown words"] += sum(any(unknown[place] for place in places) for places in per_word.values())
        for word, places in per_word.items():
            spelt = text[slice(*spans[word])]
            if spelt in measured.frequent:
                split[spelt][tuple(encoding.ids[place] for place in places)] += 1
        coverage.add(text, encoding.offsets, unknown)
    usual = {word: cuts.most_common(1)[0][0] for word, cuts in split.items()}
    several = [word for word, pieces in usual.items() if len(pieces) > 1]
    ordered = sorted(several, key=lambda word: (-len(usual[word]), -measured.frequent[word], word))
    return TextReport(
        bytes=measured.bytes,
        tokens=totals["tokens"],
        words=totals["words"],
        bytes_per_token=_ratio(measured.bytes, totals["tokens"]),
        fertility=_ratio(totals["in words"], totals["words"]),
        unknown_tokens=_ratio(totals["unknown"], totals["tokens"]),
        unknown_words=_ratio(totals["unknown words"], totals["words"]),
        most_split=[
            SplitWord(word, measured.frequent[word], [tokenizer.piece(number) for number in usual[word]])
            for word in ordered[:LISTED]
        ],
        scripts=coverage.result(),
        megabytes_per_second=_ratio(measured.bytes / 1e6, seconds),
    )


class _Coverage:
    """Characters, unknown characters and tokens of each script. A token of n characters is 1/n of a token for each."""

    def __init__(self) -> None:
        self.counts: dict[str, np.ndarray] = {}

    def add(self, text: str, offsets: Iterable[Span], unknown: Sequence[bool]) -> None:
        tokens, lost = np.zeros(len(text) + 1), np.zeros(len(text) + 1)
        for (start, end), is_unknown in zip(offsets, unknown, strict=True):
            if end > start:
                tokens[start] += 1 / (end - start)
                tokens[end] -= 1 / (end - start)
                lost[start] += is_unknown
                lost[end] -= is_unknown
        figures = np.stack(
            [np.ones(len(text)), np.cumsum(lost)[:-1] > 0.5, np.maximum(np.cumsum(tokens)[:-1], 0.0)]
        )  # (3, characters)
        names, numbers = np.unique([script_of(character) for character in text], return_inverse=True)
        for number, name in enumerate(names):
            sums = figures[:, numbers == number].sum(axis=1)
            self.counts[str(name)] = self.counts.get(str(name), np.zeros(3)) + sums

    def result(self) -> list[ScriptCoverage]:
        """The script with most characters first."""
        ordered = sorted(self.counts.items(), key=lambda entry: (-entry[1][0], entry[0]))
        return [
            ScriptCoverage(name, int(count), 1 - float(lost / count), float(tokens / count))
            for name, (count, lost, tokens) in ordered
        ]


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
