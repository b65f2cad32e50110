"""A hub on this machine: the part of the Hugging Face hub's protocol by which models are described and fetched.

``/api/models/ID/revision/REV`` tells commit and files; ``/ID/resolve/REV/FILE`` gives one, by HEAD its size, ETag and
commit, by GET its bytes, from any place on. Errors carry ``X-Error-Code``, as the hub's do.
"""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

TOKEN = "hf_secret"


@dataclass
class Repository:
    """``gated``: its files want a token; ``revisions``: further names of its one commit."""

    files: dict[str, bytes]
    gated: bool = False
    revisions: tuple[str, ...] = ("main",)

    @cached_property
    def sha(self) -> str:
        return hashlib.sha1(b"".join(name.encode() + data for name, data in sorted(self.files.items()))).hexdigest()


@dataclass
class Hub:
    """What it holds, what it was asked, and what shall go wrong: ``break_after``, bytes of the next large answer."""

    address: str
    repositories: dict[str, Repository] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)  # "GET org/name/config.json", also with " from 100"
    break_after: int | None = None
    failing: int | None = None  # a status for every answer


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = unquote(self.path.partition("?")[0])
            if hub.failing is not None:
                hub.asked.append(f"{self.command} {path}")
                return self.answer(hub.failing, b"broken")
            if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/(.+)", path):
                return self.describe(*found.groups())
            if found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
                return self.give(*found.groups())
            hub.asked.append(f"{self.command} {path}")
            return self.answer(404, b"")

        def repository(self, name: str, revision: str) -> Repository | None:
            """None: it is refused already."""
            repository = hub.repositories.get(name)
            if repository is None:
                self.answer(401, b"", {"X-Error-Message": "Invalid username or password."})
            elif revision not in (repository.sha, *repository.revisions):
                self.answer(404, b"", {"X-Error-Code": "RevisionNotFound"})
                return None
            return repository

        def describe(self, name: str, revision: str) -> None:
            hub.asked.append(f"{self.command} {name}@{revision}")
            repository = self.repository(name, revision)
            if repository is None:
                return
            files = [{"rfilename": n, "size": len(d), "blobId": etag(d)} for n, d in repository.files.items()]
            about = {"_id": "1", "id": name, "modelId": name, "sha": repository.sha, "siblings": files}
            self.answer(200, json.dumps(about).encode(), {"Content-Type": "application/json"})

        def give(self, name: str, revision: str, file: str) -> None:
            asked = self.headers.get("Range")
            start = int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0
            hub.asked.append(f"{self.command} {name}/{file}" + (f" from {start}" if start else ""))
            repository = self.repository(name, revision)
            if repository is None:
                return
            commit = {"X-Repo-Commit": repository.sha}
            if repository.gated and self.headers.get("Authorization") != f"Bearer {TOKEN}":
                return self.answer(403, b"", {**commit, "X-Error-Code": "GatedRepo", "X-Error-Message": "Ask."})
            data = repository.files.get(file)
            if data is None:
                return self.answer(404, b"", {**commit, "X-Error-Code": "EntryNotFound"})
            headers = {**commit, "ETag": f'"{etag(data)}"', "Accept-Ranges": "bytes"}
            if asked:
                headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            return self.answer(206 if asked else 200, data[start:], headers)

        def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "HEAD":
                return
            most = hub.break_after
            if most is not None and len(body) > most:
                hub.break_after = None
                self.wfile.write(body[:most])
                self.wfile.flush()
                self.close_connection = True
                self.connection.close()
            else:
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    return Handler


@cache
def etag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@contextmanager
def running_hub() -> Iterator[Hub]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    hub = Hub(f"http://127.0.0.1:{server.server_port}")
    server.RequestHandlerClass = _handler(hub)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
