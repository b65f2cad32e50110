"""Chat templates: the messages of a conversation as the one text that a model was taught to read.

A template is text that comes with a model, and a program (Jinja). It is rendered in a process of its own, in Jinja's
immutable sandbox, with limits on time, memory and length (``template_worker``), to what ``transformers`` renders. The
result is in segments that tell the template's own words from those of the user, so that whoever encodes it makes
control tokens of the first only (``tokenizers/segments.py``): a user who types ``<|im_end|>`` has typed ten characters.
"""

import atexit
import contextlib
import json
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from trivium.errors import DataError, TriviumError

LONGEST_TEMPLATE = 1 << 18  # characters
STARTING = 60.0  # seconds that a new process may take to be ready

# Names of speakers that may be part of a control token, as in <|user|>.
ROLES = ("system", "user", "assistant", "tool", "developer", "function", "ipython", "model")


class Segment(NamedTuple):
    """A run of characters. ``scaffold``: written by the template's author; ``reply``: the number of the message in
    which an assistant says it; ``generated``: the template itself says that it is said (``{% generation %}``)."""

    text: str
    scaffold: bool
    reply: int | None = None
    generated: bool = False


@dataclass(frozen=True)
class Limits:
    """What a template may take."""

    seconds: float = 2.0
    characters: int = 1 << 22  # of what it writes
    memory: int = 1 << 29  # bytes of its process


LIMITS = Limits()


def render(
    template: str, messages: Sequence[Mapping[str, Any]], *, add_generation_prompt: bool = False,
    tokens: Mapping[str, str | None] | None = None, tools: Sequence[Mapping[str, Any]] | None = None,
    documents: Sequence[Mapping[str, Any]] | None = None, roles: Collection[str] = ROLES,
    variables: Mapping[str, Any] | None = None, limits: Limits = LIMITS,
) -> list[Segment]:  # fmt: skip
    """The conversation as a template writes it.

    ``tokens``: the control tokens that the template may name (``bos_token``, ``eos_token``). ``variables``: further
    ones, of the user's. A template that cannot be used, or refuses the messages, is a DataError.
    """
    _check_size(template)
    data = {
        "messages": messages,
        "tools": tools,
        "documents": documents,
        "add_generation_prompt": add_generation_prompt,
        **(variables or {}),
    }
    own = {name: token for name, token in (tokens or {}).items() if token is not None}
    request = {"template": template, "data": data, "own": own, "roles": list(roles), "longest": limits.characters}
    reply = _ask(request, limits)
    if "refusal" in reply:
        raise DataError(f"the chat template refuses these messages: {_line(reply['refusal'])}")
    if "error" in reply:
        raise DataError(f"the chat template cannot be used: {_line(reply['error'])}")
    return [Segment(text, *mark) for text, mark in reply["runs"]]


def check_template(template: str, limits: Limits = LIMITS) -> None:
    """A DataError where a template is no template."""
    _check_size(template)
    reply = _ask({"template": template, "check": True, "longest": 0}, limits)
    if "error" in reply:
        raise DataError(f"the chat template cannot be used: {_line(reply['error'])}")


def whole_text(segments: Sequence[Segment]) -> str:
    """The segments as one text, to be read by people."""
    return "".join(segment.text for segment in segments)


def _check_size(template: str) -> None:
    if len(template) > LONGEST_TEMPLATE:
        raise DataError(f"the chat template has {len(template)} characters: at most {LONGEST_TEMPLATE} are read")


def _line(text: str) -> str:
    return " ".join(text.split())[:300]


def _ask(request: dict[str, Any], limits: Limits) -> dict[str, Any]:
    try:
        line = json.dumps({**request, "seconds": limits.seconds + 1}).encode() + b"\n"
    except (TypeError, ValueError, RecursionError) as problem:
        raise DataError(f"messages are texts, numbers, lists and tables of them, as in JSON: {problem}") from None
    with _LOCK:
        worker = _worker(limits)
        try:
            reply = worker.ask(line, limits)
        except BaseException:
            worker.end()
            raise
        if "memory" in reply.get("error", ""):  # what is left of it may not suffice for the next
            worker.end()
        return reply


class _Worker:
    """One process that renders, asked again and again; whoever asks holds the lock."""

    def __init__(self, memory: int) -> None:
        self.memory = memory
        self.owner = os.getpid()
        # Isolated: neither the folder one works in nor the environment or what else is installed says what is imported.
        places = [__file__, *(getattr(find_spec(name), "origin", None) for name in ("jinja2", "markupsafe"))]
        paths = [str(Path(place).parents[2 if place == __file__ else 1]) for place in places if place]
        code = f"import sys; sys.path += {paths!r}; from trivium.text.template_worker import serve; serve({memory})"
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.environ.get("PATH", ""), "TZ": os.environ.get("TZ", "")},
            bufsize=0,
        )
        if self._read(STARTING, 1 << 10) is None:
            self.end()
            raise TriviumError(
                "the process that renders chat templates does not start: see whether jinja2 is installed"
            )

    @property
    def usable(self) -> bool:
        """Not ended, and not the parent's (a forked process would share its pipes)."""
        return self.owner == os.getpid() and self.process.poll() is None

    def ask(self, line: bytes, limits: Limits) -> dict[str, Any]:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            view = memoryview(line)
            while view:
                view = view[self.process.stdin.write(view) :]
        begun = time.monotonic()
        reply = self._read(limits.seconds, 64 * (limits.characters + (1 << 20)))
        if reply is None:
            self.end()
            late = time.monotonic() - begun >= limits.seconds
            return {"error": f"it takes more than {limits.seconds:g} seconds" if late else "it ends its process"}
        answer: dict[str, Any] = json.loads(reply)
        return answer

    def _read(self, seconds: float, most: int) -> bytes | None:
        """A line, or None where none comes."""
        assert self.process.stdout is not None
        pieces: list[bytes] = []
        until, size = time.monotonic() + seconds, 0
        with selectors.DefaultSelector() as waiting:
            waiting.register(self.process.stdout, selectors.EVENT_READ)
            while size <= most:
                ready = waiting.select(max(0.0, until - time.monotonic()))
                piece = os.read(self.process.stdout.fileno(), 1 << 16) if ready else b""
                if not piece:
                    return None
                pieces.append(piece)
                size += len(piece)
                if piece.endswith(b"\n"):
                    return b"".join(pieces)
        return None

    def end(self) -> None:
        """Whatever it is doing."""
        if self.owner != os.getpid():
            return
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


_LOCK = threading.Lock()
_WORKERS: list[_Worker] = []  # one at most; a list, so that it can be replaced


def _worker(limits: Limits) -> _Worker:
    if not (_WORKERS and _WORKERS[0].usable and _WORKERS[0].memory == limits.memory):
        _end_workers()
        _WORKERS.append(_Worker(limits.memory))
    return _WORKERS[0]


@atexit.register
def _end_workers() -> None:
    while _WORKERS:
        _WORKERS.pop().end()
