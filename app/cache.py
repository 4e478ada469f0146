"""Redis: one client per process. It holds rankings, rate limits and short caches, and nothing that can't be rebuilt.

Comfort fails open, money and code-guessing fail closed: callers say which by catching :data:`REDIS_DOWN` or not.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import redis
from hiredis import pack_command
from redis.backoff import NoBackoff
from redis.retry import Retry

REDIS_DOWN = (redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError, redis.ReadOnlyError)
_client: redis.Redis | None = None
HUNG_SECONDS = 1.0
Words = tuple[str | bytes | int | float, ...]
_own = threading.local()
_hung_until = 0.0


def connect(url: str) -> redis.Redis:
    """Set up the client; called once by the factory. Short time-outs: a slow Redis must not hold a worker."""
    global _client, _hung_until
    _hung_until = 0.0
    _client = redis.Redis.from_url(
        url, socket_timeout=0.5, socket_connect_timeout=0.25, retry=Retry(NoBackoff(), 0), health_check_interval=30
    )
    return _client


def call(*words: str | bytes | int | float) -> Any:
    """One command on a connection that this thread keeps: a third cheaper than through the client's pool.

    For what every request asks. Raises as the client does. A connection that the server closed meanwhile is opened
    anew, once; so a command may run twice, and only ones that don't mind come this way. After a time-out nobody in
    this process asks for a second: a Redis that hangs must not make every request wait for it.
    """
    waiting, _own.ahead = getattr(_own, "ahead", None), None
    if waiting is None:
        (reply,) = _answers([words])
    else:
        first, reply = _answers([waiting[0], words], sent=waiting[2])
        waiting[1](first)
    if isinstance(reply, Exception):
        raise reply
    return reply


def ahead(words: Words, settle: Callable[[Any], None], *, at_once: bool = False) -> None:
    """Send a command with the next :func:`call` of this thread, in one trip; ``at_once`` when no such call is expected:
    then Redis works while we do. ``settle`` gets its reply, or the exception that came instead, and may raise: then the
    call's own reply is not given out. Whoever calls this makes sure that :func:`settle_ahead` follows."""
    _own.ahead = (words, settle, int(at_once and _sent(words)))


def settle_ahead() -> None:
    """Send what still waits for a call that did not come."""
    waiting, _own.ahead = getattr(_own, "ahead", None), None
    if waiting is not None:
        waiting[1](_answers([waiting[0]], sent=waiting[2])[0])


def _sent(words: Words) -> bool:
    """Send a command whose reply is read later; False when it has to be sent with that reading."""
    if time.monotonic() < _hung_until:
        return False
    try:
        _connection().send_packed_command([pack_command(words)], check_health=False)  # type: ignore[arg-type]
    except redis.RedisError:
        return False
    return True


def _answers(commands: list[Words], *, sent: int = 0) -> list[Any]:
    """One trip; the reply to each command, or the exception that came instead. The first ``sent`` are on their way."""
    global _hung_until
    if time.monotonic() < _hung_until:
        return [redis.TimeoutError("Redis did not answer a moment ago")] * len(commands)
    try:
        return _exchange(commands, sent)
    except redis.TimeoutError as error:
        _hung_until = time.monotonic() + HUNG_SECONDS
        return [error] * len(commands)
    except redis.RedisError as error:
        return [error] * len(commands)


def _exchange(commands: list[Words], sent: int) -> list[Any]:
    connection = _connection()
    was_open = connection.is_connected
    try:
        return _trip(connection, commands, sent)
    except redis.ConnectionError:
        if not (was_open or sent):
            raise
    return _trip(connection, commands, 0)


def _connection() -> Any:
    """This thread's own."""
    if getattr(_own, "client", None) is not _client:
        _own.client, _own.connection = _client, client().connection_pool.make_connection()
    return _own.connection


def _trip(connection: Any, commands: list[Words], sent: int) -> list[Any]:
    packed = [pack_command(words) for words in commands[sent:]]  # type: ignore[arg-type]  # its stub knows tuples of one
    if packed:
        connection.send_packed_command([b"".join(packed)], check_health=False)
    replies = []
    for _ in commands:
        try:
            replies.append(connection.read_response())
        except redis.ResponseError as refused:
            replies.append(refused)
    return replies


def client() -> redis.Redis:
    if _client is None:
        raise RuntimeError("cache.connect() comes first")
    return _client
