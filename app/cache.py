"""Redis: one client per process. It holds rankings, rate limits and short caches, and nothing that can't be rebuilt.

Comfort fails open, money and code-guessing fail closed: callers say which by catching :data:`REDIS_DOWN` or not.
"""

from __future__ import annotations

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

REDIS_DOWN = (redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError, redis.ReadOnlyError)
_client: redis.Redis | None = None


def connect(url: str) -> redis.Redis:
    """Set up the client; called once by the factory. Short time-outs: a slow Redis must not hold a worker."""
    global _client
    _client = redis.Redis.from_url(
        url, socket_timeout=0.5, socket_connect_timeout=0.25, retry=Retry(NoBackoff(), 0), health_check_interval=30
    )
    return _client


def client() -> redis.Redis:
    if _client is None:
        raise RuntimeError("cache.connect() comes first")
    return _client
