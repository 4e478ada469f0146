"""Tables of the community: posts with pictures, comments, likes, reports, and whom a person doesn't want to meet."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column

STATES = ("checking", "shown", "refused", "held", "hidden", "removed")
_STATES = "state in ('checking','shown','refused','held','hidden','removed')"
_DECIDED = "state not in ('held','hidden') or reason_code is not null"


class Post(Model):
    """What a member shows to the program. States: checking (its words wait for WeChat), shown, refused (by the check),
    held (reported by many, waits for a person), hidden (by a person of ours), removed (by its author).

    Its pictures have checks of their own (``app.media``): a post is seen when its words and all its pictures passed.
    """

    __tablename__ = "posts"
    __table_args__ = (
        UniqueConstraint("person_id", "client_ref"),
        CheckConstraint(_STATES, name="state"),
        CheckConstraint(_DECIDED, name="says_why"),
        CheckConstraint("cardinality(medium_ids) <= 9", name="pictures"),
        Index("ix_posts_shown", "program_id", "id", postgresql_where=text("state = 'shown'")),
        Index("ix_posts_held", "program_id", "id", postgresql_where=text("state = 'held'")),
        Index("ix_posts_person", "person_id", "id"),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    client_ref: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    body_hash: Mapped[bytes] = mapped_column(LargeBinary)
    medium_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger), server_default=text("'{}'"))
    state: Mapped[str] = mapped_column(Text, server_default="checking")
    reason_code: Mapped[str | None] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text, server_default="")
    created_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None] = mapped_column(Text)


class Comment(Model):
    """What somebody says to a post; its states are those of a post."""

    __tablename__ = "comments"
    __table_args__ = (
        UniqueConstraint("person_id", "client_ref"),
        CheckConstraint(_STATES, name="state"),
        CheckConstraint(_DECIDED, name="says_why"),
        Index("ix_comments_post", "post_id", "id"),
        Index("ix_comments_person", "person_id", "id"),
        Index("ix_comments_held", "program_id", "id", postgresql_where=text("state = 'held'")),
    )

    id: Mapped[int] = id_column()
    post_id: Mapped[int] = mapped_column(ForeignKey("posts.id"))
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    client_ref: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    body_hash: Mapped[bytes] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(Text, server_default="checking")
    reason_code: Mapped[str | None] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text, server_default="")
    created_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None] = mapped_column(Text)


class Like(Model):
    """Somebody likes a post, once."""

    __tablename__ = "likes"
    __table_args__ = (Index("ix_likes_person", "person_id"),)

    post_id: Mapped[int] = mapped_column(ForeignKey("posts.id"), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"), primary_key=True)
    created_at: Mapped[datetime]


class Block(Model):
    """Two who don't meet: neither sees what the other writes, whoever of them asked for it."""

    __tablename__ = "blocks"
    __table_args__ = (
        UniqueConstraint("person_id", "blocked_id"),
        CheckConstraint("person_id <> blocked_id", name="somebody_else"),
        Index("ix_blocks_blocked", "blocked_id"),
    )

    id: Mapped[int] = id_column()
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    blocked_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    created_at: Mapped[datetime]


class Report(Model):
    """Somebody says that a post or comment should not be there; once a person and object."""

    __tablename__ = "reports"
    __table_args__ = (
        UniqueConstraint("kind", "object_id", "person_id"),
        CheckConstraint("kind in ('post','comment')", name="kind"),
        CheckConstraint("reason in ('spam','abuse','false','privacy','minors','other')", name="reason"),
        CheckConstraint("state in ('open','upheld','dismissed')", name="state"),
        Index("ix_reports_open", "program_id", "id", postgresql_where=text("state = 'open'")),
        Index("ix_reports_person", "person_id"),
    )

    id: Mapped[int] = id_column()
    kind: Mapped[str] = mapped_column(Text)
    object_id: Mapped[int]
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    reason: Mapped[str] = mapped_column(Text)
    words: Mapped[str] = mapped_column(Text, server_default="")
    state: Mapped[str] = mapped_column(Text, server_default="open")
    created_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
