"""What a process remembers of rarely changed rows (programs, scenarios, terms …) for a moment, to spare hot paths.

Only for facts that may be a second old; whatever guards money, stock or rights is asked in its own transaction. Tests
remember nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

T = TypeVar("T")
MOST = 10_000
_seconds = 0.0
_kept: dict[Hashable, tuple[float, Any]] = {}
_lock = threading.Lock()


def configure(seconds: float) -> None:
    """How long to remember; 0 is not at all. Called once by the application factory."""
    global _seconds
    _seconds = seconds
    forget()


def forget() -> None:
    """Drop everything."""
    with _lock:
        _kept.clear()


def remember(key: Hashable, load: Callable[[], T]) -> T:
    """The value of a key, loaded when it is not remembered. ``load`` must not return rows bound to a session."""
    found = _kept.get(key)
    now = time.monotonic()
    if found is not None and now - found[0] < _seconds:
        return cast(T, found[1])
    value = load()
    if _seconds:
        with _lock:
            if len(_kept) >= MOST:
                _kept.clear()
            _kept[key] = (now, value)
    return value
