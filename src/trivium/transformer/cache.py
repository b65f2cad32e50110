"""Keys and values of the tokens already read, so that generating one more token costs one token's work.

Five verbs: preallocate (``Cache.of``), look up (``extend``, ``memory``), ``advance``, ``reset``, ``prefill``; and
those that move rows: ``select`` keeps some, ``branch`` and ``exchange`` are for beams. The model asks it and never
slices its tensors. Nothing here is trained: use it under ``torch.inference_mode()`` or ``torch.no_grad()``.
"""

from typing import Self

import torch
from torch import Tensor

from trivium.errors import SettingsError
from trivium.transformer.config import TransformerConfig


class Cache:
    """A decoder's self-attention keys and values, (layers, B, G, length, D), and those of cross-attention.

    G is the number of key heads: grouped-query models keep that much less. ``length`` tokens are held of at most
    ``capacity``. Document numbers of what is held are kept when any were given, so that padding stays hidden.
    """

    def __init__(self, keys: Tensor, values: Tensor):
        self.keys, self.values = keys, values
        self.length = 0
        self.documents: Tensor | None = None  # (B, capacity) int64, once any were given
        self.source_documents: Tensor | None = None  # (B, S) int64
        self._memory: dict[int, tuple[Tensor, Tensor]] = {}  # cross-attention, (B / branches, G, S, D) by layer
        self.branches = 1  # so many rows side by side go on from one source, whose keys are kept once

    @classmethod
    def of(
        cls, config: TransformerConfig, rows: int, capacity: int, device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Self:  # fmt: skip
        """Preallocate for ``rows`` sequences of at most ``capacity`` tokens; ``dtype`` is that of the weights."""
        shape = (config.decoder_layers, rows, config.groups, capacity, config.per_head)
        return cls(torch.zeros(shape, device=device, dtype=dtype), torch.zeros(shape, device=device, dtype=dtype))

    @property
    def rows(self) -> int:
        return self.keys.shape[1]

    @property
    def capacity(self) -> int:
        return self.keys.shape[3]

    def note(self, rows: int, count: int, documents: Tensor | None) -> Tensor | None:
        """Announce ``count`` new tokens and their documents (None: document 0); the documents of all keys, or None."""
        if rows != self.rows:
            raise SettingsError(f"the cache is for {self.rows} sequences, but {rows} were given: make another one")
        if self.length + count > self.capacity:
            raise SettingsError(
                f"the cache holds {self.length} of at most {self.capacity} tokens and {count} more do not fit: "
                "make a larger one"
            )
        if documents is not None and self.documents is None:
            self.documents = torch.zeros(self.rows, self.capacity, dtype=torch.long, device=documents.device)
        if self.documents is None:
            return None
        self.documents[:, self.length : self.length + count] = 0 if documents is None else documents
        return self.documents[:, : self.length + count]

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store new (B, G, T, D) keys and values of one layer; look up all of them, (B, G, length + T, D)."""
        end = self.length + keys.shape[2]
        self.keys[layer, :, :, self.length : end] = keys
        self.values[layer, :, :, self.length : end] = values
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]

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
        return self._memory[layer]

    def reset(self) -> None:
        """Forget everything; the memory stays allocated."""
        self.length = 0
        self.documents = self.source_documents = None
        self._memory.clear()
        self.branches = 1

    def prefill(self, prompt: "Cache") -> None:
        """Start from what ``prompt`` has read: the same number of rows, or one row, given to every sequence here."""
        self.reset()
        if prompt.length > self.capacity:
            raise SettingsError(f"the prompt's cache holds {prompt.length} tokens, more than the {self.capacity} here")
        self.length = prompt.length
        self.keys[:, :, :, : self.length] = prompt.keys[:, :, :, : self.length]
        self.values[:, :, :, : self.length] = prompt.values[:, :, :, : self.length]
        if prompt.documents is not None:
            self.documents = prompt.documents.new_zeros(self.rows, self.capacity)
            self.documents[:, : self.length] = prompt.documents[:, : self.length]
        if prompt.source_documents is not None:
            self.source_documents = prompt.source_documents.expand(self.rows, -1)
        for layer, (keys, values) in prompt._memory.items():
            self._memory[layer] = (_for_all(keys, self.rows), _for_all(values, self.rows))

    def select(self, rows: Tensor) -> None:
        """Keep the sequences numbered ``rows`` (N,), in that order, repeats allowed: samples, unfinished ones. Of
        branches, whole groups."""
        self.keys, self.values = self.keys.index_select(1, rows), self.values.index_select(1, rows)
        if self.documents is not None:
            self.documents = self.documents.index_select(0, rows)
        sources = rows[:: self.branches] // self.branches
        if self.source_documents is not None:
            self.source_documents = self.source_documents.index_select(0, sources)
        self._memory = {
            k: (a.index_select(0, sources), b.index_select(0, sources)) for k, (a, b) in self._memory.items()
        }

    def branch(self, count: int) -> None:
        """Each sequence becomes ``count`` side by side. What they see of the source is kept once."""
        self.keys, self.values = (part.repeat_interleave(count, dim=1) for part in (self.keys, self.values))
        if self.documents is not None:
            self.documents = self.documents.repeat_interleave(count, dim=0)
        self.branches *= count

    def exchange(self, rows: Tensor, since: int) -> None:
        """Branch i goes on from what branch ``rows[i]`` (B,) of its group has read. What was read before the token
        numbered ``since`` is the same in a group, so only what came after is copied, of the rows that change."""
        moved = [(row, source) for row, source in enumerate(rows.tolist()) if row != source]
        for part in (self.keys, self.values):
            new = part[:, :, :, since : self.length]
            kept = [new[:, source].clone() for _, source in moved]  # one by one: 1.5-2x the speed of an index on a CPU
            for (row, _), one in zip(moved, kept, strict=True):
                new[:, row] = one


def _for_all(tensor: Tensor, rows: int) -> Tensor:
    """(1 or B, ...) -> (B, ...)."""
    return tensor.expand(rows, *tensor.shape[1:]).contiguous()
