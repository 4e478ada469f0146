"""Redis: one client per process. It holds rankings, rate limits and short caches, and nothing that can't be rebuilt.

Comfort fails open, money and code-guessing fail closed: callers say which by catching :data:`REDIS_DOWN` or not.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

REDIS_DOWN = (redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError, redis.ReadOnlyError)
_client: redis.Redis | None = None
HUNG_SECONDS = 1.0
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
    global _hung_until
    if time.monotonic() < _hung_until:
        raise redis.TimeoutError("Redis did not answer a moment ago")
    try:
        return _exchange(words)
    except redis.TimeoutError:
        _hung_until = time.monotonic() + HUNG_SECONDS
        raise


def _exchange(words: tuple[str | bytes | int | float, ...]) -> Any:
    if getattr(_own, "client", None) is not _client:
        _own.client, _own.connection = _client, client().connection_pool.make_connection()
    connection = _own.connection
    was_open = connection.is_connected
    try:
        connection.send_command(*words, check_health=False)
        return connection.read_response()
    except redis.ConnectionError:
        if not was_open:
            raise
    connection.send_command(*words, check_health=False)
    return connection.read_response()


def client() -> redis.Redis:
    if _client is None:
        raise RuntimeError("cache.connect() comes first")
    return _client
