"""Keys and values of the tokens already read, so that generating one more token costs one token's work.

The memory is allocated once: ``Cache.of`` so many places for sequences of so many tokens. All sequences end at the same
column, whatever their lengths, so that one step writes one column of each; a sequence that ``join``s is put so that it
ends there too, one that ``leave``s makes room, and columns that no sequence needs any more are let go of. When the
columns are used up the block moves back to the first one. The model asks (``note``, ``extend``, ``memory``,
``advance``) and never slices the tensors itself; ``take`` hands out one sequence; ``select`` keeps some, ``branch`` and
``exchange`` are for beams. Nothing here is trained: use it under ``torch.inference_mode()`` or ``torch.no_grad()``.
"""

import mmap
from contextlib import suppress
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from torch import Tensor

from trivium.errors import SettingsError
from trivium.transformer.config import TransformerConfig

Reuse = Literal["prefix", "state", "same"]


class Cache:
    """A decoder's self-attention keys and values, (layers, places, G, columns, D), and those of cross-attention.

    G is the number of key heads: grouped-query models keep that much less. Of the columns ``length`` are in use, from
    ``first`` on. Document numbers of what is held are kept when any were given, or when sequences are of different
    lengths, so that what is beside them stays hidden.
    """

    reuse: ClassVar[Reuse] = "prefix"  # a token sees what came before it alone: any beginning can be taken over

    def __init__(self, keys: Tensor, values: Tensor):
        self.keys, self.values = keys, values
        self.first = self.length = 0
        self.starts = [0] * keys.shape[1]  # of each sequence, the column where it begins
        self.documents: Tensor | None = None  # (B, columns) int64
        self.sources: list[int] | None = None  # of sequences that joined, the lengths of their sources
        self.source_documents: Tensor | None = None  # (B / branches, S) int64
        self._memory: dict[int, tuple[Tensor, Tensor]] = {}  # cross-attention, (places, G, S or more, D) by layer
        self.branches = 1  # so many rows side by side go on from one source, whose keys are kept once

    @classmethod
    def of(
        cls, config: TransformerConfig, rows: int, capacity: int, device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Self:  # fmt: skip
        """Preallocate for ``rows`` sequences of at most ``capacity`` tokens; ``dtype`` is that of the weights."""
        shape = (config.decoder_layers, rows, config.groups, capacity, config.per_head)
        return cls(zeros(shape, device, dtype), zeros(shape, device, dtype))

    @property
    def rows(self) -> int:
        """How many sequences there are."""
        return len(self.starts)

    @property
    def places(self) -> int:
        """How many there can be."""
        return self.keys.shape[1]

    @property
    def capacity(self) -> int:
        return self.keys.shape[3]

    @property
    def end(self) -> int:
        return self.first + self.length

    @property
    def memory_size(self) -> int:
        """In bytes, of keys and values."""
        return self.keys.nbytes + self.values.nbytes

    def note(self, rows: int, count: int, documents: Tensor | None) -> Tensor | None:
        """Announce ``count`` new tokens and their documents (None: document 0); the documents of all keys, or None."""
        if rows != self.rows:
            raise SettingsError(f"the cache is for {self.rows} sequences, but {rows} were given: make another one")
        if self.length + count > self.capacity:
            raise SettingsError(
                f"the cache holds {self.length} of at most {self.capacity} tokens and {count} more do not fit: "
                "make a larger one"
            )
        if self.end + count > self.capacity:
            self._slide(0)
        if documents is not None and self.documents is None:
            self.documents = torch.zeros(self.rows, self.capacity, dtype=torch.long, device=documents.device)
        if self.documents is None:
            return None
        self.documents[:, self.end : self.end + count] = 0 if documents is None else documents
        return self.documents[:, self.first : self.end + count]

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store new (B, G, T, D) keys and values of one layer; look up all of them, (B, G, length + T, D)."""
        rows, start, end = self.rows, self.end, self.end + keys.shape[2]
        self.keys[layer, :rows, :, start:end] = keys
        self.values[layer, :rows, :, start:end] = values
        return self.keys[layer, :rows, :, self.first : end], self.values[layer, :rows, :, self.first : end]

    def advance(self, count: int) -> None:
        """``count`` tokens have passed through all layers."""
        self.length += count

    def rewind(self, count: int) -> None:
        """The last ``count`` tokens are forgotten; others may be read in their place."""
        self.length -= count

    def remember(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Keep a layer's cross-attention keys and values: the encoder's output does not change."""
        self._memory[layer] = (keys.contiguous(), values.contiguous())
        return self._memory[layer]

    def remembers(self, layer: int) -> bool:
        return layer in self._memory

    def memory(self, layer: int) -> tuple[Tensor, Tensor]:
        """Look up cross-attention keys and values, (B / branches, G, S, D)."""
        keys, values = self._memory[layer]
        if self.sources is None:
            return keys, values
        rows, width = self.rows // self.branches, max(self.sources)
        return keys[:rows, :, :width], values[:rows, :, :width]

    def reset(self) -> None:
        """Forget everything; the memory stays allocated."""
        self.first = self.length = 0
        self.starts = [0] * self.places
        self.documents = self.source_documents = self.sources = None
        self._memory.clear()
        self.branches = 1

    def vacate(self) -> None:
        """The same, and all places are free."""
        self.reset()
        self.starts = []

    def take(self, row: int, count: int | None = None) -> Self:
        """One sequence alone, or its first ``count`` tokens. A view: it changes when this does."""
        start = self.starts[row]
        end = self.end if count is None else start + count
        one = type(self)(self.keys[:, row : row + 1, :, start:end], self.values[:, row : row + 1, :, start:end])
        one.length = end - start
        for layer, (keys, values) in self._memory.items():
            width = self._source(row, keys)
            one._memory[layer] = (keys[row : row + 1, :, :width], values[row : row + 1, :, :width])
        return one

    def kept(self) -> Self:
        """A copy that stays as it is."""
        other = type(self)(self.keys.clone(), self.values.clone())
        other.length = self.length
        other._memory = {layer: (keys.clone(), values.clone()) for layer, (keys, values) in self._memory.items()}
        return other

    def join(self, one: Self) -> None:
        """One more sequence, after the others: what ``one`` has read."""
        count, row = one.length, self.rows
        if row == self.places:
            raise SettingsError(f"the cache is for {row} sequences, and all places are taken: make another one")
        if count > self.capacity:
            raise SettingsError(f"the sequence has {count} tokens, more than the {self.capacity} here")
        if not row:
            self.first, self.length = 0, count
        elif count > self.end:
            self._slide(self.first + count - self.end)
        start, end = self.end - count, self.end
        self.keys[:, row, :, start:end] = one.keys[:, 0, :, one.first : one.end]
        self.values[:, row, :, start:end] = one.values[:, 0, :, one.first : one.end]
        for layer, parts in one._memory.items():
            for mine, new in zip(self._room_for(layer, parts[0]), parts, strict=True):
                mine[row, :, : new.shape[2]] = new[0]
        if one._memory:
            self.sources = [*(self.sources or []), one._source(0, one._memory[0][0])]
        self.starts.append(start)
        self._settle()

    def leave(self, row: int, clean: bool = False) -> None:
        """One sequence less; the last one takes its place. ``clean``: nothing of it may stay in the memory, since what
        is not a number would spread from places that nobody looks at."""
        last, used = self.rows - 1, slice(self.first, self.end)
        for part in (self.keys, self.values):
            if row != last:
                part[:, row, :, used] = part[:, last, :, used]
            elif clean:
                part[:, row, :, used] = 0
        for parts in self._memory.values():
            for part in parts:
                if row != last:
                    part[row] = part[last]
                elif clean:
                    part[row] = 0
        self.starts[row] = self.starts[last]
        self.starts.pop()
        if self.sources is not None:
            self.sources[row] = self.sources[last]
            self.sources.pop()
        self._settle()

    def select(self, rows: Tensor) -> None:
        """Keep the sequences numbered ``rows`` (N,), in that order, repeats allowed: samples, unfinished ones. Of
        branches, whole groups."""
        self.keys, self.values = self.keys.index_select(1, rows), self.values.index_select(1, rows)
        self.starts = [self.starts[row] for row in rows.tolist()]
        if self.documents is not None:
            self.documents = self.documents.index_select(0, rows)
        sources = rows[:: self.branches] // self.branches
        if self.source_documents is not None:
            self.source_documents = self.source_documents.index_select(0, sources)
        if self.sources is not None:
            self.sources = [self.sources[row] for row in sources.tolist()]
            self.source_documents = _beyond(self.sources, self.keys.device)
        self._memory = {
            k: (a.index_select(0, sources), b.index_select(0, sources)) for k, (a, b) in self._memory.items()
        }

    def branch(self, count: int) -> None:
        """Each sequence becomes ``count`` side by side. What they see of the source is kept once."""
        self.keys, self.values = (part.repeat_interleave(count, dim=1) for part in (self.keys, self.values))
        self.starts = [start for start in self.starts for _ in range(count)]
        if self.documents is not None:
            self.documents = self.documents.repeat_interleave(count, dim=0)
        self.branches *= count

    def exchange(self, rows: Tensor, since: int) -> None:
        """Branch i goes on from what branch ``rows[i]`` (B,) of its group has read. What was read before the token
        numbered ``since`` is the same in a group, so only what came after is copied, of the rows that change."""
        moved = [(row, source) for row, source in enumerate(rows.tolist()) if row != source]
        for part in (self.keys, self.values):
            new = part[:, :, :, self.first + since : self.end]
            kept = [new[:, source].clone() for _, source in moved]  # one by one: 1.5-2x the speed of an index on a CPU
            for (row, _), one in zip(moved, kept, strict=True):
                new[:, row] = one

    def _slide(self, first: int) -> None:
        """Move all that is held to other columns. Layer by layer, so that the copy in between is small."""
        rows, shift, old = self.rows, first - self.first, slice(self.first, self.end)
        new = slice(first, first + self.length)
        for part in (self.keys, self.values):
            for layer in part:
                layer[:rows, :, new] = layer[:rows, :, old].clone()
        if self.documents is not None:
            self.documents[:, new] = self.documents[:, old].clone()
        self.first = first
        self.starts = [start + shift for start in self.starts]

    def _settle(self) -> None:
        """After a sequence came or went: what is in use, and what is hidden."""
        end, self.first = self.end, min(self.starts, default=self.end)
        self.length = end - self.first
        self.documents = _hidden(self.starts, self.capacity, self.keys.device)
        if self.sources is not None:
            self.source_documents = _beyond(self.sources, self.keys.device)

    def _source(self, row: int, keys: Tensor) -> int:
        """How long a sequence's source is."""
        if self.sources is not None:
            return self.sources[row]
        if self.source_documents is not None:
            return int((self.source_documents[row] >= 0).sum())
        return keys.shape[2]

    def _room_for(self, layer: int, new: Tensor) -> tuple[Tensor, Tensor]:
        """A layer's memory of sources, made larger where one (1, G, S, D) is longer than all before."""
        known = self._memory.get(layer)
        if known is None or known[0].shape[2] < new.shape[2]:
            width = max(64, 1 << (new.shape[2] - 1).bit_length())
            shape = (self.places, new.shape[1], width, new.shape[3])
            made = (new.new_zeros(shape), new.new_zeros(shape))
            for larger, before in zip(made, known or (), strict=False):
                larger[:, :, : before.shape[2]] = before
            self._memory[layer] = made
        return self._memory[layer]


class PromptCache(Cache):
    """Of a decoder that reads prompts in both directions: a token's keys hold what came after it, too."""

    reuse: ClassVar[Reuse] = "same"


def zeros(shape: tuple[int, ...], device: torch.device | str, dtype: torch.dtype) -> Tensor:
    """On a CPU memory that the system gives when it is first written to, in small pieces: what is never used costs
    nothing. (NumPy and others ask for large pieces, of which a few tokens of one sequence would take one a layer.)"""
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if torch.device(device).type != "cpu" or size < mmap.PAGESIZE:
        return torch.zeros(shape, device=device, dtype=dtype)
    memory = mmap.mmap(-1, size)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        with suppress(OSError):  # a kernel that has no large pages
            memory.madvise(mmap.MADV_NOHUGEPAGE)
    return torch.frombuffer(memory, dtype=torch.uint8).view(dtype).view(shape)


def _hidden(starts: list[int], columns: int, device: torch.device) -> Tensor | None:
    """(B, columns): -1 before the start of each sequence, and 0 from there on; None where all start together."""
    if len(set(starts)) <= 1:
        return None
    return (torch.arange(columns, device=device) >= torch.tensor(starts, device=device)[:, None]).long() - 1


def _beyond(lengths: list[int], device: torch.device) -> Tensor | None:
    """(B, S): 0 in each source, and -1 after it; None where all are of one length."""
    if len(set(lengths)) <= 1:
        return None
    return (torch.arange(max(lengths), device=device) < torch.tensor(lengths, device=device)[:, None]).long() - 1
