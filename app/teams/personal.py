"""What this feature holds about a person (see app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from app.teams import actions, queries

COLUMNS: Mapping[str, str] = {
    "teams.captain_id": "kept: the pseudonym of who led a team that is closed; a standing one gets another captain",
    "team_members.person_id": "kept: past challenges and boards of teams count this pseudonym; the membership ends",
}
EXPORT: Mapping[str, str] = {
    "teams": (
        "select p.code as program, t.kind, t.name, m.joined_at, m.left_at, t.captain_id = m.person_id as captain"
        " from team_members m join teams t on t.id = m.team_id join programs p on p.id = t.program_id"
        " where m.person_id = :person_id order by m.id"
    ),
}


def losses(person_id: int, at: datetime) -> list[dict[str, str | int]]:
    """The teams and groups that go on without the person, and who leads them then."""
    return [
        {
            "what": "team",
            "program": row.program,
            "name": queries.shown_name(row),
            "captain": "next" if row.captain_id == person_id and row.members > 1 else "",
        }
        for row in queries.mine(person_id)
    ]


def erase(person_id: int, at: datetime) -> None:
    """Leave every team; a captain's goes to who joined next, and a name that waits for its check is taken back."""
    actions.leave_all(person_id=person_id, at=at)
