"""What the local WeChat remembers: users, login codes, a clock that can be moved, planted faults, a journal."""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

CODE_SECONDS = 300
JOURNAL_LENGTH = 1_000
FAULT_KINDS = ("delay", "busy", "rate", "html", "http500", "empty", "truncated", "reset", "lost_answer", "no_openid")
FIRST_USERS = (
    ("alice", "爱丽丝 · drives an electric car", False),
    ("bob", "小博 · takes the metro", False),
    ("chen", "陈师傅 · clerk in a shop", False),
    ("dana", "丹丹 · works in the office", False),
    ("erin", "依琳 · walks a lot", False),
    ("mallory", "麻老六 · WeChat blocks this login", True),
)


@dataclass(frozen=True, slots=True)
class User:
    """Somebody one can act as."""

    name: str
    openid: str
    about: str
    risky: bool


@dataclass(slots=True)
class Code:
    """A login code: works once, for five minutes of this WeChat's clock."""

    user: User
    until: float
    used: bool = False


@dataclass(slots=True)
class Fault:
    """A planted fault for the next ``times`` calls of a path. ``seconds`` is for ``delay``."""

    path: str
    kind: str
    times: int
    seconds: float = 0.0


@dataclass
class State:
    """Everything, behind one lock. ``appid`` and ``secret`` are what the application must present."""

    appid: str
    secret: str
    skew: float = 0.0
    users: dict[str, User] = field(default_factory=dict)
    codes: dict[str, Code] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    journal: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=JOURNAL_LENGTH))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        for name, about, risky in FIRST_USERS:
            self.add_user(name, about=about, risky=risky)

    def now(self) -> float:
        return time.time() + self.skew

    def add_user(self, name: str, *, about: str = "", risky: bool = False) -> User:
        """The user of this name, made when new. The same name has the same openid in every run (per appid)."""
        with self.lock:
            if name not in self.users:
                self.users[name] = User(name, self._openid(name), about, risky)
            return self.users[name]

    def new_code(self, name: str) -> str | None:
        """A fresh login code for a user, as ``wx.login`` would hand to the mini-program. None for an unknown user."""
        with self.lock:
            user = self.users.get(name)
            if user is None:
                return None
            if len(self.codes) > 100_000:
                self.codes = {key: code for key, code in self.codes.items() if code.until > self.now()}
            code = "0" + secrets.token_urlsafe(24)[:31]
            self.codes[code] = Code(user, self.now() + CODE_SECONDS)
            return code

    def spend(self, code: str) -> tuple[int, User | None]:
        """Use a code up. Answers WeChat's error number (0 when it was good) and the user."""
        with self.lock:
            found = self.codes.get(code)
            if found is None or (not found.used and found.until <= self.now()):
                return 40029, None
            if found.used:
                return 40163, None
            found.used = True
            return (40226, None) if found.user.risky else (0, found.user)

    def take_fault(self, path: str) -> Fault | None:
        """The fault planted for this call, counted down."""
        with self.lock:
            for fault in self.faults:
                if fault.path in (path, "*") and fault.times > 0:
                    fault.times -= 1
                    return fault
            return None

    def note(self, path: str, outcome: str, violation: str = "") -> None:
        """Write a call into the journal. Values are not kept: a journal is read by people and copied into reports."""
        with self.lock:
            self.journal.append({"at": self.now(), "path": path, "outcome": outcome, "violation": violation})

    def _openid(self, name: str) -> str:
        digest = hashlib.sha256(f"{self.appid}/{name}".encode()).digest()
        return "o" + base64.urlsafe_b64encode(digest).decode()[:27]
