"""Every call and every notice, for people and for assertions; and what the application must never do."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Any

LENGTH = 5_000


class Journal:
    """The last entries in order. ``violations`` is kept apart and never cut: a test run fails when there is one."""

    def __init__(self, length: int = LENGTH) -> None:
        self._entries: deque[dict[str, Any]] = deque(maxlen=length)
        self._lock = threading.Lock()
        self.violations: list[dict[str, Any]] = []
        self.count = 0

    def add(self, entry: dict[str, Any]) -> None:
        """Keep an entry; its ``violation`` is a text, empty when there is none."""
        with self._lock:
            self.count += 1
            entry["n"] = self.count
            self._entries.append(entry)
            if entry.get("violation"):
                self.violations.append({key: value for key, value in entry.items() if key not in ("raw", "answer")})

    def __iter__(self) -> Iterator[dict[str, Any]]:
        with self._lock:
            return iter(list(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> dict[str, Any]:
        with self._lock:
            return self._entries[index]

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self.violations.clear()
