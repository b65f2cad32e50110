"""Rules that make running text of web pages: those of C4 (Raffel et al. 2020, section 2.2), each with a count.

A page is a document, a line a paragraph of it. Left out: the language (C4 asks langdetect) and C4's own list of words,
which a user may name as a file. Where paper and code differ, the paper is followed: repeated spans of three sentences
are sought, not repeated lines, and a page is judged whole. Sentences end in a mark before a space, where C4's code asks
NLTK.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from trivium.errors import DataError, SettingsError
from trivium.randomness import mix

_TERMINAL = (".", "!", "?", '"', "”", "’", "»", "。", "！", "？", "」")
_CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")
_POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
_SENTENCE = re.compile(r".*?(?:[.!?…]+[\"'”’»)\]]*(?=\s)\s*|[。！？]+[”」』）]*|$)", re.S)
_HASHES = 7
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Cleaning:
    """Which rules hold; 0 and false switch one off. ``memory``: bytes for remembering spans, however long the text."""

    terminal: bool = True  # a line ends in a full stop, exclamation mark, question mark or closing quote
    words: int = 5  # a line has at least so many
    sentences: int = 3  # a page has at least so many
    javascript: bool = True  # no line names JavaScript
    policy: bool = True  # no line speaks of cookies, privacy or terms of use
    citations: bool = True  # [1], [edit] and [citation needed] are taken out of lines
    lorem_ipsum: bool = True  # no page has this phrase
    curly: bool = True  # no page has a curly bracket, which is code
    bad_words: str | None = None  # a file, a word or phrase a line: no page has one of them
    repeats: int = 3  # of so many sentences in a row that come again, only the first time is kept
    memory: int = 64 << 20

    def __post_init__(self) -> None:
        for name in ("words", "sentences", "repeats"):
            if getattr(self, name) < 0:
                raise SettingsError(f"clean.{name} = {getattr(self, name)}: it must not be negative (0 is off)")
        if self.memory < 1024:
            raise SettingsError(f"clean.memory = {self.memory}: remembering spans takes at least 1024 bytes")

    def fingerprint(self) -> str:
        """Changes when the rules do, the listed words among them."""
        return hashlib.sha256(f"1 {self!r} {'|'.join(self.listed())}".encode()).hexdigest()

    def listed(self) -> list[str]:
        """The words of ``bad_words``."""
        if self.bad_words is None:
            return []
        try:
            lines = Path(self.bad_words).read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise DataError(f"clean.bad_words: {self.bad_words} cannot be read: {reason}") from error
        words = [line.strip().lower() for line in lines if line.strip()]
        if not words:
            raise DataError(f"clean.bad_words: {self.bad_words} is empty: write a word or phrase a line")
        return words


@dataclass
class Report:
    """What went in, what was left, and what each rule took: pages, lines, sentences. A page or line is counted by the
    first rule that it breaks."""

    pages: int = 0
    pages_kept: int = 0
    lines: int = 0
    characters: int = 0
    characters_kept: int = 0
    pages_by: dict[str, int] = field(default_factory=dict)
    lines_by: dict[str, int] = field(default_factory=dict)
    repeated_sentences: int = 0
    citations: int = 0
    spans: int = 0  # different ones, remembered
    chance: float = 0.0  # that a span not seen before is taken for a repeated one, at the end

    def sentence(self) -> str:
        """All of it in one."""
        share = self.characters_kept / self.characters if self.characters else 0.0
        taken = [f"{count:,} pages by {rule}" for rule, count in self.pages_by.items()]
        taken += [f"{count:,} lines by {rule}" for rule, count in self.lines_by.items()]
        if self.repeated_sentences:
            taken.append(f"{self.repeated_sentences:,} repeated sentences")
        return (
            f"cleaning: {self.pages_kept:,} of {self.pages:,} pages and {share:.1%} of {self.characters:,} characters "
            f"are left; taken out: {', '.join(taken) or 'nothing'}"
        )


class Cleaner:
    """The rules over pages in their order: what repeats depends on what came before."""

    def __init__(self, settings: Cleaning) -> None:
        self.settings = settings
        self.report = Report()
        self._seen = _Seen(settings.memory) if settings.repeats else None
        listed = settings.listed()
        self._bad = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, listed))})(?!\w)") if listed else None

    def of(self, named: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        """What is left of each page, after the name of its file."""
        for name, text in named:
            kept = self.page(text)
            if kept is not None:
                yield name, kept
        if self._seen is not None:
            self.report.spans, self.report.chance = self._seen.count, self._seen.chance()
        if not self.report.pages_kept:
            raise DataError(f"the rules leave nothing ({self.report.sentence()}): switch some of them off")

    def page(self, text: str) -> str | None:
        """What is left of one page, None if nothing."""
        report = self.report
        report.pages += 1
        report.characters += len(text)
        rule, kept = self._judged(text)
        if rule is not None:
            report.pages_by[rule] = report.pages_by.get(rule, 0) + 1
            return None
        report.pages_kept += 1
        report.characters_kept += len(kept)
        return kept

    def _judged(self, text: str) -> tuple[str | None, str]:
        """(the rule that takes the whole page or None, what is left)."""
        settings, lowered = self.settings, text.lower()
        if settings.lorem_ipsum and "lorem ipsum" in lowered:
            return "lorem_ipsum", ""
        if settings.curly and ("{" in text or "}" in text):
            return "curly", ""
        if self._bad is not None and self._bad.search(lowered):
            return "bad_words", ""
        lines = [line for line in map(self._line, text.splitlines()) if line]
        if not lines:
            return "no line left", ""
        sentences = [sentences_of(line) for line in lines]
        if sum(map(len, sentences)) < settings.sentences:
            return "sentences", ""
        if self._seen is not None:
            sentences = self._once(sentences)
            if sum(map(len, sentences)) < max(1, settings.sentences):
                return "repeats", ""
        return None, "\n".join("".join(line).strip() for line in sentences if line)

    def _line(self, line: str) -> str | None:
        report, settings = self.report, self.settings
        line = line.strip()
        if not line:
            return None
        report.lines += 1
        if settings.citations:
            line, found = _CITATION.subn("", line)
            report.citations += found
            line = line.strip()
        rule = self._broken(line)
        if rule is None:
            return line
        report.lines_by[rule] = report.lines_by.get(rule, 0) + 1
        return None

    def _broken(self, line: str) -> str | None:
        settings = self.settings
        if settings.terminal and (not line.endswith(_TERMINAL) or line.endswith("...")):
            return "terminal"
        if len(line.split()) < settings.words:
            return "words"
        lowered = line.lower()
        if settings.javascript and "javascript" in lowered:
            return "javascript"
        if settings.policy and any(phrase in lowered for phrase in _POLICY):
            return "policy"
        return None

    def _once(self, lines: list[list[str]]) -> list[list[str]]:
        """Without sentences of spans that were seen before."""
        assert self._seen is not None
        flat = [sentence for line in lines for sentence in line]
        repeated = self._seen.repeated(flat, self.settings.repeats)
        self.report.repeated_sentences += int(repeated.sum())
        stays = iter((~repeated).tolist())
        return [[sentence for sentence in line if next(stays)] for line in lines]


def sentences_of(line: str) -> list[str]:
    """A line's sentences with the spaces after them: joined, they are the line."""
    return [sentence for sentence in _SENTENCE.findall(line) if sentence]


class _Seen:
    """A Bloom filter of spans: never forgets one, in memory that does not grow (Bloom 1970)."""

    def __init__(self, memory: int) -> None:
        self.bits = np.zeros(memory, np.uint8)
        self.count = 0

    def repeated(self, sentences: list[str], length: int) -> np.ndarray:
        """(N,) bool: the sentences of spans of ``length`` that were there before; remembers the others."""
        marked = np.zeros(len(sentences), bool)
        if len(sentences) < length:
            return marked
        plain = (" ".join(sentence.lower().split()).encode("utf-8", "replace") for sentence in sentences)
        digests = (hashlib.blake2b(each, digest_size=8).digest() for each in plain)
        numbers = np.array([int.from_bytes(each, "little") for each in digests], np.uint64)
        spans = np.zeros(len(sentences) - length + 1, np.uint64)
        for offset in range(length):
            spans = mix(spans * _GOLDEN + numbers[offset : offset + len(spans)])
        again = self._look_up(spans)
        for offset in range(length):
            marked[offset : offset + len(spans)] |= again
        return marked

    def _look_up(self, spans: np.ndarray) -> np.ndarray:
        steps = mix(spans + _GOLDEN) | np.uint64(1)
        each = np.arange(_HASHES, dtype=np.uint64)
        places = (spans[:, None] + steps[:, None] * each) % np.uint64(8 * len(self.bits))  # (N, 7)
        cells = (places >> np.uint64(3)).astype(np.int64)
        masks = np.uint8(1) << (places & np.uint64(7)).astype(np.uint8)
        there = ((self.bits[cells] & masks) != 0).all(axis=1)
        first = np.zeros(len(spans), bool)
        first[np.unique(spans, return_index=True)[1]] = True
        new = first & ~there
        np.bitwise_or.at(self.bits, cells[new].ravel(), masks[new].ravel())
        self.count += int(new.sum())
        return ~new

    def chance(self) -> float:
        """That a new span is taken for an old one."""
        return float((1 - np.exp(-_HASHES * self.count / (8 * len(self.bits)))) ** _HASHES)
