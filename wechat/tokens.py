"""The access token: one for all processes, fetched under a lock, never forced.

Its truth is in Redis, so that sixteen cold workers make one call. Without Redis every process asks by itself, which is
safe, because ``stable_token`` in normal mode gives everybody the same token, only less economical.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from typing import Any

import redis

from wechat.errors import Busy, StaleToken, WeChatError, WeChatUnavailable

LOCK_SECONDS = 20  # longer than the token call may take
WAIT_SECONDS = 10.0
POLL_SECONDS = 0.05
EARLY_SECONDS = 300  # the platform renews five minutes before the end; then both tokens work
SHORT_SECONDS = 30
MEMORY_SECONDS = 60
FAILED_SECONDS = 2  # who waited behind a failed fetch does not try again at once
LONGEST_TOKEN = 2048
REDIS_DOWN = (redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError, redis.ReadOnlyError)
_RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"


class Tokens:
    """The token of one mini-program. ``fetch`` makes the call and answers WeChat's object, or raises WeChatError."""

    def __init__(self, *, appid: str, store: redis.Redis | None, fetch: Callable[[], dict[str, Any]]) -> None:
        self._store, self._fetch = store, fetch
        self._key = f"wx:{appid}:token"
        self._lock, self._failed = f"{self._key}-lock", f"{self._key}-failed"
        self._mutex = threading.Lock()
        self._memory: tuple[str, float] | None = None

    def get(self) -> str:
        """A token that should work. Raises WeChatError as the token call does."""
        return self._current(stale=None)

    def after(self, stale: str) -> str:
        """Another token than the one that was just refused. Raises StaleToken when there is none."""
        found = self._current(stale=stale)
        if found == stale:
            raise StaleToken("token: the one that was refused is still the newest")
        return found

    def _current(self, *, stale: str | None) -> str:
        if self._store is None:
            return self._alone(stale)
        try:
            return self._shared(self._store, stale)
        except REDIS_DOWN:
            pass
        return self._alone(stale)

    def _shared(self, store: redis.Redis, stale: str | None) -> str:
        until, mine = time.monotonic() + WAIT_SECONDS, secrets.token_hex(16)
        while True:
            found = self._stored(store, stale)
            if found is not None:
                return found
            if store.set(self._lock, mine, nx=True, ex=LOCK_SECONDS):
                break
            if time.monotonic() > until:
                raise Busy("token: somebody else is fetching it")
            time.sleep(POLL_SECONDS)
        try:
            # Whoever held the lock before may have stored a token since we looked.
            return self._stored(store, stale) or self._renewed(store)
        finally:
            _quietly(lambda: store.eval(_RELEASE, 1, self._lock, mine))

    def _stored(self, store: redis.Redis, stale: str | None) -> str | None:
        """The stored token unless it is the stale one. Raises what a fetch failed with a moment ago."""
        token, failed = store.mget(self._key, self._failed)
        found = _text(token)
        if found and found != stale:
            return found
        if failed is not None:
            raise WeChatUnavailable("token", "FailedJustNow")
        return None

    def _renewed(self, store: redis.Redis) -> str:
        try:
            token, seconds = self._fetched()
        except WeChatError:
            _quietly(lambda: store.set(self._failed, "1", ex=FAILED_SECONDS))
            raise
        self._memory = (token, time.monotonic() + min(seconds, MEMORY_SECONDS))
        _quietly(lambda: store.set(self._key, token, ex=seconds))
        return token

    def _alone(self, stale: str | None) -> str:
        """Without Redis: this process's own token, kept for a short time."""
        with self._mutex:
            token, until = self._memory or ("", 0.0)
            if token and token != stale and time.monotonic() < until:
                return token
            token, seconds = self._fetched()
            self._memory = (token, time.monotonic() + min(seconds, MEMORY_SECONDS))
            return token

    def _fetched(self) -> tuple[str, int]:
        answer = self._fetch()
        token, expires_in = answer.get("access_token"), answer.get("expires_in")
        if not isinstance(token, str) or not 0 < len(token) <= LONGEST_TOKEN or type(expires_in) is not int:
            raise WeChatUnavailable("token", "NoToken")
        return token, max(expires_in - EARLY_SECONDS, 0) if expires_in > EARLY_SECONDS + 60 else SHORT_SECONDS


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""


def _quietly(act: Callable[[], object]) -> None:
    """Redis may go away in the middle; the token in our hands is good all the same."""
    try:
        act()
    except redis.RedisError:
        return
