"""``stable_token`` and the older ``token``: two families, each with its own rules of renewal."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field
from typing import Any

from wechat.sandbox.mini.calls import MiniCall, MiniRefusal

LIFE_SECONDS, RENEW_SECONDS, OVERLAP_SECONDS = 7200, 300, 300
FORCED_A_DAY, FORCED_APART_SECONDS = 20, 30
LENGTH = 384


@dataclass
class Token:
    """``dead``: superseded or revoked, before its time."""

    until: float
    dead: bool = False


@dataclass
class Tokens:
    """All tokens given out. ``white_list``: addresses allowed to ask; empty allows all."""

    white_list: tuple[str, ...] = ()
    secret_frozen: bool = False
    given: dict[str, Token] = field(default_factory=dict)
    stable: str = ""
    plain: str = ""
    forced: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def check(self, call: MiniCall) -> None:
        """Is the call's ``access_token`` good? Raises MiniRefusal 41001, 40001, 42001."""
        value = call.query("access_token")
        if not value:
            raise MiniRefusal(41001)
        token = self.given.get(value)
        if token is None or token.dead:
            raise MiniRefusal(40001)
        if call.now >= token.until:
            raise MiniRefusal(42001)

    def revoke(self) -> None:
        """As if another party had forced a refresh: what stands is dead, nobody here was told."""
        with self.lock:
            for token in self.given.values():
                token.dead = True
            self.stable = self.plain = ""

    def new(self, now: float) -> str:
        made = f"{secrets.randbelow(100)}_" + secrets.token_urlsafe(LENGTH)[:LENGTH]
        self.given[made] = Token(now + LIFE_SECONDS)
        return made


def stable_token(call: MiniCall) -> dict[str, Any]:
    """``POST /cgi-bin/stable_token``."""
    if call.request.method != "POST":
        raise MiniRefusal(43002)
    content = call.content(41002)
    call.fields(content, "grant_type", "appid", "secret", "force_refresh")
    tokens, now = call.mini.tokens, call.now
    _who(call, content.get("appid"), content.get("secret"), content.get("grant_type"))
    force = content.get("force_refresh", False)
    if not isinstance(force, bool):
        raise MiniRefusal(47001)
    with tokens.lock:
        if force:
            call.violations.append("force_refresh takes the token from every other holder")
            _force(tokens, now)
        standing = tokens.given.get(tokens.stable)
        if standing is None or standing.dead or standing.until - now <= RENEW_SECONDS:
            tokens.stable = tokens.new(now)
        left = int(tokens.given[tokens.stable].until - now)
        return {"access_token": tokens.stable, "expires_in": left}


def _force(tokens: Tokens, now: float) -> None:
    tokens.forced = [at for at in tokens.forced if at > now - 86400]
    if len(tokens.forced) >= FORCED_A_DAY:
        raise MiniRefusal(45009)
    if tokens.forced and now < tokens.forced[-1] + FORCED_APART_SECONDS:
        raise MiniRefusal(45011)
    tokens.forced.append(now)
    if tokens.stable:
        tokens.given[tokens.stable].dead = True


def token(call: MiniCall) -> dict[str, Any]:
    """``GET /cgi-bin/token``: works, but each call takes the token from everybody else. Not for the application."""
    call.violations.append("/cgi-bin/token is not to be used; stable_token is")
    _who(call, call.query("appid"), call.query("secret"), call.query("grant_type"))
    tokens, now = call.mini.tokens, call.now
    with tokens.lock:
        old = tokens.given.get(tokens.plain)
        if old is not None:
            old.until = min(old.until, now + OVERLAP_SECONDS)
        tokens.plain = tokens.new(now)
        return {"access_token": tokens.plain, "expires_in": LIFE_SECONDS}


def _who(call: MiniCall, appid: Any, secret: Any, grant: Any) -> None:
    state, tokens = call.state, call.mini.tokens
    wrong = (
        (41002, not appid),
        (41004, not secret),
        (40002, grant != "client_credential"),
        (40013, appid != state.appid),
        (40164, bool(tokens.white_list) and "127.0.0.1" not in tokens.white_list),
        (40243, tokens.secret_frozen),
        (40125, not secrets.compare_digest(str(secret).encode(), state.secret.encode())),
    )
    for errcode, holds in wrong:
        if holds:
            raise MiniRefusal(errcode)
