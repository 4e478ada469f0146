"""What this feature holds about a person: memberships, and a claimed line of a roster (see"
" app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import update

from app.db import session
from app.programs import queries
from app.programs.models import Membership, RosterEntry

COLUMNS: Mapping[str, str] = {
    "memberships.person_id": "kept: past boards and totals of the program count this pseudonym; the membership ends",
    "roster_entries.claimed_by": "kept: the line stays used, so that nobody else can claim it; it names a pseudonym",
}
EXPORT: Mapping[str, str] = {
    "memberships": (
        "select p.code as program, u.code as org_unit, m.state, m.rank, m.joined_by, m.joined_at, m.left_at"
        " from memberships m join programs p on p.id = m.program_id left join org_units u on u.id ="
        " m.org_unit_id"
        " where m.person_id = :person_id order by m.rank, m.id"
    ),
    "roster_lines": (
        "select p.code as program, r.claimed_at from roster_entries r join programs p on p.id = r.program_id"
        " where r.claimed_by = :person_id order by r.id"
    ),
}


def losses(person_id: int, at: datetime) -> list[dict[str, str | int]]:
    """The memberships that end."""
    return [
        {"what": "membership", "program": program.code, "name": program.name}
        for _, program in queries.memberships_of(person_id)
    ]


def erase(person_id: int, at: datetime) -> None:
    """End the memberships; the org-unit is forgotten with them."""
    living = (Membership.person_id == person_id, Membership.state.in_(("active", "pending")))
    session().execute(update(Membership).where(*living).values(state="left", left_at=at))
    mine = Membership.person_id == person_id
    session().execute(update(Membership).where(mine).values(org_unit_id=None))
    session().execute(update(RosterEntry).where(RosterEntry.claimed_by == person_id).values(org_unit_id=None))
