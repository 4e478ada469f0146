"""Tickets: what people write to customer service, and what they are answered: in WeChat within 48 hours of their last
message, else in the inbox of the applet."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from app import notices
from app.db import read, session
from app.errors import NOT_FOUND, STATE_CONFLICT
from app.tickets.models import Ticket, TicketLine

WINDOW = timedelta(hours=48)
LONGEST = 600


def said(*, appid: str, openid: str, person_id: int | None, body: str, at: datetime) -> int:
    """Somebody wrote: a line of their open ticket, or a new one. Answers the ticket's id."""
    query = select(Ticket).where(Ticket.appid == appid, Ticket.openid == openid, Ticket.state != "closed")
    ticket = session().scalars(query.with_for_update()).first()
    if ticket is None:
        ticket = Ticket(appid=appid, openid=openid, person_id=person_id, opened_at=at, last_wrote_at=at)
        session().add(ticket)
    ticket.state, ticket.last_wrote_at = "open", max(at, ticket.last_wrote_at)
    ticket.person_id = ticket.person_id or person_id
    session().flush()
    session().add(TicketLine(ticket_id=ticket.id, author="person", body=body, said_at=at))
    session().flush()
    return ticket.id


def open_about(*, person_id: int, appid: str, body: str, at: datetime) -> int:
    """A ticket of our own making about a person, for the operators (a recovery). Answers its id."""
    ticket = Ticket(appid=appid, openid=None, person_id=person_id, opened_at=at, last_wrote_at=at, state="open")
    session().add(ticket)
    session().flush()
    session().add(TicketLine(ticket_id=ticket.id, author="system", body=body, said_at=at))
    session().flush()
    return ticket.id


def begin_answer(*, ticket_id: int, body: str, by: str, at: datetime) -> tuple[Ticket, TicketLine, bool]:
    """Write an answer down. The third tells whether it may go out as a message now; else it is in the inbox already.

    Raises NOT_FOUND, STATE_CONFLICT for a closed ticket.
    """
    ticket = _locked(ticket_id)
    may_send = ticket.openid is not None and at < ticket.last_wrote_at + WINDOW
    line = TicketLine(ticket_id=ticket_id, author=by, body=body, said_at=at, delivery="sending" if may_send else None)
    session().add(line)
    session().flush()
    ticket.state = "answered"
    if not may_send:
        _into_inbox(ticket, line, at)
    return ticket, line, may_send


def end_answer(*, line_id: int, sent: bool, at: datetime) -> None:
    """The message went out, or the answer goes into the inbox instead."""
    line = session().get_one(TicketLine, line_id, with_for_update=True)
    if sent:
        line.delivery = "sent"
    else:
        _into_inbox(session().get_one(Ticket, line.ticket_id), line, at)


def close(*, ticket_id: int, at: datetime) -> None:
    """Nothing more is to be said. Raises NOT_FOUND, STATE_CONFLICT."""
    ticket = _locked(ticket_id)
    ticket.state, ticket.closed_at = "closed", at


def listed(*, state: str | None = None, limit: int = 100) -> list[Any]:
    """Tickets with their last line, those that wait first; never an openid."""
    query = """
        select t.id, t.state, t.person_id, t.opened_at, t.last_wrote_at,
               (select count(*) from ticket_lines where ticket_id = t.id) as lines,
               (select body from ticket_lines where ticket_id = t.id order by id desc limit 1) as last_line
        from tickets t where (%(state)s::text is null and t.state <> 'closed') or t.state = %(state)s
        order by t.state = 'open' desc, t.last_wrote_at limit %(limit)s
    """
    return read(query, {"state": state, "limit": limit})


def lines(ticket_id: int) -> list[Any]:
    """What was said, in order. Raises NOT_FOUND."""
    if session().get(Ticket, ticket_id) is None:
        raise NOT_FOUND(ticket=str(ticket_id))
    query = "select author, body, said_at, delivery from ticket_lines where ticket_id = %(id)s order by id"
    return read(query, {"id": ticket_id})


def _into_inbox(ticket: Ticket, line: TicketLine, at: datetime) -> None:
    if ticket.person_id is None:
        line.delivery = "failed"  # never signed in, and too late to write: there is no way to reach them
        return
    line.delivery = "inbox"
    notices.tell(
        key=f"ticket-line:{line.id}",
        person_id=ticket.person_id,
        kind="ticket.answered",
        zh=f"客服回复：{line.body}",
        en=f"Customer service: {line.body}",
        details={"ticket_id": str(ticket.id)},
        at=at,
    )


def _locked(ticket_id: int) -> Ticket:
    ticket = session().get(Ticket, ticket_id, with_for_update=True)
    if ticket is None:
        raise NOT_FOUND(ticket=str(ticket_id))
    if ticket.state == "closed":
        raise STATE_CONFLICT(state=ticket.state)
    return ticket


__all__ = [
    "LONGEST",
    "WINDOW",
    "Ticket",
    "TicketLine",
    "begin_answer",
    "close",
    "end_answer",
    "lines",
    "listed",
    "open_about",
    "said",
]
