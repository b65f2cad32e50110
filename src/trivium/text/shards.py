"""A tokenised corpus on disk: memory-mapped ids with document bounds and checksums, written once, resumable.

A directory of four files: ``tokens.bin`` (uint16, or uint32 for vocabularies above 65,536), ``bounds.bin`` (int64,
D + 1), ``sizes.bin`` (int64, (D, 2): UTF-8 bytes and characters of each document, for bits per byte) and
``shards.json``. While it is written the first three end in ``.partial`` and ``progress.json`` says how much of them is
on the disk for certain; a run that was cut off goes on from there. Every document ends in the end token. Checksums are
SHA-256, one a segment of 32 MiB, so that damage is named by place.
"""

import errno
import hashlib
import json
import mmap
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np

from trivium.durable import replace_file
from trivium.errors import DataError, StoppedError
from trivium.text.order import held_out

SEGMENT_BYTES = 32 << 20
BATCH_CHARACTERS = 1 << 20  # texts handed to the tokenizer at a time: what bounds the memory
_PARTS = ("tokens", "bounds", "sizes")
_FORMAT = 1

EncodeBatch = Callable[[Sequence[str]], Sequence[Sequence[int]]]


@dataclass(frozen=True)
class Shards:
    """Tokenised documents; ``starts`` and ``ends`` (D,) say where in ``tokens`` each lies, its end token included.

    A part of the documents (``split``) is the same files with fewer starts and ends.
    """

    directory: Path
    tokens: np.ndarray  # (N,) uint16 or uint32, memory-mapped
    bounds: np.ndarray  # (D + 1,) int64, of the whole directory
    sizes: np.ndarray  # (D, 2) int64: UTF-8 bytes, characters
    vocab_size: int
    end_token: int
    fingerprint: str
    selected: np.ndarray | None = None  # (D',) int64: the documents of this part, in file order; None: all

    @classmethod
    def open(cls, directory: str | os.PathLike[str], verify: bool = True) -> Self:
        """The finished shards in ``directory``, every byte checked against its checksum."""
        folder = Path(directory)
        facts = _read_json(folder / "shards.json")
        try:
            dtype = np.dtype(facts["dtype"])
            documents, tokens = int(facts["documents"]), int(facts["tokens"])
            expected = {"tokens": tokens * dtype.itemsize, "bounds": (documents + 1) * 8, "sizes": documents * 16}
            segments = {part: list(facts["sha256"][part]) for part in _PARTS}
            vocab_size, end_token, fingerprint = facts["vocab_size"], facts["end_token"], facts["fingerprint"]
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{folder / 'shards.json'} is damaged ({error!r}): {_REBUILD}") from error
        for part in _PARTS:
            _check_part(folder / f"{part}.bin", expected[part], segments[part] if verify else None)
        return cls(
            folder,
            np.memmap(folder / "tokens.bin", dtype=dtype, mode="r", shape=(tokens,)),
            np.memmap(folder / "bounds.bin", dtype="<i8", mode="r", shape=(documents + 1,)),
            np.memmap(folder / "sizes.bin", dtype="<i8", mode="r", shape=(documents, 2)),
            vocab_size,
            end_token,
            fingerprint,
        )

    @property
    def starts(self) -> np.ndarray:
        return self.bounds[:-1] if self.selected is None else self.bounds[:-1][self.selected]

    @property
    def ends(self) -> np.ndarray:
        return self.bounds[1:] if self.selected is None else self.bounds[1:][self.selected]

    @property
    def documents(self) -> int:
        return len(self.bounds) - 1 if self.selected is None else len(self.selected)

    @property
    def token_count(self) -> int:
        """Tokens, end tokens included."""
        return int((self.ends - self.starts).sum()) if self.selected is not None else len(self.tokens)

    @property
    def text_bytes(self) -> int:
        """UTF-8 bytes of the text of these documents."""
        return int((self.sizes if self.selected is None else self.sizes[self.selected])[:, 0].sum())

    @property
    def text_characters(self) -> int:
        return int((self.sizes if self.selected is None else self.sizes[self.selected])[:, 1].sum())

    def document(self, number: int) -> np.ndarray:
        """The ids of one document of this part, end token included: (n,)."""
        whole = number if self.selected is None else int(self.selected[number])
        return np.asarray(self.tokens[self.bounds[whole] : self.bounds[whole + 1]])

    def take(self, places: np.ndarray) -> np.ndarray:
        """The ids at ``places`` in ``tokens``, any shape: int64.

        The touched pages are given back at once: the file stays in the system's cache, but a run that has drawn from
        all of a large corpus does not seem to hold it in its own memory.
        """
        ids = self.tokens[places].astype(np.int64)
        mapping = getattr(self.tokens, "_mmap", None)
        if mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapping.madvise(mmap.MADV_DONTNEED)
        return ids

    def split(self, share: float = 0.01, at_least: int = 4, seed: int = 0) -> tuple[Self, Self]:
        """Training and evaluation documents, told apart by a keyed hash of the document's number."""
        if self.selected is not None:
            raise ValueError("shards are split once")
        if self.documents < 2:
            raise DataError(
                f"{self.directory} holds {self.documents} document(s), and an evaluation set needs one of its own: "
                "give more text, or name evaluation files"
            )
        chosen = held_out(self.documents, share, at_least, seed)
        return replace(self, selected=np.flatnonzero(~chosen)), replace(self, selected=np.flatnonzero(chosen))


_REBUILD = "delete the folder and it will be made again from the text"


def write_shards(
    documents: Iterable[str],
    encode_batch: EncodeBatch,
    end_token: int,
    vocab_size: int,
    directory: str | os.PathLike[str],
    fingerprint: str,
) -> Shards:
    """Tokenise ``documents`` into ``directory`` and open the result.

    ``fingerprint`` names text and tokenizer together: finished shards with the same one are opened and no document is
    read; unfinished ones are gone on with, after the documents that are already there; others are replaced.
    """
    folder = Path(directory)
    if (folder / "shards.json").exists():
        if _read_json(folder / "shards.json").get("fingerprint") == fingerprint:
            return Shards.open(folder)
        (folder / "shards.json").unlink()
    folder.mkdir(parents=True, exist_ok=True)
    dtype = np.dtype("<u2") if vocab_size <= 1 << 16 else np.dtype("<u4")
    facts = {"format": _FORMAT, "fingerprint": fingerprint, "dtype": dtype.str, "vocab_size": vocab_size}
    writer = _Writer.resume(folder, facts | {"end_token": end_token})
    with writer, _room_on_disk(folder):
        for texts in _batches(islice(documents, writer.documents, None)):
            batch = encode_batch(texts)
            lengths = np.fromiter(map(len, batch), dtype=np.int64, count=len(batch)) + 1
            flat = np.empty(lengths.sum(), dtype=np.int64)
            is_end = np.zeros(len(flat), dtype=bool)
            is_end[np.cumsum(lengths) - 1] = True
            flat[is_end] = end_token
            flat[~is_end] = np.fromiter(chain.from_iterable(batch), dtype=np.int64, count=len(flat) - len(batch))
            if flat.min() < 0 or flat.max() >= vocab_size:
                raise DataError(
                    f"the tokenizer gave id {flat.max()}, but the vocabulary was said to hold {vocab_size}: "
                    "use the tokenizer that belongs to the model"
                )
            sizes = np.array([(len(text.encode("utf-8", "replace")), len(text)) for text in texts], dtype="<i8")
            writer.add(flat.astype(dtype), lengths, sizes)
        if writer.documents == 0:
            raise DataError("there is no text to tokenise: every file is empty")
        writer.finish()
    return Shards.open(folder, verify=False)


@contextmanager
def _room_on_disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise StoppedError(
            f"no room is left on the disk of {folder}: make some and resume the run with --resume, it goes on from here"
        ) from error


def _batches(documents: Iterator[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    characters = 0
    for text in documents:
        batch.append(text)
        characters += len(text) + 16
        if characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


class _Part:
    """One growing file with the checksum of each of its segments."""

    def __init__(self, path: Path, sums: list[str], length: int) -> None:
        self.path, self.sums, self.length = path, sums, length
        path.touch()
        self.file: BinaryIO = path.open("r+b")
        self.file.truncate(length)
        whole = len(sums) * SEGMENT_BYTES
        self.file.seek(whole)
        self.open_sum = hashlib.sha256(self.file.read(length - whole))

    def add(self, data: bytes) -> None:
        self.file.write(data)
        view = memoryview(data)
        while len(view):
            room = SEGMENT_BYTES - self.length % SEGMENT_BYTES
            piece, view = view[:room], view[room:]
            self.open_sum.update(piece)
            self.length += len(piece)
            if len(piece) == room:
                self.sums.append(self.open_sum.hexdigest())
                self.open_sum = hashlib.sha256()

    def sync(self) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())

    def all_sums(self) -> list[str]:
        return [*self.sums, self.open_sum.hexdigest()] if self.length % SEGMENT_BYTES else list(self.sums)


class _Writer:
    """The three growing files and how far they are known to be on the disk."""

    def __init__(self, folder: Path, facts: dict[str, Any], parts: dict[str, _Part], documents: int, tokens: int):
        self.folder, self.facts, self.parts = folder, facts, parts
        self.documents, self.tokens, self.synced = documents, tokens, parts["tokens"].length

    @classmethod
    def resume(cls, folder: Path, facts: dict[str, Any]) -> Self:
        """Where an interrupted writing of the same thing stopped, or the beginning."""
        try:
            progress = _read_json(folder / "progress.json")
            if progress["facts"] != facts:
                raise DataError("other text or tokenizer")
            parts = {}
            for name in _PARTS:
                path, length = folder / f"{name}.partial", int(progress["lengths"][name])
                _check_part(path, length, progress["sha256"][name], longer=True)
                whole = progress["sha256"][name][: length // SEGMENT_BYTES]
                parts[name] = _Part(path, whole, length)
            return cls(folder, facts, parts, progress["documents"], progress["tokens"])
        except (DataError, KeyError, TypeError, ValueError):
            (folder / "progress.json").unlink(missing_ok=True)
            for name in _PARTS:
                (folder / f"{name}.bin").unlink(missing_ok=True)
            writer = cls(folder, facts, {name: _Part(folder / f"{name}.partial", [], 0) for name in _PARTS}, 0, 0)
            writer.parts["bounds"].add(np.zeros(1, dtype="<i8").tobytes())
            return writer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for part in self.parts.values():
            with suppress(OSError):  # a full disk: said already, and what was synced stays
                part.file.close()

    def add(self, tokens: np.ndarray, lengths: np.ndarray, sizes: np.ndarray) -> None:
        self.parts["tokens"].add(tokens.tobytes())
        self.parts["bounds"].add((self.tokens + np.cumsum(lengths)).astype("<i8").tobytes())
        self.parts["sizes"].add(sizes.tobytes())
        self.documents += len(lengths)
        self.tokens += len(tokens)
        if self.parts["tokens"].length - self.synced >= SEGMENT_BYTES:
            self.sync()
            _write_json(self.folder / "progress.json", {**self._state(), "facts": self.facts})

    def sync(self) -> None:
        for part in self.parts.values():
            part.sync()
        self.synced = self.parts["tokens"].length

    def finish(self) -> None:
        self.sync()
        for name, part in self.parts.items():
            part.file.close()
            os.replace(part.path, self.folder / f"{name}.bin")
        _write_json(self.folder / "shards.json", {**self.facts, **self._state()})
        (self.folder / "progress.json").unlink(missing_ok=True)

    def _state(self) -> dict[str, Any]:
        return {
            "documents": self.documents,
            "tokens": self.tokens,
            "lengths": {name: part.length for name, part in self.parts.items()},
            "sha256": {name: part.all_sums() for name, part in self.parts.items()},
        }


def _check_part(path: Path, length: int, sums: list[str] | None, longer: bool = False) -> None:
    """Length and checksums of a file, read a segment at a time."""
    try:
        found = path.stat().st_size
    except OSError as error:
        raise DataError(f"{path} is missing: {_REBUILD}") from error
    if found < length or (found > length and not longer):
        raise DataError(f"{path} is damaged ({found} bytes instead of {length}): {_REBUILD}")
    if sums is None:
        return
    with path.open("rb") as file:
        for number, start in enumerate(range(0, length, SEGMENT_BYTES)):
            end = min(start + SEGMENT_BYTES, length)
            digest = hashlib.sha256()
            for at in range(start, end, 1 << 20):
                digest.update(file.read(min(1 << 20, end - at)))
            if number >= len(sums) or digest.hexdigest() != sums[number]:
                raise DataError(f"{path} is damaged between bytes {start} and {end}: {_REBUILD}")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: this folder holds no finished shards") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}): {_REBUILD}") from error
    if not isinstance(value, dict):
        raise DataError(f"{path} is damaged (not a JSON object): {_REBUILD}")
    return value


def _write_json(path: Path, value: dict[str, Any]) -> None:
    replace_file(path, json.dumps(value, indent=1).encode())
