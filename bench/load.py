"""A small HTTP load generator: one thread, many keep-alive connections, prepared bytes; cheap, so the server shows."""

from __future__ import annotations

import selectors
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

END_OF_HEAD = b"\r\n\r\n"


@dataclass
class Connection:
    """One keep-alive connection with one request under way."""

    sock: socket.socket
    number: int
    sent_at: float = 0.0
    buffer: bytearray = field(default_factory=bytearray)


@dataclass(frozen=True)
class Load:
    """What a run showed. `statuses` counts every answer; a rate with unexpected ones in it means nothing."""

    per_second: float
    p50_ms: float
    p99_ms: float
    statuses: Mapping[int, int]


def http_request(
    method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"", host: str = "bench"
) -> bytes:
    """The bytes of one request."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body or method in ("POST", "PUT"):
        lines += [f"Content-Length: {len(body)}", "Content-Type: application/json"]
    return "\r\n".join(lines).encode() + END_OF_HEAD + body


def run(
    address: tuple[str, int],
    make: Callable[[int], bytes],
    *,
    seconds: float,
    connections: int = 16,
    most: int | None = None,
) -> Load:
    """Send requests for some seconds, or until ``most`` are answered; `make(n)` gives the n-th.

    Raises OSError when the server goes away.
    """
    chooser = selectors.DefaultSelector()
    for number in range(connections):
        sock = socket.create_connection(address, timeout=10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        chooser.register(sock, selectors.EVENT_READ, Connection(sock, number))
    statuses: Counter[int] = Counter()
    times: list[float] = []
    sent = 0
    began = time.perf_counter()
    for key in list(chooser.get_map().values()):
        _send(key.data, make(sent))
        sent += 1
    while (now := time.perf_counter()) - began < seconds and len(times) != most:
        for key, _ in chooser.select(timeout=10):
            connection: Connection = key.data
            status = _receive(connection)
            if status is None:
                continue
            now = time.perf_counter()
            times.append(now - connection.sent_at)
            statuses[status] += 1
            if most is None or sent < most:
                _send(connection, make(sent))
                sent += 1
    took = time.perf_counter() - began
    for key in list(chooser.get_map().values()):
        key.data.sock.close()
    chooser.close()
    times.sort()
    at = lambda share: times[min(len(times) - 1, int(len(times) * share))] * 1000 if times else 0.0  # noqa: E731
    return Load(len(times) / took, at(0.5), at(0.99), dict(statuses))


def _send(connection: Connection, data: bytes) -> None:
    connection.sent_at = time.perf_counter()
    connection.sock.sendall(data)


def _receive(connection: Connection) -> int | None:
    """The status of a whole answer, or None while it is still coming."""
    got = connection.sock.recv(262_144)
    if not got:
        raise ConnectionError("the server closed a connection")
    buffer = connection.buffer
    buffer += got
    head_end = buffer.find(END_OF_HEAD)
    if head_end < 0:
        return None
    head = bytes(buffer[:head_end]).lower()
    mark = head.find(b"content-length:")
    length = int(head[mark + 15 :].split(b"\r\n", 1)[0]) if mark >= 0 else 0
    if len(buffer) < head_end + len(END_OF_HEAD) + length:
        return None
    buffer.clear()
    return int(head[9:12])
