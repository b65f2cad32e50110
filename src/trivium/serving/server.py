"""``trivium serve``: the models opened, a socket bound, and uvicorn run until it is told to stop.

On SIGTERM and Ctrl-C nothing new is taken, and what is being answered has ``ServeSettings.drain`` seconds to end.
"""

import logging
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trivium.errors import SettingsError
from trivium.extras import extra_module
from trivium.serving.settings import ServeSettings
from trivium.training.allocator import share_one_heap

if TYPE_CHECKING:
    from trivium.verbs.load import Precision

_NEED = "serving needs fastapi, uvicorn and httptools"


def serve(
    models: str | Path | Sequence[str | Path] = (), *, adapters: Sequence[str] = (),
    settings: ServeSettings = ServeSettings(), precision: "Precision" = "float32",  # noqa: B008 (frozen)
    device: str = "auto", ready: Callable[[str], None] | None = None,
) -> None:  # fmt: skip
    """Serves models until the process is told to stop. ``models``: each what ``load`` takes, or ``NAME=`` before it;
    ``adapters``: each ``NAME=DIR``. ``ready`` is given the address once it answers; if not given, it is printed."""
    for module in ("fastapi", "httptools"):
        extra_module(module, "serve", _NEED)
    uvicorn = extra_module("uvicorn", "serve", _NEED)
    check_exposure(settings)
    from trivium.serving.app import application
    from trivium.serving.connections import connection_class
    from trivium.serving.opening import open_house

    share_one_heap()
    with bound(settings) as listening:
        given = [models] if isinstance(models, str | Path) else list(models)
        house = open_house(given, adapters, settings, precision=precision, device=device)
        address = url(listening)
        config = uvicorn.Config(
            application(house), http=connection_class(settings.caps), ws="none", lifespan="on",
            log_level="warning", access_log=False, server_header=False, proxy_headers=False,
            timeout_graceful_shutdown=int(settings.drain) + 2,
        )  # fmt: skip

        class Draining(uvicorn.Server):  # type: ignore[name-defined]
            """Tells the address once it answers, and the scheduler when it is to end."""

            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets=sockets)
                if self.started:
                    (ready or _printed)(address)

            async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
                house.scheduler.close(settings.drain)
                await super().shutdown(sockets=sockets)

        _run(Draining(config), listening)


def check_exposure(settings: ServeSettings) -> None:
    """Refuses to be open to others without a key."""
    from trivium.serving.guard import is_loopback

    if settings.keys or settings.insecure or is_loopback(settings.host):
        return
    raise SettingsError(
        f"--host {settings.host} is open to other machines, and no key is asked for: give one with --key-file or "
        "TRIVIUM_KEY, or say --insecure"
    )


def bound(settings: ServeSettings) -> socket.socket:
    """A socket that listens, bound before models are loaded: a port that is taken is known at once."""
    try:
        family, kind, number, _, place = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        made = socket.socket(family, kind, number)
    except OSError as problem:
        raise SettingsError(f"--host {settings.host} is no address of this machine: {problem.strerror}") from None
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind(place)
    except OSError as problem:
        made.close()
        raise SettingsError(
            f"port {settings.port} of {settings.host} cannot be had ({problem.strerror}): choose another with --port, "
            "or 0 for any"
        ) from None
    return made


def url(listening: socket.socket) -> str:
    """Where it is found."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _printed(address: str) -> None:
    print(f"trivium serves at {address}", file=sys.stderr, flush=True)


def _run(server: Any, listening: socket.socket) -> None:
    """Until a signal; uvicorn raises it again at its end, when all is done and there is nothing left to stop."""
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    former = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        server.run(sockets=[listening])
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
