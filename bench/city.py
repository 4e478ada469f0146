"""The city that everything is measured in: 20,000 people on its boards, 3,000 of them with open sessions.

Made once per database, by bulk statements; tokens are derived from a number, so that they need not be kept anywhere.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app import clock, funding, leaderboards, methodologies, programs, scenarios, sources
from app.clock import now
from app.db import run, transaction
from app.people import consents
from app.people.sign_in import token_hash
from app.programs import templates

CODE = "bench-city"
PEOPLE, PHONES = 20_000, 3_000
PRICE_FEN = 2_000


@dataclass(frozen=True)
class City:
    """Ids of the city, and its people in order; the first ``PHONES`` have sessions."""

    program_id: int
    sponsor_id: int
    budget_id: int
    people: list[int]


def token(number: int) -> str:
    """The token of the n-th phone."""
    return base64.urlsafe_b64encode(hashlib.sha256(f"bench:{number}".encode()).digest()).decode().rstrip("=")


def city() -> City:
    """The city of this database, made when there is none. Commits as it goes."""
    if programs.find(CODE) is None:
        _make(now())
    program = programs.by_code(CODE)
    budget = run("select id, sponsor_id from budgets where program_id = %(p)s and code = 'main'", {"p": program.id})[0]
    people = run("select id from persons where pseudonym like 'bench-%%' order by id", {})
    return City(program.id, budget.sponsor_id, budget.id, [row.id for row in people])


def _make(at: datetime) -> None:
    with transaction():
        methodologies.publish_library(at=at)
    with transaction():
        made = programs.create(
            code=CODE,
            name="测速之城",
            name_en="City of measures",
            region="CN-SC",
            template=templates.load("city"),
            actor="system:bench",
            at=at - timedelta(days=400),
            starts_on=(at - timedelta(days=400)).date(),
            demo=True,
        )
        program_id = made.program.id
        for draft in made.scenarios:
            scenarios.offer(program_id=program_id, definition=draft)
        sponsor = funding.sponsor(program_id=program_id, code="bank", name="银行", name_en="Bank")
        open_budget(program_id, sponsor.id, "main", at, is_default=True)
        for kind in ("citizen", "file", "partner"):
            sources.register(program_id=program_id, code=kind, kind=kind, name=kind)
    with transaction():
        _people(program_id, at)
    with transaction():
        _scores(program_id, at)
    with transaction():
        for _ in leaderboards.rebuild(program_id):
            pass


def open_budget(program_id: int, sponsor_id: int, code: str, at: datetime, *, is_default: bool = False) -> int:
    """A budget that no measure can empty; inside a transaction."""
    budget = funding.open_budget(
        program_id=program_id,
        sponsor_id=sponsor_id,
        code=code,
        name=code,
        price_fen=PRICE_FEN,
        is_default=is_default,
        at=at,
    )
    funding.receive_deposit(budget=budget, fen=20_000_000_000, reference="bench", at=at)
    return budget.id


_PEOPLE = """
    with made as (
      insert into persons (pseudonym, nickname, created_at)
      select 'bench-' || to_char(n, 'FM0000000'), '市民' || n, %(at)s from generate_series(1, %(people)s) n returning id
    ), members as (
      insert into memberships (program_id, person_id, state, rank, joined_by, joined_at)
      select %(program)s, id, 'active', 1, 'open', %(at)s from made
    )
    insert into consents (person_id, purpose, text_version, text_hash, granted_at)
    select id, 'rides', %(version)s, %(hash)s, %(at)s from made
"""
_SESSIONS = """
    insert into sessions (token_hash, person_id, epoch, device, created_at, expires_at)
    select x.hash, x.person, 1, 'bench', %(at)s, %(at)s + interval '30 days'
    from unnest(%(hashes)s::bytea[], %(people)s::bigint[]) as x (hash, person)
"""


def _people(program_id: int, at: datetime) -> None:
    rides = consents.purpose("rides")
    values = {"at": at - timedelta(days=300), "people": PEOPLE, "program": program_id}
    run(_PEOPLE, {**values, "version": rides.version, "hash": rides.text_hash})
    found = run("select id from persons where pseudonym like 'bench-%%' order by id limit %(n)s", {"n": PHONES})
    hashes = [token_hash(token(number)) for number in range(PHONES)]
    run(_SESSIONS, {"at": at, "hashes": hashes, "people": [row.id for row in found]})


_SCORES = """
    insert into scores (program_id, subject_kind, period_kind, period_key, subject_id, mg, mg_reached_at, mg_rank,
                        credits, credits_reached_at, credits_rank)
    select %(program)s, 'person', %(kind)s, %(key)s, x.id, x.mg, %(at)s,
           board_rank(x.mg, %(at)s, %(kind)s, board_start(%(kind)s, %(key)s)), x.mg / 10000, %(at)s,
           board_rank(x.mg / 10000, %(at)s, %(kind)s, board_start(%(kind)s, %(key)s))
    from (select id, (id * 7919 %% 1000003 + 1) * 1000 as mg from persons where pseudonym like 'bench-%%') x
"""


def _scores(program_id: int, at: datetime) -> None:
    """A board of last month and one of this, filled without the acts behind them."""
    day = clock.business_day(at)
    for when in (day, day.replace(day=1) - timedelta(days=1)):
        period = clock.period("month", when)
        run(_SCORES, {"program": program_id, "kind": "month", "key": period.key, "at": period.starts})


def month_now() -> str:
    """The key of the present month."""
    return clock.period("month", clock.business_day(now())).key


def rows(sql: str, **values: Any) -> list[Any]:
    """What a measure looks up."""
    return run(sql, values)
