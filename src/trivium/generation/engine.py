"""The engine that writes: requests of all lengths and settings side by side, a token a step, each as if it were alone.

Continuous batching (Yu et al. 2022, "Orca", section 3.1): a request ``submit``ted waits until there is a place, joins
the sequences that are being written, and leaves at the step after its last token; its place is free at once. Places and
tokens are fixed when the engine is made, and what can never fit is refused when it is submitted. Prompts are read many
at a time, long ones in parts between the steps of the others, and beginnings that were read before are taken over
(``reading.py``).

What a request gets does not depend on its neighbours: its random numbers are a function of its seed, its prompt and the
position, its settings change its own row alone, and what cannot be gone on with ends its own text alone. Sums in
floating point may differ in their last bits with the shape of a batch, which shows where two tokens tie.

It is driven from one thread: ``submit``, ``step``, ``cancel``. Left out: taking a place from a request that has begun,
and pages for keys and values (Kwon et al. 2023). R rows being written, V vocabulary.
"""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from math import exp

import torch
from torch import Tensor

from trivium.errors import RefusedError, SettingsError, TriviumError
from trivium.generation.choosing import most_probable, next_of_each
from trivium.generation.prompts import Prompt
from trivium.generation.reading import (
    Begun,
    Prefixes,
    Reading,
    common_beginning,
    finished,
    prefill,
    read_together,
    rooms,
)
from trivium.generation.request import Choice, Finish, Request, Row, finish_of
from trivium.generation.rows import read_both_ways
from trivium.generation.rules import Constraint, Forced
from trivium.generation.sampling import Sampling
from trivium.generation.wording import Wording
from trivium.transformer import Inputs, Network, Tokens
from trivium.transformer.network import Progress
from trivium.transformer.segment_memory import TwoStreamCache
from trivium.vectors.room import physical_memory

__all__ = [
    "Choice", "Decoding", "Engine", "Finish", "Request", "Work", "Written", "finish_of", "next_tokens", "one_more",
    "prefill", "rooms", "run", "run_in_steps",
]  # fmt: skip

SIDE_BY_SIDE = 128  # sequences, where nobody says how many
SLACK = 128  # columns of the cache more than a sequence has: it is moved once in so many steps


@dataclass(frozen=True)
class Written:
    """A finished sequence: its new tokens without the end token, the log-probabilities with it."""

    tokens: tuple[int, ...]
    log_probabilities: tuple[float, ...]
    finish: Finish

    @property
    def probability(self) -> float:
        return exp(sum(self.log_probabilities))


@dataclass
class Work:
    """What an engine has done, in tokens."""

    read: int = 0
    taken_over: int = 0  # of prompts, not read again
    written: int = 0


class Engine:
    """Requests in, tokens out. ``vocabulary``: how many tokens may be chosen from (a model may have more rows than its
    tokenizer has tokens).

    ``slots``: sequences that are written at once. ``longest``: tokens of a sequence, its prompt's among them; None: the
    model's context, and of a model without one any number. ``waiting``: requests that may wait; None: any number.
    ``read_at_once``: tokens of prompts that are read in a step, or one source. ``reuse``: tokens of beginnings
    that are kept for prompts to come; 0: none.
    """

    def __init__(
        self, model: Network, vocabulary: int, *, slots: int = 16, longest: int | None = None,
        waiting: int | None = None, read_at_once: int = 2048, reuse: int = 4096,
    ):  # fmt: skip
        for name, value, least in (("slots", slots, 1), ("longest", longest, 2), ("waiting", waiting, 0),
                                   ("read_at_once", read_at_once, 1), ("reuse", reuse, 0)):  # fmt: skip
            if value is not None and value < least:
                raise SettingsError(f"{name} is {value}: it must be at least {least}")
        limit = model.config.limit
        self.model, self.vocabulary, self.slots, self.waiting = model, vocabulary, slots, waiting
        self.longest = limit if longest is None or (limit is not None and longest > limit) else longest
        self.read_at_once, self.work = read_at_once, Work()
        self._prefixes = Prefixes(reuse)
        self._handles = count()
        self._queue: deque[Row] = deque()
        self._rows: list[Row] = []  # as the cache has them
        self._coming: list[Row] = []  # whose prompts are being read
        self._reading: Reading | None = None
        self._part = 0  # tokens that it reads next
        self._latest: list[int] = []  # the token of each row that the model has not read yet
        self._cache = self._empty_cache()

    @property
    def busy(self) -> bool:
        """Whether a step would do anything."""
        return bool(self._queue or self._rows or self._coming)

    @property
    def running(self) -> int:
        """Requests that have a place."""
        return len(self._rows) + len(self._coming)

    @property
    def queued(self) -> int:
        """Requests that wait for a place."""
        return len(self._queue)

    def submit(self, request: Request) -> int:
        """The handle of a request that now waits for a place; refuses what could never be written here."""
        prompt, sampling = request.prompt, request.sampling
        room = rooms(self.model, [prompt], sampling.max_tokens)[0]
        needed = len(prompt.ids) + room
        if self.longest is not None and needed > self.longest:
            raise RefusedError(
                f"the prompt has {len(prompt.ids)} tokens and asks for up to {room} more, and this engine holds "
                f"{self.longest} of a text: shorten the prompt, lower max_tokens or make an engine for longer texts"
            )
        request.wording.check_room(room, request.forced)
        if self.waiting is not None and self.running + self.queued >= self.slots + self.waiting:
            raise RefusedError(
                f"{self.running + self.queued} requests are written or wait, and {self.slots + self.waiting} may: try "
                "again later"
            )
        row = Row(next(self._handles), request, room)
        self._queue.append(row)
        return row.handle

    def cancel(self, handle: int) -> None:
        """No more comes of a request; nothing happens where it has ended already."""
        for row in (*self._rows, *self._coming, *self._queue):
            row.left = row.left or row.handle == handle
        self._let_go()

    def forget(self) -> None:
        """Beginnings that were read before are read anew: the model's weights have changed."""
        self._prefixes.forget()

    def step(self) -> list[Choice]:
        """One more token of every request that has a place; none where prompts are only being read."""
        with torch.inference_mode():  # entered at each step: a caller's code runs between the steps
            logits = []
            if self._rows:
                device = next(self.model.parameters()).device
                latest = torch.tensor(self._latest, device=device)
                places = torch.tensor([row.read for row in self._rows], device=device)
                logits.append(one_more(self.model, latest, places, self._cache))
                for row in self._rows:
                    row.read += 1
            logits += self._admitted()
            choices = self._chosen(torch.cat(logits)[:, : self.vocabulary].float()) if logits else []
        self._let_go()
        return choices

    # ---- places ----

    def _empty_cache(self) -> Progress:
        weight, longest = next(self.model.parameters()), self.longest
        columns = 0 if longest is None else longest + min(SLACK, longest)
        each = self.model.new_cache(1, columns, "meta", weight.dtype).memory_size
        needed, present = each * self.slots, physical_memory()
        if weight.device.type == "cpu" and present is not None and needed > present:
            raise RefusedError(
                f"{self.slots} texts of {longest} tokens take {needed / 1e9:,.1f} GB and this machine has "
                f"{present / 1e9:,.1f} GB: lower slots or longest"
            )
        cache = self.model.new_cache(self.slots, columns, weight.device, weight.dtype)
        cache.vacate()
        return cache

    @torch.inference_mode()
    def _let_go(self) -> None:
        """Requests that have ended leave; with what they have read others may begin."""
        self._queue = deque(row for row in self._queue if not row.left)
        if self._reading is not None and all(row.left for row in self._coming):
            self._reading.close()
            self._reading, self._coming = None, []
        for place in reversed(range(len(self._rows))):
            row = self._rows[place]
            if not row.left:
                continue
            if self._prefixes.most and not row.broken:
                ids, source = tuple(row.text[: row.read]), row.request.prompt.source
                self._prefixes.keep(ids, source, self._cache.take(place), None)
            self._cache.leave(place, clean=row.broken)
            self._rows[place], self._latest[place] = self._rows[-1], self._latest[-1]
            self._rows.pop()
            self._latest.pop()

    def _admitted(self) -> list[Tensor]:
        """Logits of the requests that join now."""
        found, left = [], self.read_at_once
        while True:
            if self._reading is None:
                found += self._at_once()
                self._begin()
            if self._reading is None or (self._part > left and left < self.read_at_once):
                break
            left -= self._part
            try:
                self._part = next(self._reading)
                continue
            except StopIteration as done:
                logits, caches = done.value
                self._reading = None
            prompts = list(dict.fromkeys(row.prompt for row in self._coming))
            if self._prefixes.most:
                for prompt, cache, after in zip(prompts, caches, logits, strict=True):
                    self._prefixes.keep(prompt.ids, prompt.source, cache, after)
            places = {prompt: place for place, prompt in enumerate(prompts)}
            rows, self._coming = [row for row in self._coming if not row.left], []
            found += [self._joined(row, logits[places[row.prompt]], caches[places[row.prompt]]) for row in rows]
        return found

    def _at_once(self) -> list[Tensor]:
        """Logits of those whose whole prompt was read before."""
        found = []
        while self._queue and self.running < self.slots and (known := self._prefixes.same(self._queue[0].prompt)):
            assert known.logits is not None
            self.work.taken_over += len(known.ids)
            found.append(self._joined(self._queue.popleft(), known.logits, known.cache))
        return found

    def _joined(self, row: Row, logits: Tensor, cache: Progress) -> Tensor:
        """A row whose prompt has been read takes its place; (1, V) of its logits."""
        self._cache.join(cache)
        self._rows.append(row)
        self._latest.append(0)
        row.read = len(row.prompt.ids)
        return logits[None]

    def _begin(self) -> None:
        """Takes waiting requests whose prompts are read side by side, those of one kind."""
        taken: dict[Prompt, Begun | None] = {}
        width = 0
        while self._queue and self.running < self.slots:
            prompt = self._queue[0].prompt
            if prompt not in taken:
                begun = self._prefixes.find(prompt)
                rest = len(prompt.ids) - begun.count if begun else len(prompt.ids) + len(prompt.source or ())
                widest = max(width, rest)
                kind = next(iter(taken.values()), begun)
                many = widest * (len(taken) + 1) > self.read_at_once
                if taken and ((kind is None) != (begun is None) or many):
                    break
                taken[prompt], width = begun, widest
            self._coming.append(self._queue.popleft())
        if not taken:
            return
        known, prompts = [each for each in taken.values() if each is not None], list(taken)
        common = 0 if known else common_beginning(self.model, prompts)
        self._reading = read_together(self.model, prompts, known, common, self.read_at_once)
        self._part = next(self._reading)
        whole = sum(len(row.prompt.ids) for row in self._coming)
        unread = common + sum(len(p.ids) - common for p in prompts) - sum(each.count for each in known)
        self.work.read += unread
        self.work.taken_over += whole - unread

    # ---- tokens ----

    def _chosen(self, logits: Tensor) -> list[Choice]:
        """The next token of each row, by (R, V) logits."""
        tokens, problems = next_of_each(self._rows, logits)
        said = logits.log_softmax(dim=-1)
        chances = said.gather(1, tokens[:, None])[:, 0].tolist()
        tops = most_probable(self._rows, said)
        choices = []
        for place, (row, token) in enumerate(zip(self._rows, tokens.tolist(), strict=True)):
            try:
                if place in problems:
                    raise problems[place]
                finish = row.add(token)
            except TriviumError as problem:
                row.left = True
                choices.append(Choice(row.handle, -1, 0.0, "error", problem=problem))
                continue
            self._latest[place], row.left = token, finish is not None
            choices.append(Choice(row.handle, token, chances[place], finish, tops.get(place, ())))
        self.work.written += len(choices)
        return choices


def one_more(model: Network, tokens: Tensor, positions: Tensor, cache: Progress) -> Tensor:
    """(R, V) logits after one more token (R,) in each row. A two-stream network reads it together with the one before,
    each with the other in sight, as the field's common library has it."""
    count = 1
    if isinstance(cache, TwoStreamCache):
        target, count = Tokens(torch.stack([cache.take_back(), tokens], dim=1)), 2
        target = read_both_ways(target, [count] * len(tokens))
    else:
        target = Tokens(tokens[:, None], positions=None if cache.documents is None else positions[:, None])
    last = torch.arange(1, len(tokens) + 1, device=tokens.device) * count - 1
    logits = model(Inputs(target=target), at=last, cache=cache).logits
    assert logits is not None
    return logits


def next_tokens(model: Network, prompt: Prompt, vocabulary: int) -> Tensor:
    """(V,) log-probabilities of the token after a prompt."""
    return prefill(model, [prompt], 0)[0][0, :vocabulary].float().log_softmax(dim=-1)


class Decoding:
    """Texts with the same settings, all that there are. Iterating over it yields, step by step, one ``Choice`` for
    every sequence that is being written; their rows are the numbers of the prompts.

    ``ends``: tokens that end a sequence; ``vocabulary``: how many tokens may be chosen from. ``forced``: tokens that
    stand at fixed places; ``constraints``: one a prompt, where texts have a prescribed form. ``stop(row)`` ends a
    sequence from outside.
    """

    def __init__(
        self, model: Network, prompts: Sequence[Prompt], sampling: Sampling, ends: frozenset[int], vocabulary: int,
        forced: Forced = Forced(), constraints: Sequence[Constraint] = (), words: Wording = Wording(),  # noqa: B008
    ):  # fmt: skip
        longest = max((len(prompt.ids) + room for prompt, room in
                       zip(prompts, rooms(model, prompts, sampling.max_tokens), strict=True)), default=2)  # fmt: skip
        slots = max(1, min(len(prompts), SIDE_BY_SIDE))
        self._engine = Engine(
            model, vocabulary, slots=slots, longest=max(2, longest), read_at_once=SIDE_BY_SIDE * 64,
            reuse=4096 if len(prompts) > slots else 0,
        )  # fmt: skip
        for number, prompt in enumerate(prompts):
            constraint = constraints[number] if constraints else None
            self._engine.submit(Request(prompt, sampling, ends, forced, words, constraint))

    def stop(self, row: int) -> None:
        """Leaves a sequence as it is; no more choices come for it."""
        self._engine.cancel(row)

    def __iter__(self) -> Iterator[list[Choice]]:
        while self._engine.busy:
            choices = self._engine.step()
            for choice in choices:
                if choice.problem is not None:
                    raise choice.problem
            if choices:
                yield choices


def run(
    model: Network, prompts: Sequence[Prompt], sampling: Sampling, ends: frozenset[int], vocabulary: int,
    forced: Forced = Forced(),  # noqa: B008 (frozen)
) -> list[Written]:  # fmt: skip
    """Writes all sequences to their ends."""
    return finished(run_in_steps(model, prompts, sampling, ends, vocabulary, forced))


def run_in_steps(
    model: Network, prompts: Sequence[Prompt], sampling: Sampling, ends: frozenset[int], vocabulary: int,
    forced: Forced = Forced(),  # noqa: B008 (frozen)
) -> Generator[None, None, list[Written]]:  # fmt: skip
    """The same for a caller who has other work between two tokens."""
    choices: dict[int, list[Choice]] = {row: [] for row in range(len(prompts))}
    for step in Decoding(model, prompts, sampling, ends, vocabulary, forced):
        for choice in step:
            choices[choice.row].append(choice)
        yield
    return [
        Written(
            tuple(choice.token for choice in row if choice.finish != "end"),
            tuple(choice.log_probability for choice in row),
            row[-1].finish or "length",
        )
        for row in choices.values()
    ]
