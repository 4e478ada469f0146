"""Teams and friends' groups: entered by an invitation code, at most five in a team, one team a person and program.

``members(team_id=…, at=…)`` says who belonged to it at the moment of an act: contributions count by that.
"""

from app.teams.actions import (
    CAPTAIN_ONLY,
    IN_A_TEAM,
    TEAM_CODE_INVALID,
    TEAM_FULL,
    TEAM_NAME,
    TOO_MANY_GROUPS,
    close,
    close_by_operator,
    found,
    join,
    leave,
    leave_all,
    look,
    name_passed,
    normalised,
    remove,
    rename,
    renew_code,
)
from app.teams.models import KINDS, MOST, Team, TeamMember
from app.teams.queries import by_code, by_id, listed, members, mine, names, of, seated, shown_name

__all__ = [
    "CAPTAIN_ONLY", "IN_A_TEAM", "KINDS", "MOST", "TEAM_CODE_INVALID", "TEAM_FULL", "TEAM_NAME", "TOO_MANY_GROUPS",
    "Team", "TeamMember", "by_code", "by_id", "close", "close_by_operator", "found", "join", "leave", "leave_all",
    "listed", "look", "members", "mine", "name_passed", "names", "normalised", "of", "remove", "rename", "renew_code",
    "seated", "shown_name",
]  # fmt: skip
