"""The one thread in which models compute: steps of texts that are being written, and short jobs between two steps.

Texts join and leave at every step (``generation/engine.py``). Each text takes a place of its own, keys get places in
turn, and so no one's long request keeps others out for longer than one text. What is over the bounds is refused at
once, with 429. A request ends when it is answered, when its client leaves (its texts are gone before the step after
next), or when its time is up.
"""

import asyncio
import logging
import math
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from trivium.errors import TriviumError
from trivium.serving.refusals import Refusal
from trivium.serving.settings import ServeSettings
from trivium.serving.turns import Turns

if TYPE_CHECKING:
    from trivium.generation.completion import Piece
    from trivium.generation.constraints import Guide
    from trivium.generation.prompts import Prompt
    from trivium.generation.sampling import Sampling
    from trivium.generation.writer import Writer
    from trivium.serving.house import Served

T = TypeVar("T")
log = logging.getLogger("trivium.serving")


@dataclass(eq=False)
class _Request:
    """Something that is asked for; what comes of it is put into ``found``, a list of pieces, a result or an error."""

    key: str
    loop: asyncio.AbstractEventLoop
    until: float  # by time.monotonic
    found: "asyncio.Queue[Any]" = field(default_factory=asyncio.Queue)
    gone: bool = False  # nobody waits for it any more


@dataclass(eq=False)
class _Job(_Request):
    """One call."""

    work: Callable[[], object] = lambda: None


@dataclass(eq=False)
class _Writing(_Request):
    """Texts of one request."""

    served: "Served | None" = None
    sampling: "Sampling | None" = None
    ends: frozenset[int] = frozenset()
    guide: "Guide | None" = None
    texts: "deque[tuple[int, int, Prompt]]" = field(default_factory=deque)  # not begun yet: prompt, sample
    running: dict[int, tuple[int, int]] = field(default_factory=dict)  # by the writer's handle


@dataclass(frozen=True)
class Load:
    """What there is to tell of the work: requests now, and tokens since the start."""

    waiting: int = 0  # requests that nothing was done for yet
    in_flight: int = 0  # requests that are answered or wait
    texts: int = 0  # that are being written
    tokens_read: int = 0
    tokens_reused: int = 0  # of prompts, not read again
    tokens_written: int = 0
    jobs: int = 0  # done since the start
    refused: int = 0  # for there was no room to wait


class Scheduler:
    """``run`` and ``write`` are called from the event loop; what they give is computed in the thread."""

    def __init__(self, settings: ServeSettings = ServeSettings()) -> None:  # noqa: B008 (frozen)
        self._settings = settings
        self._wake = threading.Condition()
        self._jobs: Turns[_Job] = Turns()
        self._writings: Turns[_Writing] = Turns()  # with texts that have no place yet
        self._begun: set[_Writing] = set()  # with texts that have one; the thread's own
        self._writers: dict[str, Writer] = {}  # the thread's own
        self._owners: dict[tuple[str, int], _Writing] = {}  # by model and the writer's handle; the thread's own
        self._in_flight: Counter[str] = Counter()  # the event loop's own
        self._seconds = 1.0  # that a request takes, a moving mean
        self._figures = self._ended = Load()  # the second: of writers that broke
        self._closing = self._stopping = False
        self._thread = threading.Thread(target=self._work, name="models", daemon=True)

    def start(self) -> None:
        """Begins to compute."""
        self._thread.start()

    def stop(self) -> None:
        """Ends after the step at hand; whoever still waits is told."""
        with self._wake:
            self._closing = self._stopping = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(timeout=self._settings.drain)

    def close(self, seconds: float) -> None:
        """Takes nothing new; what is there has so many seconds to end."""
        latest = time.monotonic() + seconds
        with self._wake:
            self._closing = True
            for each in (*self._jobs, *self._writings, *self._begun):
                each.until = min(each.until, latest)
            self._wake.notify()

    @property
    def load(self) -> Load:
        """As of the latest step."""
        with self._wake:
            waiting = len(self._jobs) + sum(not each.running for each in self._writings)
            return replace(self._figures, waiting=waiting, in_flight=self._in_flight.total())

    # ---- on the event loop ----

    async def run(self, key: str, job: Callable[[], T]) -> T:
        """What ``job`` returns, called in the thread between two steps; ``key`` says whose turn it is."""
        asked = _Job(key, asyncio.get_running_loop(), self._until(), work=job)
        begun = self._enter(asked)
        try:
            found = await asked.found.get()
            if isinstance(found, _Failed):
                raise found.problem
            result: T = found
            return result
        finally:
            self._leave(asked, begun)

    async def write(
        self, key: str, served: "Served", prompts: "Sequence[Prompt]", sampling: "Sampling", samples: int = 1,
        ends: frozenset[int] = frozenset(), guide: "Guide | None" = None,
    ) -> "AsyncGenerator[list[Piece]]":  # fmt: skip
        """The pieces of ``samples`` texts after each prompt, as they come, several of one text never in one list;
        closing the iterator cancels what is not written yet. ``ends``: further tokens that end these texts; ``guide``:
        ``served.guide`` of them, where the settings prescribe a form."""
        loop, until = asyncio.get_running_loop(), self._until()
        asked = _Writing(key, loop, until, served=served, sampling=sampling, ends=ends, guide=guide)
        for number, prompt in enumerate(prompts):
            asked.texts.extend((number, sample, replace(prompt, sample=sample)) for sample in range(samples))
        left, begun = len(asked.texts), self._enter(asked)
        try:
            while left:
                found = await asked.found.get()
                if isinstance(found, _Failed):
                    raise found.problem
                left -= sum(piece.finish is not None for piece in found)
                yield found
        finally:
            self._leave(asked, begun)

    def _until(self) -> float:
        return time.monotonic() + self._settings.deadline

    def _enter(self, asked: _Request) -> float:
        """Puts a request among those that wait, or refuses it."""
        with self._wake:
            if self._closing:
                raise Refusal(503, "the server is stopping: try again later", code="stopping", headers=self._later(1))
            waiting = len(self._jobs) + sum(not each.running for each in self._writings)
            if self._in_flight[asked.key] >= self._settings.per_key:
                self._figures = replace(self._figures, refused=self._figures.refused + 1)
                raise Refusal(
                    429, f"{self._settings.per_key} requests of this key are answered or wait, and no more may: try "
                    "again when some have ended", code="too_many_requests", headers=self._later(1),
                )  # fmt: skip
            if waiting >= self._settings.waiting:
                self._figures = replace(self._figures, refused=self._figures.refused + 1)
                raise Refusal(
                    429, f"{waiting} requests wait, and no more may: try again later", code="too_many_requests",
                    headers=self._later(waiting / self._settings.running),
                )  # fmt: skip
            if isinstance(asked, _Job):
                self._jobs.add(asked.key, asked)
            elif isinstance(asked, _Writing):
                self._writings.add(asked.key, asked)
            self._in_flight[asked.key] += 1
            self._wake.notify()
        return time.monotonic()

    def _later(self, rounds: float) -> dict[str, str]:
        return {"Retry-After": str(max(1, min(60, math.ceil(rounds * self._seconds))))}

    def _leave(self, asked: _Request, begun: float) -> None:
        self._in_flight[asked.key] -= 1
        if not self._in_flight[asked.key]:
            del self._in_flight[asked.key]
        self._seconds += (time.monotonic() - begun - self._seconds) / 16
        with self._wake:
            asked.gone = True
            if isinstance(asked, _Job):
                self._jobs.remove(asked.key, asked)
            elif isinstance(asked, _Writing):
                self._writings.remove(asked.key, asked)
            self._wake.notify()

    # ---- in the thread ----

    def _work(self) -> None:
        while True:
            with self._wake:
                while not (self._jobs or self._writings or self._begun or self._stopping):
                    self._wake.wait()
                if self._stopping:
                    break
            self._end_what_is_over()
            self._admit()
            self._do_a_job()
            for name in [name for name, writer in self._writers.items() if writer.busy]:
                self._step(name)
            self._count()
        stopped = Refusal(503, "the server has stopped: ask again when it is back", code="stopping")
        with self._wake:
            rest = {*self._jobs, *self._writings, *self._begun}
        for each in rest:
            _tell(each, _Failed(stopped))

    def _end_what_is_over(self) -> None:
        """Of those that left, and of those whose time is up."""
        now = time.monotonic()
        with self._wake:
            late = [each for each in (*self._jobs, *self._writings) if each.until <= now]
            late += [each for each in self._begun if each.until <= now and not each.gone]
            closing = self._closing
        for each in dict.fromkeys(late):
            if closing:
                refusal = Refusal(503, "the server is stopping, and this took longer than it waits", code="stopping")
            else:
                after = f"after {self._settings.deadline:g} seconds"
                refusal = Refusal(408, f"this was not done {after}: ask for less, or try later", code="deadline")
            self._fail(each, refusal)
        for writing in [each for each in self._begun if each.gone]:
            self._forget(writing)

    def _fail(self, asked: _Request, problem: BaseException) -> None:
        with self._wake:
            if isinstance(asked, _Job):
                self._jobs.remove(asked.key, asked)
        if isinstance(asked, _Writing):
            self._forget(asked)
        _tell(asked, _Failed(problem))

    def _forget(self, writing: _Writing) -> None:
        """Gives its places to others."""
        assert writing.served is not None
        with self._wake:
            self._writings.remove(writing.key, writing)
            self._begun.discard(writing)
        for handle in writing.running:
            self._writers[writing.served.name].cancel(handle)
            self._owners.pop((writing.served.name, handle), None)
        writing.running.clear()

    def _admit(self) -> None:
        """Texts take the places that are free, a text of each key in turn."""
        while True:
            with self._wake:
                writing = self._writings.take(self._has_place)
                if writing is None:
                    return
                number, sample, prompt = writing.texts.popleft()
                if not writing.texts:
                    self._writings.remove(writing.key, writing)
                self._begun.add(writing)
            assert writing.served is not None and writing.sampling is not None
            name = writing.served.name
            try:
                if name not in self._writers:
                    self._writers[name] = writing.served.new_writer()
                handle = self._writers[name].submit(prompt, writing.sampling, ends=writing.ends, guide=writing.guide)
            except Exception as problem:  # noqa: BLE001 (told to whoever asked; the others go on)
                self._fail(writing, _tellable(problem))
                continue
            writing.running[handle] = (number, sample)
            self._owners[name, handle] = writing

    def _has_place(self, key: str, writing: _Writing) -> bool:
        assert writing.served is not None
        name, places = writing.served.name, self._settings.running
        of_all = [owner for (model, _), owner in self._owners.items() if model == name]
        if len(self._settings.keys) > 1 and sum(owner.key == key for owner in of_all) >= places - places // 4:
            return False  # a quarter is kept for the others, who would else wait until a text of this key has ended
        return len(of_all) < places

    def _do_a_job(self) -> None:
        with self._wake:
            job = self._jobs.take()
            if job is None:
                return
            self._jobs.remove(job.key, job)
        try:
            found: object = job.work()
        except Exception as problem:  # noqa: BLE001 (raised again where it was asked for)
            found = _Failed(_tellable(problem))
        _tell(job, found)
        with self._wake:
            self._figures = replace(self._figures, jobs=self._figures.jobs + 1)

    def _step(self, name: str) -> None:
        """One more token of every text of a model."""
        try:
            pieces = self._writers[name].step()
        except Exception as problem:  # noqa: BLE001 (the model failed for all of its texts; the server goes on)
            told_to_all = _tellable(problem)
            self._ended = _added(self._ended, self._writers.pop(name))
            for writing in {owner for (model, _), owner in self._owners.items() if model == name}:
                for handle in writing.running:
                    self._owners.pop((name, handle), None)
                writing.running.clear()
                self._fail(writing, told_to_all)
            return
        told: dict[_Writing, list[Piece]] = {}
        for piece in pieces:
            writing = self._owners[name, piece.prompt]
            number, sample = writing.running[piece.prompt]
            if piece.finish is not None:
                del writing.running[piece.prompt], self._owners[name, piece.prompt]
            told.setdefault(writing, []).append(replace(piece, prompt=number, sample=sample))
        for writing, found in told.items():
            wrong = next((piece.problem for piece in found if piece.problem is not None), None)
            if wrong is not None:
                self._fail(writing, wrong)
                continue
            if not writing.running and not writing.texts:
                with self._wake:
                    self._begun.discard(writing)
            _tell(writing, found)

    def _count(self) -> None:
        all_of_them = self._ended
        for writer in self._writers.values():
            all_of_them = _added(all_of_them, writer)
        with self._wake:
            now = self._figures
            self._figures = replace(all_of_them, texts=len(self._owners), jobs=now.jobs, refused=now.refused)


def _added(figures: Load, writer: "Writer") -> Load:
    work = writer.engine.work
    return replace(
        figures, tokens_read=figures.tokens_read + work.read, tokens_reused=figures.tokens_reused + work.taken_over,
        tokens_written=figures.tokens_written + work.written,
    )  # fmt: skip


@dataclass(frozen=True)
class _Failed:
    """An error that is on its way to whoever asked."""

    problem: BaseException


def _tellable(problem: Exception) -> Exception:
    """What is no fault of the client's is not explained to it, but to whoever reads the log."""
    if isinstance(problem, Refusal | TriviumError):
        return problem
    log.error("an answer failed", exc_info=problem)
    return Refusal(500, "the server failed at this, and its log says why: try again, or ask for less")


def _tell(asked: _Request, found: object) -> None:
    """From the thread to the event loop."""
    if not asked.gone and not asked.loop.is_closed():
        asked.loop.call_soon_threadsafe(asked.found.put_nowait, found)
