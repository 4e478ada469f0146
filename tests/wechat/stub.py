"""A local HTTP server that answers what a test tells it, keeps what it was asked, and can misbehave."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Asked:
    """One request as it came over the wire: ``target`` is the raw path with its query."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    peer: tuple[str, int]

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query))


@dataclass(frozen=True)
class Reply:
    """What to answer. ``drop`` closes the connection instead; ``cut`` promises more bytes than it sends."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drop: bool = False
    cut: bool = False
    drip: float = 0.0


class Stub:
    """A context: ``with Stub(answer) as stub`` serves on ``stub.base`` until the block ends."""

    def __init__(self, answer: Callable[[Asked], Reply]) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                asked = Asked(self.command, self.path, dict(self.headers), body, self.client_address)
                stub.asked.append(asked)
                _send(self, stub.answer(asked))

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, *words: object) -> None: ...

        class Server(ThreadingHTTPServer):
            request_queue_size = 128

            def handle_error(self, request: object, client_address: object) -> None: ...  # clients that went away

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.base = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> Stub:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()


def _send(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
    if reply.delay:
        time.sleep(reply.delay)
    if reply.drop:
        handler.close_connection = True
        return
    handler.send_response(reply.status)
    for name, value in reply.headers.items():
        handler.send_header(name, value)
    if reply.status != 204:
        handler.send_header("Content-Length", str(len(reply.body) + (100 if reply.cut else 0)))
    handler.end_headers()
    if reply.drip:
        for byte in reply.body:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            time.sleep(reply.drip)
    else:
        handler.wfile.write(reply.body)
    if reply.cut:
        handler.close_connection = True


def dead_base() -> str:
    """An address on which nobody listens."""
    with Stub(lambda asked: Reply()) as stub:
        return stub.base
