"""A challenge as a manager writes it, with what a test wants otherwise; and the days on which people act."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from app import challenges, records
from app.challenges import Challenge
from app.clock import SHANGHAI
from app.db import run, transaction
from tests.world import World, act

START = datetime(2026, 11, 16, tzinfo=SHANGHAI)
END = datetime(2026, 11, 23, tzinfo=SHANGHAI)
CLOSED = END + timedelta(days=2, minutes=15)

TOML = """
code = "{code}"
kind = "{kind}"
measure = "{measure}"
scenarios = ["metro-ride"]
enrol_from = 2026-11-10T00:00:00+08:00
enrol_until = 2026-11-21T00:00:00+08:00
starts = 2026-11-16T00:00:00+08:00
ends = 2026-11-23T00:00:00+08:00
budget = "main"
{more}
name = {{ zh = "地铁周", en = "Metro week" }}
text = {{ zh = "一周坐地铁。", en = "A week of metro." }}
{prizes}
"""
REACH = '[[prizes]]\nreach = "{reach}"\ncredits = {credits}\nname = {{ zh = "达标", en = "Reached" }}\n'
RANKS = '[[prizes]]\nranks = [{first}, {last}]\ncredits = {credits}\nname = {{ zh = "名次", en = "Rank" }}\n'


def toml(
    kind: str = "race", measure: str = "km", *, code: str = "metro-week", more: str = "capacity = 100", prizes: str = ""
) -> str:
    """The text of a file."""
    prizes = prizes or (RANKS.format(first=1, last=2, credits=50) if kind in ("race", "team", "unit")
                        else REACH.format(reach="2", credits=30))  # fmt: skip
    return TOML.format(code=code, kind=kind, measure=measure, more=more, prizes=prizes)


def live(world: World, text: str, *, at: datetime = START) -> Challenge:
    """Draft and launch, in a transaction of its own."""
    with transaction():
        made = challenges.draft(
            program_id=world.program_id, definition=challenges.parse(text), actor="operator:lin", at=at
        )
        return challenges.launch(challenge_id=made.id, version=made.version, approval_id=None, at=at)


def join(world: World, *people: int, code: str = "metro-week", at: datetime = START) -> None:
    for person in people:
        with transaction():
            challenges.enrol(program_id=world.program_id, code=code, person_id=person, at=at)


def ride(
    world: World, person: int, day: int, km: str = "10", *, hour: int = 8, at: datetime | None = None, **changes: Any
) -> int:
    """A metro ride on a day of November; answers its record."""
    began = datetime(2026, 11, day, hour, tzinfo=SHANGHAI)
    with transaction():
        taken = records.take(
            act(world, person, facts={"distance_km": km}, occurred_at=began, ended_at=began + timedelta(minutes=60),
                **changes),
            at=at or began + timedelta(minutes=90),
        )  # fmt: skip
    assert taken.refusal is None, taken.refusal
    assert taken.record_id is not None
    return taken.record_id


def settle(challenge: Challenge, *, at: datetime = CLOSED) -> None:
    """All steps, each in its transaction."""
    for _ in range(20):
        with transaction():
            if challenges.settle(challenge_id=challenge.id, at=at).state == "settled":
                return
    raise AssertionError("never settled")


def ranks(challenge: Challenge) -> list[tuple[int, int]]:
    """(subject, value) of the published list, in order."""
    return [(row.subject_id, row.value) for row in challenges.results(challenge.id, after=0, limit=1000)]


def wins(challenge: Challenge) -> dict[int, tuple[int, str]]:
    """Credits and state of each winner's first prize."""
    query = "select person_id, credits, state from challenge_wins where challenge_id = %(id)s order by prize_no desc"
    return {row.person_id: (row.credits, row.state) for row in run(query, {"id": challenge.id})}


def balance(world: World, person: int) -> int:
    query = """
        select a.balance from wallets w join accounts a on a.id = w.credits_account_id
        where w.person_id = %(person)s and w.program_id = %(program)s
    """
    rows = run(query, {"person": person, "program": world.program_id})
    return int(rows[0].balance) if rows else 0


def capacity(budget_id: int) -> int:
    """What a budget can still issue."""
    query = """
        select sum(a.balance)::bigint as n from budget_slices s join accounts a on a.id = s.account_id
        where s.budget_id = %(b)s
    """
    return int(run(query, {"b": budget_id})[0].n)
