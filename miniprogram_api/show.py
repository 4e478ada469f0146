"""How things read in answers: times with Shanghai's offset, ids as strings, texts in the reader's language."""

from __future__ import annotations

from datetime import datetime

from app.clock import SHANGHAI
from edge.language import language


def when(at: datetime) -> str:
    """``2026-11-22T10:00:00+08:00``."""
    return at.astimezone(SHANGHAI).isoformat(timespec="seconds")


def when_or_none(at: datetime | None) -> str | None:
    return None if at is None else when(at)


def either(zh: str, en: str) -> str:
    """The half of a bilingual text that the reader asked for; Chinese where there is no English."""
    return en if language() == "en" and en else zh
