"""What this feature holds about a person (see app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import text

from app.db import connection

COLUMNS: Mapping[str, str] = {
    "article_reads.person_id": "erased",
    "quiz_attempts.person_id": "kept: what credits were paid for, under a pseudonym; the answers are erased",
}
EXPORT: Mapping[str, str] = {
    "article_reads": (
        "select a.title as article, r.read_at from article_reads r join articles a on a.id = r.article_id"
        " where r.person_id = :person_id order by r.read_at, a.id"
    ),
    "quiz_attempts": (
        "select q.title as quiz, a.day, a.number, a.started_at, a.submitted_at, a.answers, a.right_count, a.passed"
        " from quiz_attempts a join quizzes q on q.id = a.quiz_id where a.person_id = :person_id order by a.id"
    ),
}


def losses(person_id: int, at: datetime) -> list[dict[str, str | int]]:
    """Nothing is lost that the wallet does not name."""
    return []


def erase(person_id: int, at: datetime) -> None:
    """Erase what was read and answered; that an attempt earned stays beside its record."""
    reads = "delete from article_reads where person_id = :person_id"
    answers = "update quiz_attempts set answers = '{}' where person_id = :person_id and answers is not null"
    for statement in (reads, answers):
        connection().execute(text(statement), {"person_id": person_id})
