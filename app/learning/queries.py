"""Reads of green education: what there is, what I have read, how far I am."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert

from app import clock
from app.db import connection, read
from app.errors import NOT_FOUND
from app.learning.models import ArticleRead

_COURSES = """
    select c.id, c.code, c.title, c.title_en, c.text_zh, c.text_en, count(a.id) as articles, count(r.article_id) as done
    from courses c left join articles a on a.course_id = c.id and a.state = 'published'
    left join article_reads r on r.article_id = a.id and r.person_id = %(person)s
    where c.program_id = %(program)s and c.state = 'published' group by c.id order by c.id
"""
_ARTICLES = """
    select a.id, a.code, a.title, a.title_en, a.minutes, a.position, c.code as course, r.read_at
    from articles a left join courses c on c.id = a.course_id
    left join article_reads r on r.article_id = a.id and r.person_id = %(person)s
    where a.program_id = %(program)s and a.state = 'published' and (c.id is null or c.state = 'published')
    order by c.id nulls last, a.position, a.id
"""
_QUIZZES = """
    select q.id, q.code, q.kind, q.title, q.title_en, q.draws, q.passes, q.seconds, q.attempts, q.opens_at, q.closes_at,
           c.code as course, coalesce(t.used, 0) as used, coalesce(t.passed, false) as passed
    from quizzes q left join courses c on c.id = q.course_id
    left join lateral (
      select count(*) as used, bool_or(passed) as passed from quiz_attempts a
      where a.quiz_id = q.id and a.person_id = %(person)s
        and a.round = case q.kind when 'daily' then %(day)s else 'once' end
    ) t on true
    where q.program_id = %(program)s and q.state = 'published' and (q.closes_at is null or q.closes_at > %(at)s)
    order by q.id
"""


def overview(*, program_id: int, person_id: int, at: datetime) -> tuple[list[Any], list[Any], list[Any]]:
    """Courses, articles and quizzes of a program as a person sees them."""
    values = {"program": program_id, "person": person_id, "at": at, "day": clock.business_day(at).isoformat()}
    return read(_COURSES, values), read(_ARTICLES, values), read(_QUIZZES, values)


_ARTICLE = """
    select a.id, a.program_id, a.code, a.title, a.title_en, a.body_zh, a.body_en, a.source, a.minutes, c.code as course,
           r.read_at
    from articles a left join courses c on c.id = a.course_id
    left join article_reads r on r.article_id = a.id and r.person_id = %(person)s
    join memberships m on m.program_id = a.program_id and m.person_id = %(person)s and m.state = 'active'
    where a.id = %(id)s and a.state = 'published'
"""


def article(*, article_id: int, person_id: int) -> Any:
    """An article of a program of mine. Raises NOT_FOUND."""
    rows = read(_ARTICLE, {"id": article_id, "person": person_id})
    if not rows:
        raise NOT_FOUND(article=str(article_id))
    return rows[0]


def mark_read(*, article_id: int, person_id: int, at: datetime) -> datetime:
    """Note that a person has read an article; answers when they did so first. Raises NOT_FOUND."""
    article(article_id=article_id, person_id=person_id)
    row = {"article_id": article_id, "person_id": person_id, "read_at": at}
    connection().execute(insert(ArticleRead).values(row).on_conflict_do_nothing())
    query = text("select read_at from article_reads where article_id = :article and person_id = :person")
    found: datetime = connection().execute(query, {"article": article_id, "person": person_id}).scalar_one()
    return found


_REPORT = """
    select q.code, q.kind, q.title, count(a.id) as attempts, count(distinct a.person_id) as people,
           count(a.id) filter (where a.passed) as passed, round(avg(a.right_count), 2) as mean_right
    from quizzes q left join quiz_attempts a on a.quiz_id = q.id
    where q.program_id = %(program)s group by q.id order by q.id
"""
_BANKS = """
    select bank, count(*) filter (where state = 'active') as active, count(*) as versions, max(made_at) as newest
    from questions where program_id = %(program)s group by bank order by bank
"""


def report(program_id: int) -> list[Any]:
    """A program's quizzes in numbers."""
    return read(_REPORT, {"program": program_id})


def banks(program_id: int) -> list[Any]:
    """A program's question banks in numbers."""
    return read(_BANKS, {"program": program_id})
