"""Who is calling: a token becomes a login, in one trip to Redis together with the rate limit.

The truth is in PostgreSQL; Redis holds a copy for at most a minute. A revoked session leaves a tombstone for longer
than that, so that a reader who had looked just before the revocation can't put the old answer back. A flushed or dead
Redis costs one SQL statement per request and lets nobody in who is out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache as once
from typing import Any

from redis.exceptions import NoScriptError
from sqlalchemy import text

from app import cache, limits
from app.db import connection, read
from app.errors import TOO_MANY
from app.people.sign_in import token_hash

CACHE_SECONDS = 60
TOMBSTONE = b"-"
MOST_OWNERS = 20_000
_LOOK = """
local s = redis.call('GET', KEYS[1])
if not s or s == '-' then return {s or '', 0, 0} end
local n = redis.call('INCR', KEYS[2])
if n == 1 then redis.call('PEXPIRE', KEYS[2], ARGV[1]) end
if n > tonumber(ARGV[2]) then return {s, n, redis.call('PTTL', KEYS[2])} end
return {s, n, 0}
"""
_KEEP = """
redis.call('SET', KEYS[1], ARGV[3], 'NX', 'EX', ARGV[4])
local n = redis.call('INCR', KEYS[2])
if n == 1 then redis.call('PEXPIRE', KEYS[2], ARGV[1]) end
return {n, redis.call('PTTL', KEYS[2])}
"""
_TRUTH = (
    "select p.id as person_id, s.id, s.epoch, s.expires_at from sessions s join persons p on p.id = s.person_id"
    " where s.token_hash = %(hash)s and s.revoked_at is null and s.expires_at > %(at)s"
    " and s.epoch = p.epoch and p.state = 'active'"
)
_STAND = (
    "select s.id from sessions s join persons p on p.id = s.person_id"
    " where s.id = any (%(ids)s::bigint[]) and s.revoked_at is null and s.expires_at > %(at)s"
    " and s.epoch = p.epoch and p.state = 'active'"
)


@dataclass(frozen=True, slots=True)
class Login:
    """A verified login. ``by_truth``: PostgreSQL said so in this request, not a copy of a minute ago."""

    person_id: int
    session_id: int
    epoch: int
    expires_at: datetime
    by_truth: bool = False


_owners: dict[bytes, Login] = {}


def check(token: str, *, at: datetime, limit: limits.Limit = limits.CITIZEN) -> Login | None:
    """The login behind a token, None when there is none. Counts one use of ``limit`` for it; raises TOO_MANY.

    At most two trips to Redis and one SQL statement; one trip and none when the copy is there.
    """
    digest = token_hash(token)
    keys, window = _keys(digest, limit), (limit.seconds * 1000, limit.most)
    try:
        reply = _run(_LOOK, keys, window)
    except cache.REDIS_DOWN:
        _limiter_down(limit)
        return _truth(digest, at)
    return _judged(reply, digest, at, limit)


def check_ahead(
    token: str, *, at: datetime, limit: limits.Limit, judge: Callable[[Login | None], None], at_once: bool = False
) -> Login | None:
    """Whose token it is, when this process has seen it before: a token is one person's for good, only whether it still
    holds can change. That question goes to Redis with the next command of this request, in one trip; ``judge`` hears
    the answer of :func:`check` and raises when nobody is logged in. For reads that are thrown away then.

    None when the token is new here: ask :func:`check`.
    """
    digest = token_hash(token)
    owner = _owners.get(digest)
    if owner is None:
        return None
    keys, window = _keys(digest, limit), (limit.seconds * 1000, limit.most)

    def settle(reply: Any) -> None:
        if isinstance(reply, NoScriptError):
            judge(check(token, at=at, limit=limit))
        elif isinstance(reply, Exception):
            if not isinstance(reply, cache.REDIS_DOWN):
                raise reply
            _limiter_down(limit)
            judge(_truth(digest, at))
        else:
            judge(_judged(reply, digest, at, limit))

    cache.ahead(("EVALSHA", _sha(_LOOK), len(keys), *keys, *window), settle, at_once=at_once)
    return owner


def _judged(reply: Any, digest: bytes, at: datetime, limit: limits.Limit) -> Login | None:
    kept, used, wait_ms = reply
    if used > limit.most:
        raise TOO_MANY(retry_after=max(1, -(-wait_ms // 1000)), limit=limit.name)
    login = _unpack(kept)
    if login is None:
        login = _truth(digest, at)
        if login is not None:
            _keep(_keys(digest, limit), (limit.seconds * 1000, limit.most), login, at, limit)
    if login is None or login.expires_at <= at:
        return None
    if len(_owners) >= MOST_OWNERS:
        _owners.clear()
    _owners[digest] = login
    return login


def stands(login: Login, *, at: datetime) -> bool:
    """Whether a login holds by PostgreSQL itself, now: asked before rights or money move."""
    return bool(standing([login], at=at))


def standing(logins: Iterable[Login], *, at: datetime) -> set[int]:
    """The sessions that hold by PostgreSQL itself, of many at once."""
    return {row.id for row in read(_STAND, {"ids": [login.session_id for login in logins], "at": at})}


def evict(hashes: Iterable[bytes]) -> None:
    """Forget revoked sessions at once; the edge calls it after its commit. Without Redis there is nothing to forget."""
    try:
        with cache.client().pipeline(transaction=False) as pipe:
            for digest in hashes:
                pipe.set(_keys(digest, limits.CITIZEN)[0], TOMBSTONE, ex=2 * CACHE_SECONDS)
            pipe.execute()
    except cache.REDIS_DOWN:
        _limiter_down(limits.CITIZEN)


def prolong(login: Login, *, at: datetime, session_days: int) -> None:
    """Let a session that is used live on: once a day its end moves to ``session_days`` from now."""
    until = at + timedelta(days=session_days)
    statement = text(
        "update sessions set expires_at = :until where id = :id and expires_at < :until - interval '1 day'"
    )
    connection().execute(statement, {"id": login.session_id, "until": until})


def _truth(digest: bytes, at: datetime) -> Login | None:
    rows = read(_TRUTH, {"hash": digest, "at": at})
    if not rows:
        return None
    found = rows[0]
    return Login(found.person_id, found.id, found.epoch, found.expires_at.astimezone(UTC), by_truth=True)


def _keep(keys: list[str], window: tuple[int, int], login: Login, at: datetime, limit: limits.Limit) -> None:
    left = int((login.expires_at - at).total_seconds())
    value = f"{login.person_id}:{login.session_id}:{login.epoch}:{login.expires_at.timestamp():.6f}"
    try:
        used, wait_ms = _run(_KEEP, keys, (*window, value, max(1, min(CACHE_SECONDS, left))))
    except cache.REDIS_DOWN:
        _limiter_down(limit)
        return
    if used > limit.most:
        raise TOO_MANY(retry_after=max(1, -(-wait_ms // 1000)), limit=limit.name)


def _unpack(kept: bytes) -> Login | None:
    if not kept or kept == TOMBSTONE:
        return None
    person_id, session_id, epoch, until = kept.split(b":")
    return Login(int(person_id), int(session_id), int(epoch), datetime.fromtimestamp(float(until), UTC))


def _keys(digest: bytes, limit: limits.Limit) -> list[str]:
    """Both keys carry one hash tag, so that one script may touch them on a cluster."""
    tag = digest.hex()[:40]
    return [f"session:{{{tag}}}", f"limit:{limit.name}:{{{tag}}}"]


def _run(script: str, keys: list[str], arguments: tuple[Any, ...]) -> Any:
    try:
        return cache.call("EVALSHA", _sha(script), len(keys), *keys, *arguments)
    except NoScriptError:
        return cache.call("EVAL", script, len(keys), *keys, *arguments)


@once
def _sha(script: str) -> str:
    return hashlib.sha1(script.encode()).hexdigest()  # noqa: S324 - Redis names scripts by SHA-1


def _limiter_down(limit: limits.Limit) -> None:
    for hook in limits.on_limiter_down:
        hook(limit.name, limit.closed)
