"""What this feature holds about a person (see app/personal_data.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from app.db import run

COLUMNS: Mapping[str, str] = {
    "enrolments.subject_id": "kept: a published result names a pseudonym and can be computed again",
    "enrolments.person_id": "kept: the same",
    "challenge_parts.person_id": "kept: the same",
    "challenge_scores.subject_id": "kept: the same; it is shown no more",
    "challenge_results.subject_id": "kept: a published result never changes; the line is shown no more",
    "challenge_wins.person_id": "kept: belongs to the ledger's awards; a prize that was due lapses",
    "challenge_wins.subject_id": "kept: the same",
    "challenge_corrections.person_id": "kept: the log of a published result",
}
EXPORT: Mapping[str, str] = {
    "challenges": (
        "select p.code as program, c.code as challenge, c.name, e.enrolled_at, e.withdrawn_at,"
        " (select sum(q.value) from challenge_parts q where q.challenge_id = c.id and q.person_id = :person_id)"
        " as value"
        " from enrolments e join challenges c on c.id = e.challenge_id join programs p on p.id = c.program_id"
        " where e.person_id = :person_id order by e.enrolled_at, c.id"
    ),
    "challenge_prizes": (
        "select c.code as challenge, w.prize_no, w.credits, w.state from challenge_wins w"
        " join challenges c on c.id = w.challenge_id where w.person_id = :person_id order by c.id, w.prize_no"
    ),
}


def losses(person_id: int, at: datetime) -> list[dict[str, str | int]]:
    """Prizes that are still due are lost."""
    query = (
        "select coalesce(sum(credits), 0)::bigint as credits from challenge_wins"
        " where person_id = %(person)s and state = 'due'"
    )
    due = int(run(query, {"person": person_id})[0].credits)
    return [{"what": "challenge_prizes", "credits": due}] if due else []


def erase(person_id: int, at: datetime) -> None:
    """Takes no part any more where it still runs; a prize that was due lapses."""
    run("update challenge_wins set state = 'lapsed' where person_id = %(p)s and state = 'due'", {"p": person_id})
    left = """
        with gone as (
          update enrolments e set withdrawn_at = %(at)s from challenges c
          where c.id = e.challenge_id and c.state = 'live' and e.subject_kind = 'person' and e.subject_id = %(p)s
            and e.withdrawn_at is null returning c.id
        )
        update challenges c set enrolled = enrolled - 1 from gone where c.id = gone.id
    """
    run(left, {"p": person_id, "at": at})
