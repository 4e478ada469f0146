"""Planted faults: which call they hit, and the answers that every host can spoil in the same way."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from wechat.sandbox.wire import Answer

BEFORE = (
    "reset",
    "html",
    "http500",
    "http502",
    "http503",
    "rate",
    "busy",
    "system_error",
    "quota",
    "no_openid",
    "errcode",
    "bad_token",
    "expired_token",
    "token_revoked",
)
AFTER = ("lost_answer", "delay_after", "truncated", "empty", "system_error_after")
SIGNING = ("wrong_signature", "no_signature", "stale_answer", "unknown_serial")
FAULT_KINDS = ("delay", *BEFORE, *AFTER, *SIGNING)
HTML = b"<html><body>502 Bad Gateway</body></html>"


@dataclass(slots=True)
class Fault:
    """A planted fault for the next ``times`` calls of a path (a pattern with ``*``), after ``skip`` calls that pass,
    each with ``probability``. ``host``: only on that one ("api", "pay", "backup"). ``seconds`` is for the delays,
    ``errcode`` for the kind of that name (the mini-program's side)."""

    path: str
    kind: str
    times: int = 1
    seconds: float = 0.0
    skip: int = 0
    probability: float = 1.0
    host: str = ""
    errcode: int = -1


@dataclass
class Faults:
    """The planted ones, in order; the first that fits is taken. Seeded, so a run can be repeated."""

    seed: int = 1
    planted: list[Fault] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)  # noqa: S311 - faults, not secrets

    def append(self, fault: Fault) -> None:
        if fault.kind not in FAULT_KINDS:
            raise ValueError(f"kind must be one of {', '.join(FAULT_KINDS)}")
        with self.lock:
            self.planted.append(fault)

    def clear(self) -> None:
        with self.lock:
            self.planted.clear()

    def __iter__(self) -> Iterator[Fault]:
        with self.lock:
            return iter(list(self.planted))

    def take(self, path: str, host: str = "") -> Fault | None:
        """The fault for this call, counted down."""
        with self.lock:
            for fault in self.planted:
                if fault.times <= 0 or fault.host not in ("", host) or not fnmatchcase(path, fault.path):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                if fault.probability < 1 and self.random.random() >= fault.probability:
                    continue
                fault.times -= 1
                return fault
            return None


def spoiled(kind: str, answer: Answer) -> Answer:
    """An executed call whose answer gets lost or damaged."""
    if kind == "lost_answer":
        return Answer(answer.status, cut="all")
    if kind == "truncated":
        return Answer(answer.status, answer.body, answer.headers, cut="half")
    if kind == "empty":
        return Answer(200, b"", answer.headers)
    return answer


def broken(kind: str) -> Answer | None:
    """An answer that no WeChat code made; None when the kind is one that the host itself must word."""
    if kind == "reset":
        return Answer(0, cut="reset")
    if kind == "html":
        return Answer(200, HTML, {"Content-Type": "text/html"})
    if kind in ("http500", "http502", "http503"):
        return Answer(int(kind[4:]), b"<html>error</html>", {"Content-Type": "text/html"})
    return None
