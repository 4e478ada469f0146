"""One HTTP exchange with WeChat: pooled connections, a limit on time and size, and no secret in what goes wrong.

Exceptions of HTTP clients carry the address, and with it tokens and codes. So nothing is raised from here: what did not
work comes back as :class:`Silence` with the name of its kind alone, and callers raise their own error outside any
``except`` block, where it has neither cause nor context.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

CONNECT_SECONDS = 3.0
CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, read to its end. ``headers`` ignore case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Silence:
    """No answer that can be used: ``kind`` names the failure (ConnectTimeout, ReadTimeout, TooLarge …)."""

    kind: str

    @property
    def unsent(self) -> bool:
        """True when the peer cannot have seen the request, because no connection came about."""
        return self.kind in ("ConnectTimeout", "NewConnectionError")


def pool(connections: int = 16) -> requests.Session:
    """Connections kept open for as many threads. Proxies and passwords of the environment are not taken over."""
    session = requests.Session()
    session.trust_env = False
    adapter = HTTPAdapter(pool_connections=4, pool_maxsize=connections, max_retries=0)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def send(
    session: requests.Session,
    request: requests.PreparedRequest,
    *,
    read_seconds: float,
    whole_seconds: float,
    largest: int,
    into: BinaryIO | None = None,
    connect_seconds: float = CONNECT_SECONDS,
) -> Answer | Silence:
    """The answer, or why there is none. No redirects.

    ``read_seconds`` limits the wait for the next bytes, ``whole_seconds`` the reading of a body that drips. With
    ``into``, the body of a 200 is written there and ``Answer.body`` stays empty.
    """
    until = time.monotonic() + whole_seconds
    try:
        limits = (connect_seconds, read_seconds)
        with session.send(request, timeout=limits, allow_redirects=False, stream=True) as response:
            whole = bytearray()
            target: _Sink = into if into is not None and response.status_code == 200 else _Bytes(whole)
            failed = _copy(response, target, until=until, largest=largest)
            return failed or Answer(response.status_code, response.headers, bytes(whole))
    except (requests.RequestException, HTTPError, OSError, ValueError) as error:
        return Silence(_kind(error))


class _Sink(Protocol):
    def write(self, data: bytes, /) -> int: ...


class _Bytes:
    def __init__(self, whole: bytearray) -> None:
        self._whole = whole

    def write(self, data: bytes, /) -> int:
        self._whole += data
        return len(data)


def _copy(response: requests.Response, target: _Sink, *, until: float, largest: int) -> Silence | None:
    """Read what arrives, as it arrives: a peer that sends one byte per second does not hold a worker for ever."""
    size = 0
    while chunk := response.raw.read1(CHUNK_BYTES, decode_content=True):
        size += len(chunk)
        if size > largest:
            return Silence("TooLarge")
        if time.monotonic() > until:
            return Silence("TooSlow")
        target.write(chunk)
    return None  # a body that ends before its announced length has raised


def _kind(error: BaseException) -> str:
    """The name of the failure; a refused connection is told apart from one that broke later."""
    name = type(error).__name__
    inner = error.args[0] if error.args else None
    reason = getattr(inner, "reason", None)
    return (
        type(reason).__name__ if name == "ConnectionError" and type(reason).__name__ == "NewConnectionError" else name
    )
