"""Tokenised documents cut into rows: where each row's tokens lie, and the rows themselves as arrays.

B rows, T tokens a row. Nothing here loops over tokens or rows.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trivium.errors import DataError
from trivium.randomness import key
from trivium.text.order import permuted
from trivium.text.packing import pack
from trivium.text.pairs import chosen_pairs, pair_rows
from trivium.text.rows import Layout, Rows
from trivium.text.sentences import sentence_pieces
from trivium.text.shards import Shards


@dataclass(frozen=True)
class Blocks:
    """Rows of one source. Packed: row r is the pieces ``bounds[r]:bounds[r + 1]`` of ``starts`` and ``lengths``, all
    (P,). Stream: ``starts`` and ``lengths`` are the documents and ``offsets`` (D + 1,) where each begins in the stream.
    Pairs: row r is the segments 2 r and 2 r + 1 of ``starts`` and ``lengths``, and ``bounds[r]`` is its label.
    """

    shards: Shards
    layout: Layout
    starts: np.ndarray
    lengths: np.ndarray
    bounds: np.ndarray  # (R + 1,) for packed; (D + 1,) offsets for stream; (R,) labels of pairs
    scattered: bool = False  # the stream's documents do not lie in its order in the shards

    def __len__(self) -> int:
        """How many rows."""
        if self.layout.mode != "stream":
            return len(self.bounds) - (self.layout.mode == "packed")
        stride = self.layout.length - self.layout.overlap
        return max(1, -(-(int(self.bounds[-1]) - self.layout.overlap) // stride))

    @property
    def tokens(self) -> int:
        """Real tokens of one epoch, without padding; those in an overlap count once, control ids not. Of pairs those of
        the text itself."""
        return self.shards.token_count - self.shards.documents if self.layout.pairs else int(self.lengths.sum())

    @property
    def passes(self) -> int:
        """How often all rows together go through the text."""
        return self.layout.pairs.copies if self.layout.pairs else 1

    @property
    def density(self) -> float:
        """The share of the row's places that hold a token."""
        per_piece = len(self.layout.before) + len(self.layout.after)
        if self.layout.mode == "packed":
            return float(self.lengths.sum() + per_piece * len(self.lengths)) / (len(self) * self.layout.length)
        if self.layout.mode == "pairs":
            return float(self.lengths.mean() * 2 + self.layout.length - self.layout.room) / self.layout.length
        return (self.tokens + (len(self) - 1) * self.layout.overlap) / (len(self) * self.layout.length)

    def rows(self, indices: np.ndarray, draws: np.ndarray | None = None) -> Rows:
        """The rows ``indices`` (B,), numbered in the run by ``draws`` (B,); without draws by their own indices."""
        indices = np.asarray(indices, dtype=np.int64)
        if indices.size and not (0 <= indices.min() and indices.max() < len(self)):
            raise IndexError(f"row {indices.max()} of {len(self)}")
        draws = indices if draws is None else np.asarray(draws, dtype=np.int64)
        if self.layout.mode == "pairs":
            both = self.starts.reshape(-1, 2)[indices], self.lengths.reshape(-1, 2)[indices]
            return pair_rows(self.shards, self.layout, *both, self.bounds[indices], draws)
        return self._packed(indices, draws) if self.layout.mode == "packed" else self._stream(indices, draws)

    def _stream(self, indices: np.ndarray, draws: np.ndarray) -> Rows:
        length = self.layout.length
        places = indices[:, None] * (length - self.layout.overlap) + np.arange(length)  # (B, T) in the stream
        real = places < self.bounds[-1]
        places = np.minimum(places, self.bounds[-1] - 1)
        if self.scattered:
            document = np.searchsorted(self.bounds, places, side="right") - 1
            places = places - self.bounds[document] + self.starts[document]
        tokens = np.where(real, self.shards.take(places), 0)
        positions = np.where(real, np.arange(length), 0)
        return Rows(tokens, np.where(real, 0, -1), positions, draws)

    def _packed(self, indices: np.ndarray, draws: np.ndarray) -> Rows:
        before, after = self.layout.before, self.layout.after
        shape = (len(indices), self.layout.length)
        counts = self.bounds[indices + 1] - self.bounds[indices]  # pieces of each row
        number = _within(counts)  # (p,) number of the piece in its row
        piece = np.repeat(self.bounds[indices], counts) + number
        lengths, starts = np.asarray(self.lengths[piece]), np.asarray(self.starts[piece])
        sizes = lengths + len(before) + len(after)
        ends = np.cumsum(sizes)
        row_start = np.repeat(np.concatenate([[0], ends])[np.cumsum(counts) - counts], counts)
        place = np.repeat(np.arange(len(indices)), counts) * shape[1] + ends - sizes - row_start  # (p,) in the batch

        tokens = np.zeros(shape, dtype=np.int64)
        documents = np.full(shape, -1, dtype=np.int64)
        positions = np.zeros(shape, dtype=np.int64)
        inside = _within(lengths)
        tokens.ravel()[np.repeat(place + len(before), lengths) + inside] = self.shards.take(
            np.repeat(starts, lengths) + inside
        )
        for offset, control in enumerate(before):
            tokens.ravel()[place + offset] = control
        for offset, control in enumerate(after):
            tokens.ravel()[place + len(before) + lengths + offset] = control
        everywhere = _within(sizes)
        filled = np.repeat(place, sizes) + everywhere
        documents.ravel()[filled] = np.repeat(number, sizes)
        positions.ravel()[filled] = everywhere
        return Rows(tokens, documents, positions, draws)


def cut(shards: Shards, layout: Layout, shuffle: int | None = None, seed: int = 0) -> Blocks:
    """Cut documents into rows; a packing, or a choice of pairs, is kept beside the shards and found again.

    ``shuffle``: a seed for the order in which a stream takes its documents; None: as they lie. Rows that are continued
    are read in the order of the stream, and neighbours in a corpus are often alike. ``seed``: of the choice of pairs.
    """
    if shards.documents == 0:
        raise DataError(f"{shards.directory} holds no documents for these rows: give more text")
    if layout.mode == "stream":
        starts, lengths = shards.starts, shards.ends - shards.starts
        if shuffle is not None:
            order = permuted(key(shuffle, "documents"), 0, len(starts), np.arange(len(starts)))
            starts, lengths = starts[order], lengths[order]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        scattered = shuffle is not None or shards.selected is not None
        return Blocks(shards, layout, starts, lengths, offsets, scattered)
    path = shards.directory / f"rows-{_name(shards, layout, seed if layout.pairs else 0)}.bin"
    found = _read(path)
    if found is None and layout.mode == "pairs":
        found = chosen_pairs(shards, layout, seed)
        _write(path, found)
    if found is None:
        starts, lengths = sentence_pieces(shards, layout) if layout.sentences else _pieces(shards, layout.room)
        if layout.joined:
            order, bounds = np.arange(len(starts)), np.arange(len(starts) + 1)
        else:
            order, bounds = pack(lengths + len(layout.before) + len(layout.after), layout.length)
        found = (starts[order], lengths[order], bounds)
        _write(path, found)
    if len(found[2]) < 2 and layout.mode == "packed":
        raise DataError(f"{shards.directory} holds only empty documents: give more text")
    return Blocks(shards, layout, *found)


def _pieces(shards: Shards, room: int) -> tuple[np.ndarray, np.ndarray]:
    """Starts and lengths (P,) of pieces of at most ``room`` tokens: each document without its end token, cut into
    full pieces and a rest. No token is lost."""
    starts, lengths = shards.starts, shards.ends - shards.starts - 1
    counts = -(-lengths // room)
    number = _within(counts)
    piece_starts = np.repeat(starts, counts) + number * room
    return piece_starts, np.minimum(np.repeat(starts + lengths, counts) - piece_starts, room)


def _within(counts: np.ndarray) -> np.ndarray:
    """0, 1 ... counts[0] - 1, 0, 1 ... counts[1] - 1, ...: int64 (sum of counts,)."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total, dtype=np.int64) - np.repeat(ends - counts, counts)


def _name(shards: Shards, layout: Layout, seed: int) -> str:
    digest = hashlib.sha256(f"2 {shards.fingerprint} {shards.vocab_size} {layout!r} {seed}".encode())
    if shards.selected is not None:
        digest.update(np.ascontiguousarray(shards.selected, dtype="<i8").tobytes())
    return digest.hexdigest()[:16]


def _write(path: Path, arrays: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    """One file of int64: pieces, rows, then the arrays; SHA-256 at the end. A folder that cannot be written to only
    costs the next run the packing."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    digest = hashlib.sha256()
    try:
        with temporary.open("wb") as file:
            for array in (np.array([len(arrays[0]), len(arrays[2])]), *arrays):
                data = np.ascontiguousarray(array, dtype="<i8").tobytes()
                digest.update(data)
                file.write(data)
            file.write(digest.digest())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)


def _read(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """What ``_write`` wrote, or None when it is not there or damaged: it can always be made again."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    body = memoryview(data)[:-32]
    if len(body) < 16 or len(body) % 8 or hashlib.sha256(body).digest() != data[-32:]:
        return None
    numbers = np.frombuffer(body, dtype="<i8")
    pieces = int(numbers[0])
    return numbers[2 : 2 + pieces], numbers[2 + pieces : 2 + 2 * pieces], numbers[2 + 2 * pieces :]
