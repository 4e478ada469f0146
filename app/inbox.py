"""Inbox: what the world tells us is kept once, as received; and each listener applies an event once.

Raw input is thinned after its retention time; the hash stays, so that a repeat is still recognised.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import LargeBinary, Text, UniqueConstraint, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, connection, id_column

_CLAIM_MANY = text(
    "insert into inbox_deliveries (consumer, event_id) select :consumer, unnest(cast(:ids as bigint[]))"
    " on conflict do nothing returning event_id"
)


class InboxMessage(Model):
    """One message of the outside world. ``body`` becomes NULL when its retention time is over."""

    __tablename__ = "inbox"
    __table_args__ = (UniqueConstraint("origin", "message_key"),)

    id: Mapped[int] = id_column()
    origin: Mapped[str] = mapped_column(Text)
    message_key: Mapped[str] = mapped_column(Text)
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    body_hash: Mapped[bytes] = mapped_column(LargeBinary)
    received_at: Mapped[datetime]


class InboxDelivery(Model):
    """One event applied by one listener; the row and its effect share a transaction (OUT-3)."""

    __tablename__ = "inbox_deliveries"

    consumer: Mapped[str] = mapped_column(Text, primary_key=True)
    event_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    delivered_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


def keep(*, origin: str, message_key: str, body: bytes, at: datetime) -> bool:
    """Keep a message once. Answers whether it is new."""
    statement = insert(InboxMessage).values(
        origin=origin,
        message_key=message_key,
        body=body,
        body_hash=hashlib.sha256(body).digest(),
        received_at=at,
    )
    done = connection().execute(statement.on_conflict_do_nothing().returning(InboxMessage.id))
    return done.first() is not None


def received(origin: str, message_key: str) -> bytes | None:
    """The body of a kept message, None when it was thinned or never came."""
    query = select(InboxMessage.body).where(InboxMessage.origin == origin, InboxMessage.message_key == message_key)
    return connection().execute(query).scalar_one_or_none()


def thin(*, before: datetime) -> int:
    """Forget the bodies of messages received before a moment; the hash stays, so that a repeat is recognised."""
    old = (InboxMessage.received_at < before, InboxMessage.body.is_not(None))
    return int(connection().execute(update(InboxMessage).where(*old).values(body=None)).rowcount)


def forget_sender(*, origin: str, sender: str) -> int:
    """Forget the bodies of an origin's messages that name a sender who is being erased; the hashes stay."""
    statement = text(
        "update inbox set body = null where origin = :origin and body is not null and position(:sender in body) > 0"
    )
    return int(connection().execute(statement, {"origin": origin, "sender": sender.encode()}).rowcount)


def first_delivery(consumer: str, event_id: int) -> bool:
    """Claim an event for a listener. False when it was applied before: then the listener does nothing."""
    statement = insert(InboxDelivery).values(consumer=consumer, event_id=event_id)
    done = connection().execute(statement.on_conflict_do_nothing().returning(InboxDelivery.event_id))
    return done.first() is not None


def first_deliveries(consumer: str, event_ids: Sequence[int]) -> set[int]:
    """Claim many events for a listener with one statement; answers those that it did not apply before."""
    if not event_ids:
        return set()
    claimed = connection().execute(_CLAIM_MANY, {"consumer": consumer, "ids": list(event_ids)})
    return set(claimed.scalars())
