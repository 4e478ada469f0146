"""Tables of surveys. Who answered and what was answered stand in two tables that share no column but the survey."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, Text, UniqueConstraint, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column


class Survey(Model):
    """An anonymous survey of a program, for all its members or for one org-unit with everything below it.

    ``shuffled_at``: since then not even the order of the rows on disk tells who answered what.
    ``questions``: a list of {key, kind (rating or choice), zh, en, choices: [{key, zh, en}]}. Half-open in time.
    """

    __tablename__ = "surveys"
    __table_args__ = (
        UniqueConstraint("program_id", "code"),
        CheckConstraint("closes_at > opens_at", name="span"),
        CheckConstraint("jsonb_array_length(questions) between 1 and 30", name="questions"),
        ForeignKeyConstraint(["program_id", "org_unit_id"], ["org_units.program_id", "org_units.id"]),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    code: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    name_en: Mapped[str] = mapped_column(Text, server_default="")
    text_zh: Mapped[str] = mapped_column(Text, server_default="")
    text_en: Mapped[str] = mapped_column(Text, server_default="")
    questions: Mapped[list[Any]]
    org_unit_id: Mapped[int | None]
    opens_at: Mapped[datetime]
    closes_at: Mapped[datetime]
    made_by: Mapped[str] = mapped_column(Text)
    made_at: Mapped[datetime]
    shuffled_at: Mapped[datetime | None]


class SurveyVoter(Model):
    """That a person has answered a survey; not when, and nothing of what."""

    __tablename__ = "survey_voters"

    survey_id: Mapped[int] = mapped_column(ForeignKey("surveys.id"), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"), primary_key=True)
    __table_args__ = (Index("ix_survey_voters_person", "person_id"),)


class SurveyAnswer(Model):
    """What somebody of an org-unit answered: a random id, no time, no person, so that no order tells whose it is."""

    __tablename__ = "survey_answers"
    __table_args__ = (Index("ix_survey_answers_survey", "survey_id", "org_unit_id"),)

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, server_default=text("gen_random_uuid()"))
    survey_id: Mapped[int] = mapped_column(ForeignKey("surveys.id"))
    org_unit_id: Mapped[int | None] = mapped_column(ForeignKey("org_units.id"))
    answers: Mapped[dict[str, Any]]
