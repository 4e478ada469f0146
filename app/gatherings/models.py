"""Tables of gatherings: events on site and online, green meetings; who signed up, who was there, what it earned."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Date,
    ForeignKey,
    Index,
    LargeBinary,
    Numeric,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column

KINDS = ("on-site", "online", "meeting")


class Gathering(Model):
    """An event, a station or venue with a screen, or a meeting.

    ``attend_by``: the rotating code, or minutes of presence (at least ``least_minutes``). ``repeats``: attendance
    counts once, or once each Shanghai day (a charging station). With ``capacity`` or ``needs_sign_up`` one signs up
    between ``opens_at`` and ``closes_at``; ``signed`` counts those who have a place.
    """

    __tablename__ = "gatherings"
    __table_args__ = (
        UniqueConstraint("program_id", "code"),
        CheckConstraint("kind in ('on-site','online','meeting')", name="kind"),
        CheckConstraint("attend_by in ('code','minutes')", name="attend_by"),
        CheckConstraint("repeats in ('once','daily')", name="repeats"),
        CheckConstraint("state in ('open','cancelled','settled')", name="state"),
        CheckConstraint("ends_at > starts_at and closes_at > opens_at and closes_at <= ends_at", name="times"),
        CheckConstraint("signed >= 0 and (capacity is null or signed <= capacity)", name="capacity"),
        CheckConstraint("least_minutes between 1 and 1440", name="least_minutes"),
        Index("ix_gatherings_due", "ends_at", postgresql_where=text("state = 'open'")),
        Index("ix_gatherings_host", "host_id", postgresql_where=text("host_id is not null")),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    code: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    name_en: Mapped[str] = mapped_column(Text, server_default="")
    text_zh: Mapped[str] = mapped_column(Text, server_default="")
    text_en: Mapped[str] = mapped_column(Text, server_default="")
    scenario: Mapped[str] = mapped_column(Text)
    facts: Mapped[dict[str, Any]]
    attend_by: Mapped[str] = mapped_column(Text)
    least_minutes: Mapped[int] = mapped_column(server_default=text("15"))
    repeats: Mapped[str] = mapped_column(Text, server_default="once")
    needs_sign_up: Mapped[bool] = mapped_column(server_default=text("false"))
    opens_at: Mapped[datetime]
    closes_at: Mapped[datetime]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    capacity: Mapped[int | None]
    signed: Mapped[int] = mapped_column(server_default=text("0"))
    audience_units: Mapped[list[int] | None] = mapped_column(ARRAY(BigInteger))
    audience_tags: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    state: Mapped[str] = mapped_column(Text, server_default="open")
    host_id: Mapped[int | None] = mapped_column(ForeignKey("persons.id"))
    made_by: Mapped[str] = mapped_column(Text)
    made_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]


class GatheringMeeting(Model):
    """What makes a gathering a green meeting: online, sheets that nobody printed, no bottled water; and its number at
    Tencent Meeting. ``wish_hash`` is of what the host registered first."""

    __tablename__ = "gathering_meetings"
    __table_args__ = (
        CheckConstraint("sheets between 0 and 30", name="sheets"),
        Index("ix_gathering_meetings_code", "meeting_code", postgresql_where=text("meeting_code is not null")),
    )

    gathering_id: Mapped[int] = mapped_column(ForeignKey("gatherings.id"), primary_key=True)
    online: Mapped[bool]
    sheets: Mapped[int] = mapped_column(server_default=text("0"))
    no_bottled_water: Mapped[bool] = mapped_column(server_default=text("false"))
    meeting_code: Mapped[str | None] = mapped_column(Text)
    wish_hash: Mapped[bytes] = mapped_column(LargeBinary)


class GatheringPlace(Model):
    """A place with a screen whose code is bound to it. With a position, only who stands within ``radius_m`` counts."""

    __tablename__ = "gathering_places"
    __table_args__ = (
        UniqueConstraint("gathering_id", "code"),
        CheckConstraint("(lat_e6 is null) = (lng_e6 is null) and (radius_m is null) = (lat_e6 is null)", name="place"),
    )

    id: Mapped[int] = id_column()
    gathering_id: Mapped[int] = mapped_column(ForeignKey("gatherings.id"))
    code: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    name_en: Mapped[str] = mapped_column(Text, server_default="")
    lat_e6: Mapped[int | None]
    lng_e6: Mapped[int | None]
    radius_m: Mapped[int | None]


class GatheringHost(Model):
    """Who may open the organiser's screen."""

    __tablename__ = "gathering_hosts"
    __table_args__ = (Index("ix_gathering_hosts_person", "person_id"),)

    gathering_id: Mapped[int] = mapped_column(ForeignKey("gatherings.id"), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"), primary_key=True)
    added_at: Mapped[datetime]


class SignUp(Model):
    """A person's place in a gathering, or in its queue. ``round_trip_km``: the trip that an online meeting replaces."""

    __tablename__ = "gathering_sign_ups"
    __table_args__ = (
        UniqueConstraint("gathering_id", "person_id"),
        CheckConstraint("state in ('signed','waiting','cancelled','attended','no_show')", name="state"),
        CheckConstraint("round_trip_km between 0.5 and 3000", name="trip"),
        Index("ix_gathering_sign_ups_person", "person_id", "id"),
        Index(
            "ix_gathering_sign_ups_waiting",
            "gathering_id",
            "signed_at",
            "id",
            postgresql_where=text("state = 'waiting'"),
        ),
    )

    id: Mapped[int] = id_column()
    gathering_id: Mapped[int] = mapped_column(ForeignKey("gatherings.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    state: Mapped[str] = mapped_column(Text)
    signed_at: Mapped[datetime]
    round_trip_km: Mapped[Any | None] = mapped_column(Numeric(6, 2))
    changed_at: Mapped[datetime]


class Attendance(Model):
    """A person was there, on a Shanghai day. ``how``: code (scanned), typed, minutes (of presence), tencent."""

    __tablename__ = "gathering_attendances"
    __table_args__ = (
        UniqueConstraint("gathering_id", "person_id", "day"),
        CheckConstraint("how in ('code','typed','minutes','tencent')", name="how"),
        Index("ix_gathering_attendances_person", "person_id", "id"),
    )

    id: Mapped[int] = id_column()
    gathering_id: Mapped[int] = mapped_column(ForeignKey("gatherings.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    day: Mapped[date] = mapped_column(Date)
    place_id: Mapped[int | None] = mapped_column(ForeignKey("gathering_places.id"))
    how: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime]
    minutes: Mapped[int | None]


class GatheringAct(Model):
    """What an attendance earned by a scenario: its record, or why there is none."""

    __tablename__ = "gathering_acts"
    __table_args__ = (
        UniqueConstraint("attendance_id", "scenario"),
        CheckConstraint("(record_id is null) <> (refused is null)", name="outcome"),
    )

    id: Mapped[int] = id_column()
    attendance_id: Mapped[int] = mapped_column(ForeignKey("gathering_attendances.id"))
    scenario: Mapped[str] = mapped_column(Text)
    record_id: Mapped[int | None] = mapped_column(ForeignKey("records.id"))
    refused: Mapped[str | None] = mapped_column(Text)


class Presence(Model):
    """A span in which a person's applet said that they are there."""

    __tablename__ = "gathering_presences"
    __table_args__ = (
        CheckConstraint("ended_at >= began_at", name="span"),
        Index("ix_gathering_presences_person", "gathering_id", "person_id", "ended_at"),
        Index("ix_gathering_presences_owner", "person_id"),
    )

    id: Mapped[int] = id_column()
    gathering_id: Mapped[int] = mapped_column(ForeignKey("gatherings.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    began_at: Mapped[datetime]
    ended_at: Mapped[datetime]


class Signal(Model):
    """Tencent Meeting says that a person's device joined or left."""

    __tablename__ = "gathering_signals"
    __table_args__ = (
        CheckConstraint("kind in ('joined','left')", name="kind"),
        Index("ix_gathering_signals_gathering", "gathering_id", "person_id", "at"),
        Index("ix_gathering_signals_owner", "person_id"),
    )

    id: Mapped[int] = id_column()
    gathering_id: Mapped[int] = mapped_column(ForeignKey("gatherings.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    kind: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime]


class MeetingLink(Model):
    """A program's webhook at Tencent Meeting: the token that signs, and the key where messages are encrypted."""

    __tablename__ = "meeting_links"

    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"), primary_key=True)
    token_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    aes_key_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    made_by: Mapped[str] = mapped_column(Text)
    made_at: Mapped[datetime]
