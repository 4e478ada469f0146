"""Rate limits on Redis: a fixed window per name and subject, in one trip (Lua).

Comfort limits fail open, money and code-guessing limits fail closed; both are counted by the caller's metrics hook.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


def check_all(limit: Limit, subjects: Sequence[str]) -> None:
    """:func:`check` for several subjects in one trip; they were counted by :func:`take_all`."""
    try:
        counts = cache.call("MGET", *(_together(limit, subject) for subject in subjects))
    except cache.REDIS_DOWN as error:
        _down(limit, error)
        return
    if any(int(count or 0) >= limit.most for count in counts):
        full = [subject for subject, count in zip(subjects, counts, strict=True) if int(count or 0) >= limit.most]
        wait_ms = max(int(cache.client().pttl(_together(limit, subject))) for subject in full)
        raise TOO_MANY(retry_after=max(1, -(-wait_ms // 1000)), limit=limit.name)


def take_all(limit: Limit, subjects: Sequence[str]) -> list[int]:
    """Count one use for each subject; answers how many each has now. Raises BUSY when a closed limit can't count."""
    try:
        script = cache.client().register_script(_TAKE)
        keys = [_together(limit, subject) for subject in subjects]
        return [int(script(keys=[key], args=[limit.seconds * 1000, 1])[0]) for key in keys]
    except cache.REDIS_DOWN as error:
        _down(limit, error)
        return [0] * len(subjects)


def _together(limit: Limit, subject: str) -> str:
    """All subjects of such a limit carry one hash tag, so that one command reads them on a cluster."""
    return f"limit:{{{limit.name}}}:{subject}"


def _down(limit: Limit, error: Exception) -> None:
    for hook in on_limiter_down:
        hook(limit.name, limit.closed)
    if limit.closed:
        raise BUSY(retry_after=5) from error


def _count(limit: Limit, subject: str, cost: int) -> tuple[int, int]:
    try:
        client = cache.client()
        script = client.register_script(_TAKE)
        used, wait_ms = script(keys=[f"limit:{limit.name}:{{{subject}}}"], args=[limit.seconds * 1000, cost])
        return int(used), int(wait_ms)
    except cache.REDIS_DOWN as error:
        _down(limit, error)
        return 0, 0
