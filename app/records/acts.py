"""What goes into ``take()`` and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app import audit
from app.errors import Refusal
from app.records.reasons import Reason


@dataclass(slots=True)
class Act:
    """One act as a source reports it.

    ``facts`` hold quantities as whole numbers or decimal strings in the units of the methodology's variables, and
    evidence. ``subject`` names what else physically took part: ``vehicle:12``, ``meter:…``. ``ended_at`` may equal
    ``occurred_at``.
    """

    program_id: int
    scenario: str
    person_id: int
    source_id: int
    reference: str
    facts: Mapping[str, Any]
    occurred_at: datetime
    ended_at: datetime | None = None
    subject: str | None = None
    supersedes_id: int | None = None
    import_id: int | None = None

    @property
    def until(self) -> datetime:
        return self.ended_at or self.occurred_at

    @property
    def key(self) -> tuple[int, int, str]:
        return self.program_id, self.source_id, self.reference

    def hash(self) -> bytes:
        """What must be equal for a repeat to be the same again."""
        return audit.digest(
            {
                "scenario": self.scenario,
                "person": self.person_id,
                "facts": dict(self.facts),
                "occurred_at": self.occurred_at.isoformat(),
                "ended_at": self.until.isoformat(),
                "subject": self.subject,
            }
        )


@dataclass(slots=True)
class Taken:
    """What became of an act.

    ``outcome``: accepted · duplicate (the same again, answered with the first) · refused (``refusal`` says why; nothing
    is stored). ``state`` is the record's; ``reason`` says why it counts less or nothing.
    """

    outcome: str
    record_id: int | None = None
    state: str | None = None
    reason: Reason | None = None
    mg: int = 0
    credits: int = 0
    award_state: str | None = None
    refusal: Refusal | None = None
    paid_in: int | None = None


@dataclass(slots=True)
class Work:
    """An act on its way through the steps of ``take()``: what has been found out about it so far."""

    act: Act
    position: int
    facts_hash: bytes
    program: Any = None
    scenario: Any = None
    source: Any = None
    tier: str = "E"
    org_unit_id: int | None = None
    version: Any = None
    state: str = "counted"
    reason: Reason | None = None
    record_id: int | None = None
    result: Any = None
    mirrors: list[Any] = field(default_factory=list)
    claims: list[Any] = field(default_factory=list)
    overtaken: list[int] = field(default_factory=list)
    region: str = ""

    def hold(self, why: Reason) -> None:
        """Set aside for a person, unless it is set aside already."""
        if self.state == "counted":
            self.state, self.reason = "held", why

    def collapse(self, why: Reason) -> None:
        """Not counted, because another record counts for the same act."""
        self.state, self.reason = "duplicate", why
