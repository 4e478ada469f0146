"""Tables of green education: questions in banks, courses, articles, quizzes, and what people made of them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column


class Question(Model):
    """One immutable version of a question of a bank; a changed one is a new version, so that old attempts explain
    themselves. ``options``: ``[{"zh", "en"}]``; ``right``: places in it, from 0; more than one may be right."""

    __tablename__ = "questions"
    __table_args__ = (
        UniqueConstraint("program_id", "bank", "ref", "version"),
        CheckConstraint("state in ('active','retired')", name="state"),
        CheckConstraint('cardinality("right") >= 1', name="right"),
        Index(
            "uq_questions_active", "program_id", "bank", "ref", unique=True, postgresql_where=text("state = 'active'")
        ),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    bank: Mapped[str] = mapped_column(Text)
    ref: Mapped[str] = mapped_column(Text)
    version: Mapped[int]
    stem: Mapped[str] = mapped_column(Text)
    stem_en: Mapped[str] = mapped_column(Text, server_default="")
    options: Mapped[list[Any]]
    right: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    explanation: Mapped[str] = mapped_column(Text)
    explanation_en: Mapped[str] = mapped_column(Text, server_default="")
    source: Mapped[str] = mapped_column(Text, server_default="")
    content_hash: Mapped[bytes] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(Text, server_default="active")
    made_by: Mapped[str] = mapped_column(Text)
    made_at: Mapped[datetime]


class Course(Model):
    """Articles in an order, and perhaps a quiz at the end."""

    __tablename__ = "courses"
    __table_args__ = (
        UniqueConstraint("program_id", "code"),
        UniqueConstraint("program_id", "id"),
        CheckConstraint("state in ('published','retired')", name="state"),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    code: Mapped[str] = mapped_column(Text)
    title: Mapped[str] = mapped_column(Text)
    title_en: Mapped[str] = mapped_column(Text, server_default="")
    text_zh: Mapped[str] = mapped_column(Text, server_default="")
    text_en: Mapped[str] = mapped_column(Text, server_default="")
    state: Mapped[str] = mapped_column(Text, server_default="published")


class Article(Model):
    """Something to read, alone or as a lesson of a course. It says where its facts come from."""

    __tablename__ = "articles"
    __table_args__ = (
        UniqueConstraint("program_id", "code"),
        ForeignKeyConstraint(["program_id", "course_id"], ["courses.program_id", "courses.id"]),
        CheckConstraint("state in ('published','retired')", name="state"),
        CheckConstraint("minutes between 1 and 240", name="minutes"),
        Index("ix_articles_course", "course_id", "position"),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    course_id: Mapped[int | None]
    position: Mapped[int] = mapped_column(server_default=text("1"))
    code: Mapped[str] = mapped_column(Text)
    title: Mapped[str] = mapped_column(Text)
    title_en: Mapped[str] = mapped_column(Text, server_default="")
    body_zh: Mapped[str] = mapped_column(Text)
    body_en: Mapped[str] = mapped_column(Text, server_default="")
    source: Mapped[str] = mapped_column(Text)
    minutes: Mapped[int]
    state: Mapped[str] = mapped_column(Text, server_default="published")


class ArticleRead(Model):
    """Somebody has read an article; the first time counts."""

    __tablename__ = "article_reads"
    __table_args__ = (Index("ix_article_reads_person", "person_id"),)

    article_id: Mapped[int] = mapped_column(ForeignKey("articles.id"), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"), primary_key=True)
    read_at: Mapped[datetime]


class Quiz(Model):
    """Questions drawn from a bank. ``daily``: one round each Shanghai day; others: one round for ever.

    ``draws`` questions, ``seconds`` to answer them, at most ``attempts`` in a round, passed with ``passes`` right.
    """

    __tablename__ = "quizzes"
    __table_args__ = (
        UniqueConstraint("program_id", "code"),
        ForeignKeyConstraint(["program_id", "course_id"], ["courses.program_id", "courses.id"]),
        CheckConstraint("kind in ('daily','open','course')", name="kind"),
        CheckConstraint("(kind = 'course') = (course_id is not null)", name="course"),
        CheckConstraint("draws between 1 and 50 and passes between 1 and draws", name="draws"),
        CheckConstraint("seconds between 10 and 7200 and attempts between 1 and 20", name="limits"),
        CheckConstraint("closes_at > opens_at", name="times"),
        CheckConstraint("state in ('published','retired')", name="state"),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    code: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    title: Mapped[str] = mapped_column(Text)
    title_en: Mapped[str] = mapped_column(Text, server_default="")
    bank: Mapped[str] = mapped_column(Text)
    scenario: Mapped[str] = mapped_column(Text, server_default="quiz")
    draws: Mapped[int]
    passes: Mapped[int]
    seconds: Mapped[int]
    attempts: Mapped[int]
    course_id: Mapped[int | None]
    opens_at: Mapped[datetime]
    closes_at: Mapped[datetime | None]
    state: Mapped[str] = mapped_column(Text, server_default="published")


class QuizAttempt(Model):
    """One try: the very versions of the questions that were drawn, and the first answers to them.

    ``round``: the Shanghai day of a daily quiz, ``once`` for others; a round earns once.
    """

    __tablename__ = "quiz_attempts"
    __table_args__ = (
        UniqueConstraint("quiz_id", "person_id", "round", "number"),
        CheckConstraint("due_at > started_at", name="times"),
        CheckConstraint(
            "(submitted_at is null) = (answers is null) and (submitted_at is null) = (right_count is null)"
            " and (submitted_at is null) = (passed is null)",
            name="submitted",
        ),
        CheckConstraint("right_count between 0 and cardinality(question_ids)", name="right_count"),
        Index("ix_quiz_attempts_person", "person_id", "id"),
        Index(
            "uq_quiz_attempts_paid",
            "quiz_id",
            "person_id",
            "round",
            unique=True,
            postgresql_where=text("record_id is not null"),
        ),
    )

    id: Mapped[int] = id_column()
    quiz_id: Mapped[int] = mapped_column(ForeignKey("quizzes.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    round: Mapped[str] = mapped_column(Text)
    number: Mapped[int]
    day: Mapped[date] = mapped_column(Date)
    question_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    started_at: Mapped[datetime]
    due_at: Mapped[datetime]
    submitted_at: Mapped[datetime | None]
    answers: Mapped[dict[str, Any] | None]
    right_count: Mapped[int | None]
    passed: Mapped[bool | None]
    record_id: Mapped[int | None] = mapped_column(ForeignKey("records.id"))
