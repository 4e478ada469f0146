"""HTTP as bytes: what came in, what goes out, and lines that are cut on purpose."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

LARGEST_BODY = 12 * 1024 * 1024


@dataclass(frozen=True)
class Request:
    """One call as it arrived. ``target`` is the raw path with its query; ``body`` the raw bytes."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    host: str = ""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(self.target.partition("?")[2], keep_blank_values=True)


@dataclass
class Answer:
    """What goes out. ``cut``: "all" closes the line without a byte, "half" after half of the body, "reset" with RST."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: str = ""


App = Callable[[Request], Answer]


class Host(ThreadingHTTPServer):
    """One listening address on loopback. It can be broken (nobody listens) and mended on the same port."""

    daemon_threads = True
    request_queue_size = 256
    allow_reuse_address = True

    def __init__(self, port: int, app: App, name: str = "") -> None:
        self.app, self.name = app, name
        self._loop: threading.Thread | None = None
        self._lines: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), Handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Serve in a thread of this process."""
        self._loop = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.02}, name=self.name, daemon=True
        )
        self._loop.start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        for line in list(self._lines):
            _close(line)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._lines.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._lines.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is no news."""


class Handler(BaseHTTPRequestHandler):
    """Reads a request whole, asks the app, writes the answer in one piece."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60
    server: Host

    def log_message(self, *_: object) -> None:
        """Silent: the request line may carry a secret. The journal tells what happened."""

    def _serve(self) -> None:
        body = self._body()
        if body is None:
            self.close_connection = True
            self._write(Answer(413, b"body too large or without length"))
            return
        headers: Any = self.headers
        request = Request(self.command, self.path, headers, body, self.server.name)
        self._write(self.server.app(request))

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_OPTIONS = _serve  # noqa: N815 - http.server's names

    def _body(self) -> bytes | None:
        if self.headers.get("Transfer-Encoding"):
            return None
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            return None
        return self.rfile.read(length) if 0 <= length <= LARGEST_BODY else None

    def _write(self, answer: Answer) -> None:
        if answer.cut in ("all", "reset"):
            self.close_connection = True
            if answer.cut == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        phrase = HTTPStatus(answer.status).phrase if answer.status in HTTPStatus._value2member_map_ else ""
        head = [f"HTTP/1.1 {answer.status} {phrase}", "Server: LocalWeChat"]
        head += [f"{name}: {value}" for name, value in answer.headers.items()]
        if answer.status != 204:
            head.append(f"Content-Length: {len(answer.body)}")
        body = answer.body if self.command != "HEAD" and answer.status != 204 else b""
        if answer.cut == "half":
            self.close_connection = True
            body = body[: len(body) // 2]
        self.wfile.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)


def _close(line: socket.socket) -> None:
    try:
        line.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
