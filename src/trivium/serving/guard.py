"""Who may ask, from where, and how much: everything a request passes before it reaches a route.

In this order: no header twice that must be one; a Host that is ours (a page elsewhere can give its own name our address
and would then be read as ours: DNS rebinding); an Origin that is ours or was allowed; a key, on every route but
``/health``; a JSON content type, so that no form of a page elsewhere can send what a route reads; a body within bounds,
read whole and strictly (``bodies.py``). Answers get the headers that keep a browser from running, framing or guessing.
Time limits are ``connections.py``'s.
"""

import asyncio
import base64
import binascii
import hmac
import ipaddress
import re
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse, Response

from trivium.errors import SettingsError
from trivium.serving.bodies import strict
from trivium.serving.refusals import Refusal
from trivium.serving.settings import ServeSettings
from trivium.training.allocator import give_back_freed_memory

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from trivium.serving.house import House

OPEN = "/health"  # the one path that needs no key
SECURITY = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_SINGLE = {b"host", b"origin", b"authorization", b"content-type", b"content-length", b"content-encoding"}
_WITHOUT_BODY = {"GET", "HEAD", "OPTIONS"}
_METHODS = {*_WITHOUT_BODY, "POST"}
_LEFT = 499  # counted, never sent: the client left before it was answered
_MEMORABLE = 1 << 20  # bytes of a body or an answer after which memory is given back
_MOMENT = 0.5  # seconds after the last of them, when nothing holds it any more
_LARGE = 32 << 10  # bodies that are parsed in a thread of their own
_HEADER_NAMES = re.compile(r"[A-Za-z0-9_\-, ]{0,2000}")
_BODIES_AT_ONCE = 16  # times the cap of one body


class Guard:
    """The application behind its door."""

    def __init__(self, app: "ASGIApp", house: "House") -> None:
        settings = house.settings
        if any(not key.strip() for key in settings.keys):
            raise SettingsError("a key is blank: give one that cannot be guessed")
        self.app, self.settings, self.caps, self.traffic = app, settings, settings.caps, house.traffic
        self.keys = tuple(key.encode("utf-8") for key in settings.keys)
        self.names = host_names(settings)
        self.held = 0  # bytes of all bodies at hand
        self.rushed = False  # whether there was a large body or answer since memory was given back

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """One request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        begun, status, taken, told = time.perf_counter(), _LEFT, 0, 0
        headers: dict[bytes, bytes] = dict(reversed(scope["headers"]))
        origin = headers.get(b"origin", b"").decode("latin-1")

        async def answer(message: "Message") -> None:
            nonlocal status, told
            if message["type"] == "http.response.start":
                status = message["status"]
                self._dress(MutableHeaders(scope=message), origin)
            told += len(message.get("body", b""))
            await send(message)

        def take(size: int) -> None:
            nonlocal taken
            taken += size
            self.held += size
            if taken > self.caps.body_bytes:
                raise self._too_large()
            if self.held > _BODIES_AT_ONCE * self.caps.body_bytes:
                raise Refusal(
                    429, "too much is being sent to this server at once: try again in a second",
                    code="server_busy", headers={"retry-after": "1"},
                )  # fmt: skip

        self.traffic.begin()
        body = b""
        try:
            try:
                early = self._admit(scope, headers, origin)
                if early is None:
                    body = await self._body(scope, headers, receive, take)
            except Refusal as problem:
                early = JSONResponse(problem.body(), problem.status, problem.headers)
            except _Gone:
                return
            if early is not None:
                await self._turn_away(early, scope, receive, answer)
            else:
                await self.app(scope, _again(body, receive), answer)
        except Exception:
            status = 500
            raise
        finally:
            self.held -= taken
            if max(taken, told) > _MEMORABLE and not self.rushed:
                self.rushed = True
                asyncio.get_running_loop().call_later(_MOMENT, self._give_back)
            route = getattr(scope.get("route"), "path", None) or "none"
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self.traffic.end(route, method, status, time.perf_counter() - begun)

    def _give_back(self) -> None:
        """Gives back what large requests took, when no body is at hand any more: the rush is over."""
        loop = asyncio.get_running_loop()
        if self.held:
            loop.call_later(_MOMENT, self._give_back)
            return
        self.rushed = False
        loop.run_in_executor(None, give_back_freed_memory)

    def _admit(self, scope: "Scope", headers: dict[bytes, bytes], origin: str) -> Response | None:
        """Raises what a request is refused for; answers what a browser asks before it asks."""
        names = [name for name, _ in scope["headers"]]
        if len(names) > self.caps.headers or sum(len(n) + len(v) for n, v in scope["headers"]) > self.caps.header_bytes:
            raise Refusal(431, "the headers are more than are read", code="headers_too_large")
        twice = next((name for name in _SINGLE if names.count(name) > 1), None)
        if twice:
            raise Refusal(400, f"the header {twice.decode()} is given twice")
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if not host:
            raise Refusal(400, "the header Host is missing")
        if not self._ours(host):
            raise Refusal(
                403, "the name in the header Host is not one of this server's: start it with --allowed-host to add it",
                code="host_not_allowed",
            )  # fmt: skip
        if b"origin" in headers and origin not in self.settings.origins and origin.lower().partition("://")[2] != host:
            raise Refusal(
                403, "pages of this origin may not ask here: start the server with --origin to let them",
                code="origin_not_allowed",
            )  # fmt: skip
        if scope["method"] == "OPTIONS" and origin and b"access-control-request-method" in headers:
            asked = headers.get(b"access-control-request-headers", b"").decode("latin-1")
            allowed = asked if _HEADER_NAMES.fullmatch(asked) else "authorization, content-type"
            permissions = {"access-control-allow-methods": "GET, POST", "access-control-allow-headers": allowed}
            return Response(status_code=204, headers=permissions)
        scope.setdefault("state", {})["key"] = "" if scope["path"] == OPEN else self._whose(headers)
        if scope["method"] not in _METHODS:
            raise Refusal(405, "nothing here is asked but by GET and POST", headers={"allow": "GET, POST"})
        return None

    def _ours(self, host: str) -> bool:
        name = re.sub(r":\d{1,5}$", "", host)
        if name in self.names:
            return True
        # An address is no name that somebody else could have given to this machine.
        return not is_loopback(self.settings.host) and _is_address(name)

    def _whose(self, headers: dict[bytes, bytes]) -> str:
        """Which key a request came with: its number, never itself."""
        if not self.keys:
            return ""
        given = key_of(headers.get(b"authorization", b""))
        matches = [hmac.compare_digest(given, key) for key in self.keys]  # all of them, whichever it is
        if any(matches):
            return str(matches.index(True) + 1)
        message = "the key is not one of this server's" if given else "a key is needed"
        raise Refusal(
            401, f"{message}: send the header 'Authorization: Bearer KEY'", code="invalid_api_key",
            headers={"www-authenticate": 'Basic realm="Trivium", charset="UTF-8"'},
        )  # fmt: skip

    async def _body(
        self, scope: "Scope", headers: dict[bytes, bytes], receive: "Receive", take: Callable[[int], None]
    ) -> bytes:
        """The body, read whole and checked; what comes with GET is thrown away."""
        wanted = scope["method"] not in _WITHOUT_BODY
        if wanted:
            check_content(headers)
        length = headers.get(b"content-length", b"0")
        if not length.isdigit():
            raise Refusal(400, "the header Content-Length is not a number")
        if len(length) > 15 or int(length) > self.caps.body_bytes:
            raise self._too_large()
        parts: list[bytes] = []
        async for part in _parts(receive):
            take(len(part))
            parts.append(part)
        if not wanted:
            return b""
        body = b"".join(parts)
        del parts
        if len(body) > _LARGE:
            await asyncio.to_thread(strict, body, self.caps)
        else:
            strict(body, self.caps)
        return body

    def _too_large(self) -> Refusal:
        return Refusal(413, f"the body is larger than {self.caps.body_bytes:,} bytes", code="body_too_large")

    async def _turn_away(self, response: Response, scope: "Scope", receive: "Receive", answer: "Send") -> None:
        """Sends a refusal although the client may still be sending. A connection that is closed before it was read to
        its end is reset, and the answer lost with it: so what comes is thrown away for a moment first."""
        unread = scope["method"] not in _WITHOUT_BODY
        if unread:
            response.headers["connection"] = "close"

        async def hold(message: "Message") -> None:
            last = message["type"] == "http.response.body" and not message.get("more_body", False)
            await answer({**message, "more_body": True} if last and unread else message)

        await response(scope, receive, hold)
        if not unread:
            return
        try:
            async with asyncio.timeout(self.caps.linger_seconds):
                async for _ in _parts(receive):
                    pass
        except (TimeoutError, _Gone):
            pass
        await answer({"type": "http.response.body", "body": b"", "more_body": False})

    def _dress(self, headers: MutableHeaders, origin: str) -> None:
        for name, value in SECURITY.items():
            headers[name] = value
        headers.setdefault("cache-control", "no-store")
        if origin and origin in self.settings.origins:
            headers["access-control-allow-origin"] = origin
            headers["access-control-expose-headers"] = "retry-after"
            headers.add_vary_header("Origin")


class _Gone(Exception):
    """The client left before its body had come."""


async def _parts(receive: "Receive") -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        more = message.get("more_body", False)
        yield message.get("body", b"")


def _again(body: bytes, receive: "Receive") -> "Receive":
    """The body once more, then what comes after it: that the client leaves."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> "Message":
        return left.pop() if left else await receive()

    return replay


def check_content(headers: dict[bytes, bytes]) -> None:
    """Refuses what is not said to be plain JSON."""
    kind, _, rest = headers.get(b"content-type", b"").decode("latin-1").lower().partition(";")
    if kind.strip() != "application/json":
        raise Refusal(415, "send the header 'Content-Type: application/json' and a JSON object", code="not_json")
    charset = re.search(r'charset\s*=\s*"?([^";\s]*)', rest)
    if charset and charset[1] not in ("utf-8", "utf8", "us-ascii"):
        raise Refusal(415, "the body must be UTF-8", code="not_json")
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise Refusal(415, "compressed bodies are not read: send it plain", code="compressed_body")


def key_of(authorization: bytes) -> bytes:
    """The key in a header: ``Bearer KEY``, or the password of ``Basic``, which a browser asks its user for."""
    scheme, _, value = authorization.partition(b" ")
    value = value.strip(b" ")
    if scheme.lower() == b"bearer":
        return value
    if scheme.lower() == b"basic":
        try:
            return base64.b64decode(value, validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return b""
    return b""


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens there."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _is_address(name: str) -> bool:
    try:
        return bool(ipaddress.ip_address(name.removeprefix("[").removesuffix("]")))
    except ValueError:
        return False


def host_names(settings: ServeSettings) -> frozenset[str]:
    """What the Host header may say, without the port."""
    bare = settings.host.strip("[]").lower()
    own: Iterable[str] = () if is_loopback(settings.host) else (socket.gethostname().lower(),)
    named = {"localhost", "127.0.0.1", "[::1]", f"[{bare}]" if ":" in bare else bare, *own}
    return frozenset(named | {name.lower() for name in settings.hosts})
