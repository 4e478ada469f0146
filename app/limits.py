"""Rate limits on Redis: a fixed window per name and subject, in one trip (Lua).

Comfort limits fail open, money and code-guessing limits fail closed; both are counted by the caller's metrics hook.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app import cache
from app.errors import BUSY, TOO_MANY

_TAKE = """
local n = redis.call('INCRBY', KEYS[1], ARGV[2])
if n == tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return {n, redis.call('PTTL', KEYS[1])}
"""

on_limiter_down: list[Callable[[str, bool], None]] = []


@dataclass(frozen=True, slots=True)
class Limit:
    """``most`` takes per ``seconds``. ``closed`` limits refuse when Redis can't be reached."""

    name: str
    most: int
    seconds: int
    closed: bool = False


SIGN_IN = Limit("sign-in", 10, 60)
CITIZEN = Limit("citizen", 300, 60)
PARTNER = Limit("partner", 3_000, 60)
WRONG_CODE = Limit("wrong-code", 10, 600, closed=True)
EXPORT = Limit("export", 3, 3_600)


def take(limit: Limit, subject: str, cost: int = 1) -> None:
    """Count one use. Raises TOO_MANY with ``retry_after`` seconds, or BUSY when a closed limit can't be counted."""
    used, wait_ms = _count(limit, subject, cost)
    if used > limit.most:
        raise TOO_MANY(retry_after=max(1, -(-wait_ms // 1000)), limit=limit.name)


def check(limit: Limit, subject: str) -> None:
    """Refuse when the limit is reached, without counting a use: for limits that count failures only."""
    used, wait_ms = _count(limit, subject, 0)
    if used >= limit.most:
        raise TOO_MANY(retry_after=max(1, -(-wait_ms // 1000)), limit=limit.name)


def _count(limit: Limit, subject: str, cost: int) -> tuple[int, int]:
    try:
        client = cache.client()
        script = client.register_script(_TAKE)
        used, wait_ms = script(keys=[f"limit:{limit.name}:{{{subject}}}"], args=[limit.seconds * 1000, cost])
        return int(used), int(wait_ms)
    except cache.REDIS_DOWN as error:
        for hook in on_limiter_down:
            hook(limit.name, limit.closed)
        if limit.closed:
            raise BUSY(retry_after=5) from error
        return 0, 0
