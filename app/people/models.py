"""Tables of people: the person, WeChat identities, sessions and consents. As little about a person as the job needs."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column


class Person(Model):
    """A citizen. ``epoch`` rises when rights change and ends every session at once. A deleted person keeps only the id.

    ``newcomer`` is false for somebody who left us not long ago: no first-time bonus a second time. ``of_age_at`` is
    when the person declared to be 14 or older; no birth date is ever asked.
    """

    __tablename__ = "persons"
    __table_args__ = (CheckConstraint("state in ('active','disabled','deleted')", name="state"),)

    id: Mapped[int] = id_column()
    pseudonym: Mapped[str] = mapped_column(Text, unique=True)
    state: Mapped[str] = mapped_column(Text, server_default="active")
    epoch: Mapped[int] = mapped_column(server_default=text("1"))
    nickname: Mapped[str | None] = mapped_column(Text)
    avatar_url: Mapped[str | None] = mapped_column(Text)
    language: Mapped[str] = mapped_column(Text, server_default="zh")
    show_name: Mapped[bool] = mapped_column(server_default=text("false"))
    on_boards: Mapped[bool] = mapped_column(server_default=text("true"))
    newcomer: Mapped[bool] = mapped_column(server_default=text("true"))
    created_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    of_age_at: Mapped[datetime | None]


class WeChatIdentity(Model):
    """One openid of one mini-program. The session key never leaves the server and is kept encrypted."""

    __tablename__ = "wechat_identities"
    __table_args__ = (
        UniqueConstraint("appid", "openid"),
        Index("ix_wechat_identities_person", "person_id"),
        Index("ix_wechat_identities_unionid", "unionid"),
    )

    id: Mapped[int] = id_column()
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    appid: Mapped[str] = mapped_column(Text)
    openid: Mapped[str] = mapped_column(Text)
    unionid: Mapped[str | None] = mapped_column(Text)
    session_key_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    seen_at: Mapped[datetime]


class FormerIdentity(Model):
    """The keyed hash of an identity whose person was deleted, kept for a limited time and for one purpose only."""

    __tablename__ = "former_identities"

    identity_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    forget_at: Mapped[datetime] = mapped_column(index=True)


class LoginSession(Model):
    """An opaque, revocable login. Only the keyed hash of the token is kept; Redis may cache it, the truth is here."""

    __tablename__ = "sessions"
    __table_args__ = (Index("ix_sessions_person", "person_id"),)

    id: Mapped[int] = id_column()
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    epoch: Mapped[int]
    device: Mapped[str] = mapped_column(Text, server_default="")
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class Consent(Model):
    """A person's agreement to one purpose: a program's terms, or a data source (steps, vehicle, rides …).

    ``text_hash`` is of the words that were shown. Withdrawing sets ``withdrawn_at``; a new agreement is a new row.
    """

    __tablename__ = "consents"
    __table_args__ = (
        Index(
            "uq_consents_live",
            "person_id",
            "program_id",
            "purpose",
            unique=True,
            postgresql_where=text("withdrawn_at is null"),
            postgresql_nulls_not_distinct=True,
        ),
    )

    id: Mapped[int] = id_column()
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    program_id: Mapped[int | None] = mapped_column(ForeignKey("programs.id"))
    purpose: Mapped[str] = mapped_column(Text)
    text_version: Mapped[str] = mapped_column(Text)
    text_hash: Mapped[bytes] = mapped_column(LargeBinary)
    granted_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]
