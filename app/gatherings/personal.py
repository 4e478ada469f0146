"""What this feature holds about a person (see app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import text

from app.db import connection
from app.gatherings import signing

COLUMNS: Mapping[str, str] = {
    "gatherings.host_id": "kept: who registered a meeting that others earned by, under a pseudonym",
    "gathering_hosts.person_id": "erased",
    "gathering_sign_ups.person_id": "kept: a place that was taken, under a pseudonym",
    "gathering_attendances.person_id": "kept: what credits were paid for, under a pseudonym",
    "gathering_presences.person_id": "erased",
    "gathering_signals.person_id": "erased",
}
EXPORT: Mapping[str, str] = {
    "gatherings_hosted": (
        "select g.id::text, g.code, g.name, g.starts_at, g.ends_at from gatherings g"
        " where g.host_id = :person_id or exists (select from gathering_hosts h"
        " where h.gathering_id = g.id and h.person_id = :person_id) order by g.id"
    ),
    "gathering_sign_ups": (
        "select g.name as gathering, s.state, s.signed_at, s.round_trip_km::text from gathering_sign_ups s"
        " join gatherings g on g.id = s.gathering_id where s.person_id = :person_id order by s.id"
    ),
    "gathering_attendances": (
        "select g.name as gathering, a.day, a.how, a.at, a.minutes from gathering_attendances a"
        " join gatherings g on g.id = a.gathering_id where a.person_id = :person_id order by a.id"
    ),
    "gathering_presences": (
        "select g.name as gathering, p.began_at, p.ended_at from gathering_presences p"
        " join gatherings g on g.id = p.gathering_id where p.person_id = :person_id order by p.id"
    ),
    "gathering_signals": (
        "select g.name as gathering, s.kind, s.at from gathering_signals s"
        " join gatherings g on g.id = s.gathering_id where s.person_id = :person_id order by s.id"
    ),
}


def losses(person_id: int, at: datetime) -> list[dict[str, str | int]]:
    """Places in gatherings that are still to come."""
    query = text(
        "select count(*) from gathering_sign_ups s join gatherings g on g.id = s.gathering_id"
        " where s.person_id = :person_id and s.state in ('signed', 'waiting') and g.state = 'open'"
    )
    count = int(connection().execute(query, {"person_id": person_id}).scalar_one())
    return [{"kind": "gatherings", "count": count}] if count else []


def erase(person_id: int, at: datetime) -> None:
    """Places in what is still to come are given back; minutes and hosting are erased."""
    places = text(
        "select s.gathering_id from gathering_sign_ups s join gatherings g on g.id = s.gathering_id"
        " where s.person_id = :person_id and s.state in ('signed', 'waiting') and g.state = 'open'"
        " and g.starts_at > :at order by 1"
    )
    for (gathering_id,) in connection().execute(places, {"person_id": person_id, "at": at}).all():
        signing.cancel_sign_up(gathering_id=gathering_id, person_id=person_id, at=at)
    for table in ("gathering_presences", "gathering_signals", "gathering_hosts"):
        connection().execute(text(f"delete from {table} where person_id = :person_id"), {"person_id": person_id})  # noqa: S608
