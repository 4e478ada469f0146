"""Reads about messages."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.db import read


def due(at: datetime, *, limit: int = 200) -> list[Any]:
    """Deliveries whose time has come, one per person, so that nobody gets two at once (43108)."""
    query = """
        select distinct on (person_id) id, person_id, template, data, page from message_deliveries
        where state = 'waiting' and send_at <= %(at)s order by person_id, id limit %(limit)s
    """
    return read(query, {"at": at, "limit": limit})


def of_notice(notice_id: int) -> Any:
    """The delivery of a notice, or None."""
    query = (
        "select id, person_id, template, data, page, state, send_at from message_deliveries where notice_id = %(id)s"
    )
    return next(iter(read(query, {"id": notice_id})), None)


def stopped(appid: str, template_id: str, at: datetime) -> str | None:
    """Why a template is not used at the moment, or None."""
    query = (
        "select problem from message_stops where appid = %(app)s and template_id = %(template)s"
        " and (until is null or until > %(at)s)"
    )
    rows = read(query, {"app": appid, "template": template_id, "at": at})
    return rows[0].problem if rows else None


def offered(person_id: int, appid: str) -> dict[str, int]:
    """How many messages a person still allows, by template id."""
    query = "select template_id, remaining from message_quotas where person_id = %(person)s and appid = %(app)s"
    return {row.template_id: row.remaining for row in read(query, {"person": person_id, "app": appid})}


def of_person(person_id: int, *, limit: int = 50) -> list[Any]:
    """A person's messages, newest first."""
    return log(person_id=person_id, limit=limit)


def log(*, person_id: int | None = None, state: str | None = None, limit: int = 100) -> list[Any]:
    """The delivery log, newest first: never the person's openid."""
    query = """
        select id, notice_id, person_id, template, state, attempts, errcode, problem, delivered, created_at, send_at,
               ended_at
        from message_deliveries
        where (%(person)s::bigint is null or person_id = %(person)s) and (%(state)s::text is null or state = %(state)s)
        order by id desc limit %(limit)s
    """
    return read(query, {"person": person_id, "state": state, "limit": limit})
