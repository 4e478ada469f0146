"""Which of our two languages an answer is in: ``Accept-Language`` decides, Chinese when it says nothing we speak."""

from __future__ import annotations

from typing import Any

from flask import has_request_context, request

KEPT = "diandi.language"


def language() -> str:
    """``zh`` or ``en``; decided once a request, for a page of lines asks for it a hundred times."""
    if not has_request_context():
        return "zh"
    known: dict[str, Any] = request.environ
    if KEPT not in known:
        known[KEPT] = _wanted(request.headers.get("Accept-Language", ""))
    found: str = known[KEPT]
    return found


def _wanted(wanted: str) -> str:
    if not wanted or wanted.startswith("zh"):
        return "zh"
    best, best_weight = "zh", 0.0
    for part in wanted[:200].split(","):
        tag, _, weight = part.strip().partition(";q=")
        found = tag[:2].lower()
        if found in ("zh", "en") and _weight(weight) > best_weight:
            best, best_weight = found, _weight(weight)
    return best


def _weight(text: str) -> float:
    try:
        return float(text) if text else 1.0
    except ValueError:
        return 0.0


def pick(both: str) -> str:
    """One half of a text written as ``中文|English``; the whole where it has no halves."""
    zh, bar, en = both.partition("|")
    return both if not bar else (en if language() == "en" else zh)
