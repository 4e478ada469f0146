"""Grams given to neutralise an event: retired for good, with a certificate; in no export, and never given twice."""

from __future__ import annotations

import hashlib
import secrets
from datetime import date, datetime
from typing import Any

from sqlalchemy import select

from app import funding
from app.db import read, run, session
from app.errors import IDEMPOTENCY_CONFLICT, NOT_FOUND, Kind, declare
from app.records import retiring
from app.welfare.models import GramGift, NeutralEvent

EVENT_FULL = declare(
    "event_full",
    Kind.CONFLICT,
    zh="该活动的碳足迹已全部中和，感谢您的心意。剩余额度见 details。",
    en="This event needs less than that, or is neutral already; thank you. `details` says how much it could take.",
)

# What stands: grams of records that were taken back since count no more.
_STANDING = """
    select coalesce(sum(t.mg) filter (where t.returned_at is null), 0)::bigint as mg
    from gram_gifts g join retired_grams t on t.transfer_id = g.transfer_id where g.event_id = %(event)s
"""


def open_event(
    *, program_id: int, code: str, name: str, name_en: str, held_on: date, footprint_mg: int
) -> NeutralEvent:
    """The event of this code, made when there is none."""
    query = select(NeutralEvent).where(NeutralEvent.program_id == program_id, NeutralEvent.code == code)
    found = session().scalars(query).first()
    if found is None:
        found = NeutralEvent(
            program_id=program_id,
            code=code,
            name=name,
            name_en=name_en,
            held_on=held_on,
            footprint_mg=footprint_mg,
            given_mg=0,
            state="open",
        )
        session().add(found)
        session().flush()
    return found


def give_grams(
    *, person_id: int, event_id: int, mg: int, client_ref: str, at: datetime, show_name: bool = False
) -> tuple[GramGift, bool]:
    """Give grams to an event, never more than its footprint; the same reference again is the first gift.

    Raises NOT_FOUND, EVENT_FULL, GRAMS_SHORT, IDEMPOTENCY_CONFLICT. Locks: wallet, event, ledger accounts.
    """
    event = session().get(NeutralEvent, event_id)
    if event is None:
        raise NOT_FOUND(event=str(event_id))
    funding.lock_wallet(person_id=person_id, program_id=event.program_id, at=at)
    body_hash = hashlib.sha256(f"{event_id}:{mg}".encode()).digest()
    query = select(GramGift).where(GramGift.person_id == person_id, GramGift.client_ref == client_ref)
    first = session().scalars(query).first()
    if first is not None:
        if bytes(first.body_hash) != body_hash:
            raise IDEMPOTENCY_CONFLICT(client_ref=client_ref)
        return first, False
    session().refresh(event, with_for_update={"key_share": True})
    event.given_mg = int(run(_STANDING, {"event": event_id})[0].mg)
    room = event.footprint_mg - event.given_mg
    if event.state != "open" or mg > room:
        raise EVENT_FULL(room_mg=str(room if event.state == "open" else 0))
    source_ref = f"person:{person_id}:{client_ref}"
    done = retiring.retire(person_id=person_id, program_id=event.program_id, mg=mg, source_ref=source_ref, at=at)
    event.given_mg += mg
    made = GramGift(
        program_id=event.program_id,
        event_id=event_id,
        person_id=person_id,
        client_ref=client_ref,
        body_hash=body_hash,
        mg=mg,
        transfer_id=done.transfer_id,
        certificate_no=f"N{at:%Y%m%d}-{secrets.token_hex(5).upper()}",
        show_name=show_name,
        given_at=at,
    )
    session().add(made)
    session().flush()
    return made, True


_EVENTS = """
    select e.id, e.code, e.name, e.name_en, e.held_on, e.footprint_mg, e.state, p.code as program,
           (select coalesce(sum(t.mg) filter (where t.returned_at is null), 0)::bigint from gram_gifts g
            join retired_grams t on t.transfer_id = g.transfer_id where g.event_id = e.id) as given_mg,
           (select count(*) from gram_gifts g where g.event_id = e.id) as gifts
    from neutral_events e join programs p on p.id = e.program_id
"""


def events_shown(program_id: int) -> list[Any]:
    """A program's events, the nearest last."""
    return read(_EVENTS + " where e.program_id = %(p)s order by e.held_on, e.id", {"p": program_id})


_GRAM_GIFTS = """
    select g.id, g.mg, g.certificate_no, g.given_at, g.show_name, g.person_id, g.event_id, e.name, e.name_en, e.held_on,
           p.code as program, (select coalesce(sum(t.mg), 0)::bigint from retired_grams t
                               where t.transfer_id = g.transfer_id and t.returned_at is null) as standing_mg
    from gram_gifts g join neutral_events e on e.id = g.event_id join programs p on p.id = g.program_id
"""


def gram_gift(gift_id: int) -> Any:
    """A gift of grams as it stands today."""
    return read(_GRAM_GIFTS + " where g.id = %(id)s", {"id": gift_id})[0]


def gram_gifts_of(person_id: int) -> list[Any]:
    """A person's gifts of grams, newest first."""
    return read(_GRAM_GIFTS + " where g.person_id = %(p)s order by g.id desc limit 200", {"p": person_id})


def gram_certificate(number: str) -> Any | None:
    """A gift of grams by its certificate's number."""
    rows = read(_GRAM_GIFTS + " where g.certificate_no = %(n)s", {"n": number})
    return rows[0] if rows else None
