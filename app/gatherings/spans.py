"""Spans of presence: pure. Overlaps of several devices or sources count once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

Span = tuple[datetime, datetime]


def union(spans: Iterable[Span], *, starts: datetime, ends: datetime) -> list[Span]:
    """The spans within a window, overlapping ones merged."""
    merged: list[Span] = []
    for began, ended in sorted((max(began, starts), min(ended, ends)) for began, ended in spans):
        if began >= ended:
            continue
        if merged and began <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], ended))
        else:
            merged.append((began, ended))
    return merged


def minutes(spans: Iterable[Span]) -> int:
    """Whole minutes of disjoint spans."""
    total = sum((ended - began for began, ended in spans), timedelta())
    return int(total.total_seconds() // 60)


def of_signals(signals: Sequence[tuple[str, datetime]], *, starts: datetime, ends: datetime) -> list[Span]:
    """The spans that joins and leaves make, of one person with any number of devices.

    Who left without having joined was there from the beginning; who never left, until the end.
    """
    spans: list[Span] = []
    there, since = 0, starts
    for kind, at in sorted(signals, key=lambda signal: (signal[1], signal[0] == "left")):
        if kind == "joined":
            since = at if there == 0 else since
            there += 1
        elif there == 0 and not spans:
            spans.append((starts, at))
        elif there:
            there -= 1
            if there == 0:
                spans.append((since, at))
    if there:
        spans.append((since, ends))
    return union(spans, starts=starts, ends=ends)
