"""What became of the month, in figures that name people by their number, and one digest of all of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import date
from typing import Any

from app.db import read
from demo.month.crowd import Somebody

# One row for each person and kind of thing, named without ids, so that two databases can be compared.
FACTS = {
    "check-ins": """
        select person_id, count(*) as n, sum(extract(day from day))::bigint as days from check_ins
        where person_id = any(%(ids)s) and day between %(first)s and %(last)s group by 1
    """,
    "acts": """
        select r.person_id, r.state, count(*) as n, coalesce(sum(x.counted_mg), 0)::bigint as mg
        from records r left join reductions x on x.record_id = r.id
        where r.person_id = any(%(ids)s) and r.local_date between %(first)s and %(last)s group by 1, 2
    """,
    "awards": """
        select person_id, reason, state, count(*) as n, sum(credits)::bigint as credits from awards
        where person_id = any(%(ids)s) group by 1, 2, 3
    """,
    "results": """
        select x.subject_id, c.code, x.place, x.value
        from challenge_results x join challenges c on c.id = x.challenge_id
        where c.kind in ('goal', 'streak', 'race') and x.subject_id = any(%(ids)s)
    """,
    "attendances": """
        select a.person_id, g.kind, count(*) as n from gathering_attendances a
        join gatherings g on g.id = a.gathering_id where a.person_id = any(%(ids)s) group by 1, 2
    """,
    "sign-ups": """
        select person_id, state, count(*) as n from gathering_sign_ups where person_id = any(%(ids)s) group by 1, 2
    """,
    "quizzes": """
        select person_id, passed, count(*) as n, sum(right_count) as right from quiz_attempts
        where person_id = any(%(ids)s) and day between %(first)s and %(last)s group by 1, 2
    """,
    "levels": "select person_id, level from person_levels where person_id = any(%(ids)s)",
    "badges": "select person_id, badge from person_badges where person_id = any(%(ids)s)",
    "trees": "select person_id, shape, full_at is not null from trees where person_id = any(%(ids)s)",
    "posts": """
        select person_id, state, count(*) as n, sum((select count(*) from likes l where l.post_id = p.id))::bigint
        from posts p where person_id = any(%(ids)s) and client_ref like 'month-%%' group by 1, 2
    """,
    "photos": """
        select s.person_id, r.state, count(*) as n from snapshots s join records r on r.id = s.record_id
        where s.person_id = any(%(ids)s) group by 1, 2
    """,
    "appeals": "select person_id, state, count(*) as n from appeals where person_id = any(%(ids)s) group by 1, 2",
    "prizes": """
        select w.person_id, c.code, w.state, w.credits from challenge_wins w join challenges c on c.id = w.challenge_id
        where w.person_id = any(%(ids)s)
    """,
}


def figures(everybody: Sequence[Somebody], *, first: date, last: date) -> dict[str, list[list[Any]]]:
    """Rows of each kind, sorted, the person's number first."""
    number = {one.person_id: one.number for one in everybody}
    values = {"ids": list(number), "first": first, "last": last}
    found = {}
    for name, sql in FACTS.items():
        rows = [[number[row[0]], *row[1:]] for row in read(sql, values)]
        found[name] = sorted(rows, key=str)
    return found


def digest(found: dict[str, list[list[Any]]]) -> str:
    """SHA-256 of all rows: equal for equal seeds."""
    return hashlib.sha256(json.dumps(found, sort_keys=True, default=str).encode()).hexdigest()
