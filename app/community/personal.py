"""What this feature holds about a person (see app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from app.db import run

COLUMNS: Mapping[str, str] = {
    "posts.person_id": "kept: without content; the words and pictures are erased, comments of others hang on it",
    "comments.person_id": "kept: without content; the words are erased",
    "likes.person_id": "erased",
    "blocks.person_id": "erased",
    "blocks.blocked_id": "erased",
    "reports.person_id": "kept: without words; what was decided about somebody else's words",
}
EXPORT: Mapping[str, str] = {
    "posts": (
        "select id::text, body, medium_ids, state, reason, created_at from posts"
        " where person_id = :person_id order by id"
    ),
    "comments": (
        "select id::text, post_id::text, body, state, reason, created_at from comments"
        " where person_id = :person_id order by id"
    ),
    "likes": "select post_id::text, created_at from likes where person_id = :person_id order by post_id",
    "reports": "select kind, reason, words, state, created_at from reports where person_id = :person_id order by id",
}
_ERASE = (
    "update posts set body = '', client_ref = '#' || id, body_hash = '', medium_ids = '{}', reason = '',"
    " state = 'removed', decided_at = %(at)s where person_id = %(person)s",
    "update comments set body = '', client_ref = '#' || id, body_hash = '', reason = '', state = 'removed',"
    " decided_at = %(at)s where person_id = %(person)s",
    "delete from likes where person_id = %(person)s",
    "delete from blocks where person_id = %(person)s or blocked_id = %(person)s",
    "update reports set words = '' where person_id = %(person)s",
)


def losses(person_id: int, at: datetime) -> list[dict[str, str | int]]:
    """Posts go with the person."""
    query = "select count(*) as n from posts where person_id = %(person)s and state = 'shown'"
    count = int(run(query, {"person": person_id})[0].n)
    return [{"what": "posts", "count": count}] if count else []


def erase(person_id: int, at: datetime) -> None:
    """Erase the words, the likes and whom the person didn't want to meet."""
    for statement in _ERASE:
        run(statement, {"person": person_id, "at": at})
