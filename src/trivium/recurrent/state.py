"""What is kept between two passes: in generation what was read so far, in training where each lane's text was left.

A state is (P, n, B, H): P vectors (hidden; an LSTM's cell too) of each of n layers, for B sequences.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from trivium.errors import SettingsError
from trivium.transformer.cache import Reuse


class RecurrentCache:
    """What a decoder has read, of whatever length, and the encoder's output that it looks at.

    The same verbs as the Transformer's cache; ``documents`` holds the number of each row's last document, once any
    were given.
    """

    reuse: ClassVar[Reuse] = "state"  # what was read is one state, which nothing can be taken out of again

    def __init__(self, rows: int):
        self.rows = rows
        self.length = 0
        self.state: Tensor | None = None  # (P, n, B, H)
        self.documents: Tensor | None = None  # (B,)
        self.memory: Tensor | None = None  # (B, S, W): the encoder's output
        self.source_documents: Tensor | None = None  # (B, S)

    @property
    def memory_size(self) -> int:
        """In bytes."""
        return sum(0 if each is None else each.nbytes for each in (self.state, self.memory))

    def check(self, rows: int) -> None:
        """Refuses another number of sequences than it was made for."""
        if rows != self.rows:
            raise SettingsError(f"the cache is for {self.rows} sequences, but {rows} were given: make another one")

    def advance(self, count: int, state: Tensor, documents: Tensor | None) -> None:
        """``count`` tokens have passed through all layers; ``documents``: (B,) of the last of them."""
        self.length += count
        self.state = state
        if documents is not None or self.documents is not None:
            self.documents = torch.zeros_like(self.documents) if documents is None else documents  # type: ignore[arg-type]

    def reset(self) -> None:
        """Forget everything."""
        self.length = 0
        self.state = self.documents = self.memory = self.source_documents = None

    def vacate(self) -> None:
        """The same, and all places are free."""
        self.reset()
        self.rows = 0

    def take(self, row: int, count: int | None = None) -> Self:
        """One sequence alone; ``count`` is how many tokens of it were read, which are all."""
        one = type(self)(1)
        one.length = self.length if count is None else count
        one.state = None if self.state is None else self.state[:, :, row : row + 1]
        if self.memory is not None:
            width = self.memory.shape[1]
            if self.source_documents is not None:
                width = int((self.source_documents[row] >= 0).sum())
            one.memory = self.memory[row : row + 1, :width]
        return one

    def kept(self) -> Self:
        """A copy that stays as it is."""
        other = self.take(0)
        other.state = None if other.state is None else other.state.clone()
        other.memory = None if other.memory is None else other.memory.clone()
        return other

    def join(self, one: Self) -> None:
        """One more sequence, after the others: what ``one`` has read."""
        self.length = max(self.length, one.length)
        if one.state is not None:
            self.state = one.state if not self.rows or self.state is None else torch.cat([self.state, one.state], 2)
        if one.memory is not None:
            rows = [self.take(row).memory for row in range(self.rows)]
            sources = [each[0] for each in (*rows, one.memory) if each is not None]
            lengths = torch.tensor([len(each) for each in sources], device=one.memory.device)
            self.memory = pad_sequence(sources, batch_first=True)
            real = torch.arange(self.memory.shape[1], device=lengths.device) < lengths[:, None]
            self.source_documents = None if bool(real.all()) else real.long() - 1
        self.documents = None
        self.rows += 1

    def leave(self, row: int, clean: bool = False) -> None:
        """One sequence less; the last one takes its place. Nothing of it stays."""
        last = self.rows - 1
        kept = [last if each == row else each for each in range(last)]
        self.select(torch.tensor(kept, dtype=torch.long, device=None if self.state is None else self.state.device))

    def select(self, rows: Tensor) -> None:
        """Keep the sequences numbered ``rows`` (N,), in that order, repeats allowed: beams, samples, finished ones."""
        self.rows = len(rows)
        self.state = None if self.state is None else self.state.index_select(2, rows)
        self.documents = _selected(self.documents, rows)
        self.memory = _selected(self.memory, rows)
        self.source_documents = _selected(self.source_documents, rows)

    def branch(self, count: int) -> None:
        """Each sequence becomes ``count`` side by side."""
        rows = torch.arange(self.rows, device=None if self.state is None else self.state.device)
        self.select(rows.repeat_interleave(count))

    def exchange(self, rows: Tensor, since: int) -> None:
        """Branch i goes on from what branch ``rows[i]`` (B,) of its group has read: a state holds all of it, whatever
        was read ``since``. Their source is the same."""
        self.state = None if self.state is None else self.state.index_select(2, rows)


def _selected(tensor: Tensor | None, rows: Tensor) -> Tensor | None:
    return None if tensor is None else tensor.index_select(0, rows)


class Carried(nn.Module):
    """The state in which each lane of a training run was left, for the row that goes on from there.

    Truncated back-propagation through time (Williams and Peng 1990; Mikolov et al. 2010): values flow from row to row,
    gradients do not. Part of a run's checkpoint, not of a saved model.
    """

    states: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("states", None, persistent=False)  # (P, n, lanes, H)

    def of(self, lanes: Tensor, like: Tensor) -> Tensor:
        """(P, n, B, H) states of ``lanes`` (B,), zeros where none was kept; ``like`` (P, n, 1, H) has the type."""
        wanted = int(lanes.max()) + 1
        known = 0 if self.states is None else self.states.shape[2]
        if wanted > known:
            more = like.new_zeros(*like.shape[:2], wanted - known, like.shape[3], dtype=torch.float32)
            self.states = more if self.states is None else torch.cat([self.states, more], dim=2)
        assert self.states is not None
        return self.states[:, :, lanes].to(like.dtype)

    def keep(self, lanes: Tensor, states: Tensor) -> None:
        """Where these lanes were left; the graph that led there is let go."""
        assert self.states is not None
        with torch.no_grad():
            self.states[:, :, lanes] = states.detach().to(self.states.dtype)


def carried_states(model: nn.Module) -> dict[str, Tensor]:
    """By the name of the part that keeps it. Not copies."""
    return {name: part.states for name, part in _carriers(model) if part.states is not None}


def carry_on(model: nn.Module, states: dict[str, Tensor]) -> None:
    """Back to states that were kept; parts without one begin anew."""
    for name, part in _carriers(model):
        part.states = states[name].to(_device(model), copy=True) if name in states else None


@contextmanager
def set_aside(model: nn.Module) -> Iterator[None]:
    """Inside, no state is carried over yet; afterwards all are as they were."""
    kept = carried_states(model)
    for _, part in _carriers(model):
        part.states = None
    try:
        yield
    finally:
        for name, part in _carriers(model):
            part.states = kept.get(name)


def _carriers(model: nn.Module) -> list[tuple[str, Carried]]:
    return [(name, part) for name, part in model.named_modules() if isinstance(part, Carried)]


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
