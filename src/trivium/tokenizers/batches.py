"""The ids of many texts: chunks that do not know of each other are looked up, and only new ones are tokenised.

Words repeat: of ten megabytes of English less than one word in twenty is new. Where the tokenizer's rules prove that a
text falls into independent chunks (``independence.py``), each distinct chunk goes through the ``tokenizers`` library
once; all others go there whole. The ids are the same either way.
"""

import json
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import tokenizers
from trivium.tokenizers.exact import exact_charsmap
from trivium.tokenizers.independence import Independence, independence

PIECE_CHARACTERS = 200_000  # a longer text is encoded in pieces, cut where no token crosses
BATCH_CHARACTERS = 1 << 20
CACHED_CHUNKS = 1 << 17  # of each kind; some 20 MB when full
LONGEST_CACHED = 40  # characters of a chunk

_OTHER_SPACE = re.compile(r"[^\S \n\t\r]")  # where Python and the library may disagree on what whitespace is
_LETTERS = re.compile(r"(?<=[A-Za-z0-9]) (?=[A-Za-z0-9])")
_Chunks = dict[str, tuple[int, ...]]


class BatchEncoder:
    """``plain`` with a memory of chunks. Threads may share it: what one learns another may learn again."""

    def __init__(self, plain: tokenizers.Tokenizer) -> None:
        self.plain = plain
        self.inside: _Chunks = {}  # a word -> the ids of a space and the word
        self.verbatim: _Chunks = {}  # a chunk as it is -> its ids
        self.words = plain  # takes text that is normalised already
        self.normalizer = plain.normalizer
        self.exact = exact_charsmap(plain)
        added = any(not token.special for token in plain.get_added_tokens_decoder().values())
        self.rules = independence(_parts(plain.pre_tokenizer), _parts(plain.normalizer), added)
        if self.rules is None:
            return
        if self.rules.normalise:
            self.words = tokenizers.Tokenizer.from_str(plain.to_str())
            self.words.normalizer = None
            self.words.encode_special_tokens = True
        self.cut = _LETTERS if self.rules.normalise else re.compile(rf"(?<=\S)(?={self.rules.cut})")
        self.chunks = re.compile(self.rules.chunks) if self.rules.chunks else None
        self.trusted = self.rules.cut == " "  # its chunks know of no other whitespace

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text."""
        results: list[list[int]] = [[] for _ in texts]
        owners: list[int] = []
        batch: list[str] = []
        characters = 0
        for owner, text in enumerate(texts):
            for piece in self.pieces(text):
                owners.append(owner)
                batch.append(piece)
                characters += len(piece)
                if characters >= BATCH_CHARACTERS:
                    self._into(results, owners, batch)
                    owners, batch, characters = [], [], 0
        self._into(results, owners, batch)
        return results

    def pieces(self, text: str) -> Iterator[str]:
        """A long text in parts that are tokenised as the whole is; where there is no place to cut, a part is longer."""
        start = 0
        if self.rules is not None and (self.rules.long_cuts or not self.rules.normalise):
            while len(text) - start > PIECE_CHARACTERS:
                end = self._last_cut(text, start, start + PIECE_CHARACTERS)
                if end is None:
                    break
                yield text[start:end]
                start = end
        yield text[start:] if start else text

    def _last_cut(self, text: str, start: int, end: int) -> int | None:
        """The last place to cut before ``end``, or the first one after it."""
        for width in (1_000, PIECE_CHARACTERS):
            cuts = [match.start() for match in self.cut.finditer(text, max(end - width, start + 1), end)]
            if cuts:
                return cuts[-1]
        later = self.cut.search(text, end)
        return later.start() if later else None

    def _into(self, results: list[list[int]], owners: list[int], batch: list[str]) -> None:
        if self.rules is None:
            found = self._whole(batch)
        else:
            found = self._by_chunks(self._normalised(batch, self.rules), self.rules)
        for owner, ids in zip(owners, found, strict=True):
            if results[owner]:
                results[owner].extend(ids)
            else:
                results[owner] = ids

    def _whole(self, texts: list[str]) -> list[list[int]]:
        """Texts that are not cut; those that the library would map in its own way are mapped before."""
        found = self._library(self.plain, texts)
        if self.exact is not None:
            odd = [number for number, text in enumerate(texts) if self.exact.wanted(text)]
            mapped = [self.exact.charsmap.apply(texts[number]) for number in odd]
            for number, ids in zip(odd, self._library(self.exact.rest, mapped) if odd else (), strict=True):
                found[number] = ids
        return found

    @staticmethod
    def _library(encoder: tokenizers.Tokenizer, texts: list[str]) -> list[list[int]]:
        return [each.ids for each in encoder.encode_batch_fast(texts, add_special_tokens=False)] if texts else []

    def _normalised(self, texts: list[str], rules: Independence) -> list[str]:
        if not rules.normalise or self.normalizer is None:
            return texts
        library, exact = self.normalizer.normalize_str, self.exact

        def normalise(text: str) -> str:
            return exact.normalise(text) if exact is not None and exact.wanted(text) else library(text)

        if not rules.ascii_as_is or (exact is not None and not exact.keeps_ascii):
            return [normalise(text) for text in texts]
        return [
            text if text.isascii() and text.isprintable() and " ".join(text.split()) == text else normalise(text)
            for text in texts
        ]

    def _by_chunks(self, texts: list[str], rules: Independence) -> list[list[int]]:
        if len(self.inside) > CACHED_CHUNKS:
            self.inside = {}
        if len(self.verbatim) > CACHED_CHUNKS:
            self.verbatim = {}
        tables = (self.verbatim, self.verbatim if rules.dropped else self.inside)
        found: list[list[int]] = []
        new: list[tuple[int, tuple[list[str], list[str]]]] = []  # texts with chunks not met before
        whole: list[int] = []  # texts that only the library can cut
        for place, text in enumerate(texts):
            cut = self._chunked(text, rules.dropped)
            found.append([])
            if cut is None:
                whole.append(place)
                continue
            try:
                found[place] = _looked_up(tables, cut)
            except KeyError:
                new.append((place, cut))
        for place, each in zip(whole, self._library(self.words, [texts[place] for place in whole]), strict=True):
            found[place] = each
        long = (self._learn(tables[0], [cut[0] for _, cut in new], ""),
                self._learn(tables[1], [cut[1] for _, cut in new], "" if rules.dropped else " "))  # fmt: skip
        if any(long):
            tables = ({**tables[0], **long[0]}, {**tables[1], **long[1]})
        for place, cut in new:
            found[place] = _looked_up(tables, cut)
        return found

    def _chunked(self, text: str, dropped: bool) -> tuple[list[str], list[str]] | None:
        """Chunks as they are, then words that each follow a single space; None: only the library can tell."""
        words = text.split()
        if " ".join(words) == text:
            return ([], words) if dropped else (words[:1], words[1:])
        if words and not dropped and text[:1] == " " and " ".join(words) == text[1:]:  # a later piece of a long text
            return [], words
        if self.chunks is None or not (self.trusted or not _OTHER_SPACE.search(text)):
            return None
        return self.chunks.findall(text), []

    def _learn(self, table: _Chunks, chunks: list[list[str]], before: str) -> _Chunks:
        """Adds the ids of ``before`` and each new chunk to ``table``; those of long ones are returned instead."""
        new = [chunk for chunk in set().union(*chunks) if chunk not in table]  # a difference would walk the whole table
        long = {}
        for chunk, ids in zip(new, self._library(self.words, [before + chunk for chunk in new]), strict=True):
            if len(chunk) <= LONGEST_CACHED:
                table[chunk] = tuple(ids)
            else:
                long[chunk] = tuple(ids)
        return long


def _looked_up(tables: tuple[_Chunks, _Chunks], cut: tuple[list[str], list[str]]) -> list[int]:
    """Chunks in the first table, then words in the second; a KeyError where one is new."""
    found = list(chain.from_iterable(map(tables[1].__getitem__, cut[1])))
    return [*chain.from_iterable(map(tables[0].__getitem__, cut[0])), *found] if cut[0] else found


def _parts(component: Any) -> dict[str, Any] | None:
    """A component of the library as tokenizer.json has it."""
    return None if component is None else json.loads(component.__getstate__())
