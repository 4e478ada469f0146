"""What the local WeChat remembers of people and calls: users, login codes, planted faults, the journal, the clock."""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
from dataclasses import dataclass

from wechat.sandbox.clock import Clock
from wechat.sandbox.faults import FAULT_KINDS, Fault, Faults
from wechat.sandbox.journal import Journal

__all__ = ["FAULT_KINDS", "Code", "Fault", "State", "User"]

CODE_SECONDS = 300
FIRST_USERS = (
    ("alice", "爱丽丝 · drives an electric car", False),
    ("bob", "小博 · takes the metro", False),
    ("chen", "陈师傅 · clerk in a shop", False),
    ("dana", "丹丹 · works in the office", False),
    ("erin", "依琳 · walks a lot", False),
    ("mallory", "麻老六 · WeChat blocks this login", True),
)


@dataclass(slots=True)
class User:
    """Somebody one can act as. ``account_gone``: WeChat cannot pay refunds out. ``visited`` is business time."""

    name: str
    openid: str
    about: str
    risky: bool
    unionid: str = ""
    phone: str = ""
    session_key: str = ""
    session_until: float = 0.0
    visited: float = 0.0
    account_gone: bool = False


@dataclass(slots=True)
class Code:
    """A code that works once, for five minutes of this WeChat's clock. ``purpose``: login or phone."""

    user: User
    until: float
    purpose: str = "login"
    used: bool = False


class State:
    """Everything that both hosts share. ``appid`` and ``secret`` are what the application must present."""

    def __init__(self, appid: str, secret: str, *, seed: int = 1, beside: State | None = None) -> None:
        """``beside``: another mini-program of the same WeChat; it has the same clock, faults and journal."""
        self.appid, self.secret = appid, secret
        self.clock: Clock = beside.clock if beside else Clock()
        self.users: dict[str, User] = {}
        self.by_openid: dict[str, User] = {}
        self.codes: dict[str, Code] = {}
        self.faults: Faults = beside.faults if beside else Faults(seed)
        self.journal: Journal = beside.journal if beside else Journal()
        self.lock: threading.RLock = beside.lock if beside else threading.RLock()
        self.keep_session_key = self.with_unionid = False
        self.phone_charges = 0
        self._skew = 0.0
        for name, about, risky in FIRST_USERS:
            self.add_user(name, about=about, risky=risky)

    def now(self) -> float:
        """Business time."""
        return self.clock.now()

    @property
    def skew(self) -> float:
        """How far business time was moved by hand; raise it to let codes expire."""
        return self._skew

    @skew.setter
    def skew(self, seconds: float) -> None:
        self.clock.advance(seconds - self._skew)
        self._skew = seconds

    def add_user(self, name: str, *, about: str = "", risky: bool = False) -> User:
        """The user of this name, made when new. The same name has the same openid in every run (per appid)."""
        with self.lock:
            if name not in self.users:
                number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % 10**8
                user = User(name, self._openid(name), about, risky, _name_of("union", name), f"199{number:08d}")
                self.users[name] = self.by_openid[user.openid] = user
            return self.users[name]

    def new_code(self, name: str, purpose: str = "login") -> str | None:
        """A fresh code for a user, as ``wx.login`` would hand to the mini-program. None for an unknown user."""
        with self.lock:
            user = self.users.get(name)
            if user is None:
                return None
            if len(self.codes) > 100_000:
                self.codes = {key: code for key, code in self.codes.items() if code.until > self.now()}
            user.visited = self.now()  # whoever gets a code is in the mini-program
            self.phone_charges += purpose == "phone"
            code = "0" + secrets.token_urlsafe(24)[:31]
            self.codes[code] = Code(user, self.now() + CODE_SECONDS, purpose)
            return code

    def spend(self, code: str) -> tuple[int, User | None]:
        """Use a login code up. Answers WeChat's error number (0 when it was good) and the user."""
        with self.lock:
            found = self.codes.get(code)
            if found is None or found.purpose != "login" or (not found.used and found.until <= self.now()):
                return 40029, None
            if found.used:
                return 40163, None
            found.used = True
            return (40226, None) if found.user.risky else (0, found.user)

    def take_fault(self, path: str, host: str = "api") -> Fault | None:
        """The fault planted for this call, counted down."""
        return self.faults.take(path, host)

    def note(self, path: str, outcome: str, violation: str = "") -> None:
        """Write a call of the mini-program's side into the journal. Values are not kept: a journal is read by people
        and copied into reports."""
        self.journal.add({"at": self.now(), "host": "api", "path": path, "outcome": outcome, "violation": violation})

    def _openid(self, name: str) -> str:
        return _name_of(self.appid, name)


def _name_of(whose: str, name: str) -> str:
    """An openid of an app, or a unionid, which is the same in all apps."""
    digest = hashlib.sha256(f"{whose}/{name}".encode()).digest()
    return "o" + base64.urlsafe_b64encode(digest).decode()[:27]
