"""The wire: how long and how large a request may be before it is one, and how long a client may leave an answer unread.

Uvicorn parses with llhttp, which refuses what could be read in two ways (two lengths, a length and chunks); it has no
limit on headers, and no clock but that of idle connections. Here every state of a connection has one: headers, body,
idle, unread. Refusals have OpenAI's shape, as everywhere.
"""

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from trivium.serving.guard import SECURITY
from trivium.serving.refusals import Refusal
from trivium.serving.settings import Caps

_BYTES_A_SECOND = 1024  # who reads slower than this does not read


class Connection(HttpToolsProtocol):
    """One connection. ``caps`` is set by ``connection_class``."""

    caps: Caps

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.timeout_keep_alive = self.caps.idle_seconds  # type: ignore[assignment]
        self.access_log = False  # addresses may hold what is not meant for a log; /metrics counts
        self._born = self.loop.time()
        self._in_head = True  # until a request's headers are complete
        self._head_bytes = 0
        self._ended = False  # a request, in the bytes at hand
        self._refused = False
        self._reading: asyncio.TimerHandle | None = None  # ends the wait for headers or body
        self._unread: asyncio.TimerHandle | None = None  # ends the wait for the client to read

    # ---- reading ----

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The clock of the first headers starts."""
        super().connection_made(transport)
        if len(self.connections) > self.caps.connections:
            self._make_room()
        if not self._refused:
            self._wait(self.caps.header_seconds)

    def data_received(self, data: bytes) -> None:
        """Bytes: of headers, of a body, or of what nobody wants any more."""
        if self._refused or self.transport.is_closing():
            return
        if self._reading is None:
            self._wait(self.caps.header_seconds)
        self._ended = False
        super().data_received(data)
        if self._in_head and not self._ended and not self._refused:
            self._head_bytes += len(data)
            if self._head_bytes > self.caps.header_bytes + self.caps.url_bytes:
                self._refuse(_too_many_headers())

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its headers are complete: the application is called, unless they are too many."""
        self._in_head = False
        size = sum(len(name) + len(value) + 4 for name, value in self.headers)
        if len(self.url) > self.caps.url_bytes:
            self._refuse(Refusal(414, f"the address is longer than {self.caps.url_bytes:,} bytes", code="url_too_long"))
        elif len(self.headers) > self.caps.headers or size > self.caps.header_bytes:
            self._refuse(_too_many_headers())
        else:
            super().on_headers_complete()
            self._wait(self.caps.body_seconds)

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request has come whole."""
        self._ended = True
        self._stop_waiting()
        if not self._refused:
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """What llhttp could not read."""
        self._refuse(Refusal(400, "this is no HTTP request that can be read", code="invalid_request"))

    def _wait(self, seconds: float) -> None:
        self._stop_waiting()
        self._reading = self.loop.call_later(seconds, self._too_late, seconds)

    def _stop_waiting(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _too_late(self, seconds: float) -> None:
        self._reading = None
        answering = self.cycle is not None and not self.cycle.response_complete
        if self.pipeline or (answering and (self._in_head or not self.cycle.more_body)):
            self._wait(seconds)  # the next request is not read before this one is answered
        else:
            self._refuse(Refusal(408, "the request did not come in time", code="request_timeout"))

    def _refuse(self, problem: Refusal) -> None:
        """Answers, and closes when the client has had a moment to read it: closing at once would reset the connection
        while bytes are unread, and take the answer with it."""
        self._refused = True
        self._stop_waiting()
        self._unset_keepalive_if_required()
        if self.transport.is_closing():
            return
        if self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
            self.transport.close()
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        body = json.dumps(problem.body()).encode()
        headers = {
            **problem.headers, **SECURITY, "content-type": "application/json", "content-length": str(len(body)),
            "connection": "close",
        }  # fmt: skip
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.transport.write(STATUS_LINE[problem.status] + head.encode("latin-1") + b"\r\n" + body)
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._reading = self.loop.call_later(self.caps.linger_seconds, self._close)

    def _make_room(self) -> None:
        """Too many connections: the oldest that asks nothing goes, or this one."""
        others = [each for each in self.connections if isinstance(each, Connection) and each is not self]
        silent = [each for each in others if each.cycle is None or each.cycle.response_complete]
        if silent:
            min(silent, key=lambda each: each._born).transport.abort()
        else:
            self._refuse(Refusal(429, "too many connections: try again in a second", headers={"retry-after": "1"}))

    # ---- writing ----

    def pause_writing(self) -> None:
        """More was written than the client has read."""
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        """It has read on."""
        super().resume_writing()
        self._stop_awaiting_reader()

    def on_response_complete(self) -> None:
        """An answer is written; the client has yet to read its end."""
        super().on_response_complete()
        if self.transport.get_write_buffer_size():
            self._await_reader()

    def _await_reader(self) -> None:
        if self._unread is None:
            left = self.transport.get_write_buffer_size()
            self._unread = self.loop.call_later(self.caps.write_seconds, self._give_up, left)

    def _stop_awaiting_reader(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _give_up(self, before: int) -> None:
        self._unread = None
        left = self.transport.get_write_buffer_size()
        if left and left > before - _BYTES_A_SECOND * self.caps.write_seconds:
            self.transport.abort()
        elif left:
            self._await_reader()  # a long answer on a slow line, which goes on

    # ---- the end ----

    def _close(self) -> None:
        self.transport.close()
        if self.transport.get_write_buffer_size():
            self._await_reader()

    def connection_lost(self, exc: Exception | None) -> None:
        """All clocks stop."""
        self._stop_waiting()
        super().connection_lost(exc)
        self._stop_awaiting_reader()


def connection_class(caps: Caps) -> type[Connection]:
    """What ``uvicorn.Config(http=...)`` is given."""
    return type("Connection", (Connection,), {"caps": caps})


def _too_many_headers() -> Refusal:
    return Refusal(431, "the headers are more than are read", code="headers_too_large")
