"""Take part and withdraw. A place is taken by one at a time: of ten thousand for a hundred places exactly a hundred."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app import events, outbox, programs, teams
from app.db import run
from app.errors import NOT_FOUND, STATE_CONFLICT, Kind, declare
from app.mall import audience

NOT_OPEN_YET = declare(
    "enrolment_not_open",
    Kind.CONFLICT,
    zh="报名还没有开始，请稍后再来。",
    en="Enrolment has not begun. Come back later.",
)
ENROLMENT_CLOSED = declare(
    "enrolment_closed",
    Kind.CONFLICT,
    zh="报名已截止，看看其他挑战吧。",
    en="Enrolment has closed. Look at other challenges.",
)
CHALLENGE_FULL = declare(
    "challenge_full",
    Kind.CONFLICT,
    zh="名额已满，看看其他挑战吧。",
    en="All places are taken. Look at other challenges.",
)
CHALLENGE_NOT_FOR_YOU = declare(
    "challenge_not_for_you",
    Kind.NOT_ALLOWED,
    zh="该挑战仅面向特定部门、标签或等级的成员。",
    en="This challenge is for members of certain departments, tags or levels.",
)
TEAM_NEEDED = declare(
    "team_needed",
    Kind.CONFLICT,
    zh="这是小队挑战，请先建立或加入一个小队。",
    en="This is a challenge of teams. Found or join a team first.",
)
TEAM_TOO_LARGE = declare(
    "team_too_large",
    Kind.CONFLICT,
    zh="小队最多 5 人（含队长），请先调整成员。",
    en="A team has at most 5 members, its captain included. Change the team first.",
)
CAPTAIN_ENROLS = declare(
    "captain_enrols", Kind.NOT_ALLOWED, zh="请由队长报名或退出。", en="The captain enrols and withdraws the team."
)
BEGUN = declare(
    "challenge_begun",
    Kind.CONFLICT,
    zh="挑战已结束，不能退出。",
    en="The challenge has ended; nobody can withdraw any more.",
)
NOT_ENROLLED = declare("not_enrolled", Kind.CONFLICT, zh="您没有报名该挑战。", en="You are not enrolled.")

_CHALLENGE = """
    select id, program_id, kind, state, enrol_from, enrol_until, starts_at, ends_at, version, audience_units,
           audience_tags, least_level, least_members
    from challenges where program_id = %(program)s and code = %(code)s and state <> 'draft'
"""
_STANDING = """
    select m.level, m.tags, u.path from memberships m left join org_units u on u.id = m.org_unit_id
    where m.program_id = %(program)s and m.person_id = %(person)s and m.state = 'active'
"""
_ENROL = """
    insert into enrolments as e (challenge_id, subject_kind, subject_id, person_id, version, enrolled_at)
    values (%(id)s, %(kind)s, %(subject)s, %(person)s, %(version)s, %(at)s)
    on conflict (challenge_id, subject_kind, subject_id) do update
      set withdrawn_at = null, enrolled_at = excluded.enrolled_at, version = excluded.version,
          person_id = excluded.person_id
      where e.withdrawn_at is not null
    returning version
"""
_SEAT = """
    update challenges set enrolled = enrolled + 1
    where id = %(id)s and state = 'live' and %(at)s >= enrol_from and %(at)s < enrol_until and version = %(version)s
      and (capacity is null or enrolled < capacity) returning enrolled
"""


def enrol(*, program_id: int, code: str, person_id: int, at: datetime) -> bool:
    """Take part, with one's team in a challenge of teams; answers whether it is new. Once, however often it is asked.

    Raises NOT_FOUND, NOT_A_MEMBER, NOT_OPEN_YET, ENROLMENT_CLOSED, CHALLENGE_FULL, CHALLENGE_NOT_FOR_YOU, and for
    teams TEAM_NEEDED, TEAM_TOO_LARGE, CAPTAIN_ENROLS.
    """
    found = _found(program_id, code)
    _admit(found, person_id)
    kind, subject = ("team", _team(found, person_id, at)) if found.kind == "team" else ("person", person_id)
    values = {"id": found.id, "kind": kind, "subject": subject, "person": person_id, "version": found.version, "at": at}
    if not run(_ENROL, values):
        return False
    if not run(_SEAT, values):
        if _found(program_id, code).version != found.version:
            raise STATE_CONFLICT(challenge="changed")  # while this was under way: look at it again
        raise _why_not(found, at)
    _publish(found, kind, subject, at)
    return True


_LEAVE = """
    update enrolments set withdrawn_at = %(at)s where challenge_id = %(id)s and subject_kind = %(kind)s
      and subject_id = %(subject)s and withdrawn_at is null returning 1
"""
_FREE = """
    update challenges set enrolled = enrolled - 1 where id = %(id)s and ends_at > %(at)s and state = 'live' returning 1
"""


def withdraw(*, program_id: int, code: str, person_id: int, at: datetime) -> bool:
    """Take part no longer, before the end: what was put in is gone from all totals alike, the place is free again.

    Raises NOT_FOUND, NOT_ENROLLED, BEGUN (it has ended), CAPTAIN_ENROLS.
    """
    found = _found(program_id, code)
    kind, subject = ("team", _team(found, person_id, at)) if found.kind == "team" else ("person", person_id)
    values = {"id": found.id, "kind": kind, "subject": subject, "at": at}
    if not run(_LEAVE, values):
        raise NOT_ENROLLED(challenge=code)
    if not run(_FREE, values):
        raise BEGUN(ended_at=found.ends_at.isoformat())
    _publish(found, kind, subject, at)
    return True


def _publish(found: Any, kind: str, subject: int, at: datetime) -> None:
    """What had happened already counts, or no more: a listener computes it once this is committed."""
    people = [subject] if kind == "person" else teams.members(team_id=subject, at=at)
    payload = {"challenge_id": found.id, "person_ids": people}
    outbox.publish(events.CHALLENGE_JOINED, payload, program_id=found.program_id)


def _found(program_id: int, code: str) -> Any:
    rows = run(_CHALLENGE, {"program": program_id, "code": code})
    if not rows:
        raise NOT_FOUND(challenge=code)
    return rows[0]


def _admit(found: Any, person_id: int) -> None:
    """The audience, by the membership as it is now."""
    rows = run(_STANDING, {"program": found.program_id, "person": person_id})
    if not rows:
        raise programs.NOT_A_MEMBER(challenge=str(found.id))
    if not audience.admits(found, audience.of(rows[0].level, rows[0].tags, rows[0].path)):
        raise CHALLENGE_NOT_FOR_YOU()


def _team(found: Any, person_id: int, at: datetime) -> int:
    """The person's team, which its captain enrols. More than five can't be: neither now nor by a later rule."""
    team = teams.of(person_id=person_id, program_id=found.program_id)
    if team is None:
        raise TEAM_NEEDED()
    if team.captain_id != person_id:
        raise CAPTAIN_ENROLS()
    if len(teams.members(team_id=team.id, at=at)) > teams.MOST["team"]:
        raise TEAM_TOO_LARGE(most=teams.MOST["team"])
    return team.id


def _why_not(found: Any, at: datetime) -> Exception:
    if found.state != "live" or at >= found.enrol_until:
        return ENROLMENT_CLOSED(closed_at=found.enrol_until.isoformat())
    if at < found.enrol_from:
        return NOT_OPEN_YET(opens_at=found.enrol_from.isoformat())
    return CHALLENGE_FULL()
