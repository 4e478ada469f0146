"""The one table of features that hold personal data, and what a person may ask of all of them: a copy, or an end.

Each has a ``personal.py`` with ``COLUMNS`` (every column that names a person, and whether it is erased or why it is
kept), ``EXPORT`` (named SELECTs over ``:person_id``), ``losses`` (what deletion costs the person, shown beforehand) and
``erase``. A test walks all columns of all tables and fails for one about a person that no feature covers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import text

from app import audit, events, outbox
from app.appeals import personal as appeals
from app.challenges import personal as challenges
from app.checkins import personal as checkins
from app.community import personal as community
from app.db import connection, session
from app.errors import NOT_FOUND, Kind, declare
from app.funding import personal as funding
from app.gatherings import personal as gatherings
from app.green import personal as green
from app.grove import personal as grove
from app.leaderboards import personal as leaderboards
from app.learning import personal as learning
from app.levels import personal as levels
from app.mall import personal as mall
from app.media import personal as media
from app.merchants import personal as merchants
from app.messages import personal as messages
from app.notices import personal as notices
from app.offers import personal as offers
from app.orders import personal as orders
from app.payments import personal as payments
from app.people import Person, end_sessions
from app.people import personal as people
from app.phones import personal as phones
from app.programs import personal as programs
from app.records import personal as records
from app.recovery import personal as recovery
from app.redemptions import personal as redemptions
from app.safety import personal as safety
from app.settlement import personal as settlement
from app.snapshots import personal as snapshots
from app.sources import personal as sources
from app.surveys import personal as surveys
from app.teams import personal as teams
from app.tickets import personal as tickets
from app.vehicles import personal as vehicles
from app.welfare import personal as welfare

FORMAT = "diandi.person/1"

LOSSES_CHANGED = declare(
    "losses_changed",
    Kind.CONFLICT,
    zh="注销将失去的内容已有变化，请重新查看后再确认。",
    en="What deletion would cost you has changed. Look again, then confirm.",
)


class Personal(Protocol):
    """What a ``personal.py`` offers."""

    COLUMNS: Mapping[str, str]
    EXPORT: Mapping[str, str]

    def losses(self, person_id: int, at: datetime) -> list[dict[str, str | int]]: ...

    def erase(self, person_id: int, at: datetime) -> None: ...


# People come last: erasing them ends the logins and the identity, after everything that asks for them.
FEATURES: tuple[Personal, ...] = (
    messages,
    notices,
    tickets,
    media,
    safety,
    recovery,
    phones,
    snapshots,
    surveys,
    appeals,
    challenges,
    grove,
    levels,
    checkins,
    gatherings,
    learning,
    records,
    funding,
    sources,
    vehicles,
    redemptions,
    offers,
    green,
    orders,
    mall,
    payments,
    settlement,
    welfare,
    community,
    leaderboards,
    teams,
    merchants,
    programs,
    people,
)


def covered_columns() -> dict[str, str]:
    """Every covered column, and what happens to it."""
    return {column: fate for feature in FEATURES for column, fate in feature.COLUMNS.items()}


def export(person_id: int, at: datetime) -> dict[str, Any]:
    """Everything about a person, nothing about others, from one snapshot: it is one SQL statement."""
    parts = {name: select for feature in FEATURES for name, select in feature.EXPORT.items()}
    # The SELECTs are constants of ours; the person comes as a bound parameter.
    listed = " union all ".join(
        f"select '{name}' as name, (select coalesce(json_agg(q), '[]'::json) from ({select}) q) as rows"  # noqa: S608
        for name, select in parts.items()
    )
    whole = f"select json_object_agg(x.name, x.rows)::text from ({listed}) x"  # noqa: S608
    found = connection().execute(text(whole), {"person_id": person_id})
    return {"format": FORMAT, "as_of": at.isoformat(), "data": json.loads(found.scalar_one())}


def losses(person_id: int, at: datetime) -> tuple[list[dict[str, str | int]], str]:
    """What deletion would cost, and a mark of it: whoever confirms names the mark, so nothing is lost unseen."""
    found = [loss for feature in FEATURES for loss in feature.losses(person_id, at)]
    return found, audit.digest(found).hex()[:32]


def forget(*, person_id: int, seen: str, at: datetime) -> list[bytes]:
    """Delete a person: every feature erases, the ledger stays whole under a pseudonym. Answers session hashes to evict.

    Raises LOSSES_CHANGED when ``seen`` isn't the mark of what would be lost now, NOT_FOUND for nobody.
    """
    person = session().get(Person, person_id, with_for_update=True)
    if person is None or person.state == "deleted":
        raise NOT_FOUND(person=str(person_id))
    present, mark = losses(person_id, at)
    if seen != mark:
        raise LOSSES_CHANGED(losses=present, seen=mark)
    ended = end_sessions(person_id=person_id, at=at)
    session().flush()
    for feature in FEATURES:
        feature.erase(person_id, at)
    audit.write(actor=f"person:{person_id}", action="person.delete", object_type="person", object_id=person_id, at=at)
    outbox.publish(events.PERSON_DELETED, {"person_id": person_id})
    return ended
