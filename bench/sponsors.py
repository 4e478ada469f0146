"""Many clients who all draw on one sponsor's budget, against as many on budgets of their own."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

from app import funding
from app.clock import now
from app.db import retrying, run, transaction
from bench.city import City, city, open_budget
from bench.measures import Bench
from bench.postings import many_clients

CLIENTS, ROUNDS = 32, 3


def one_against_many(bench: Bench) -> float:
    """Awards a second from one budget over awards a second from 32; slices alternate."""
    here = city()
    budgets = _budgets(here)
    _wallets(bench, here)
    one, many = 0.0, 0.0
    seconds = bench.seconds / ROUNDS / 2
    for _ in range(ROUNDS):
        many += many_clients(bench.app, _awarding(here, budgets), seconds, threads=CLIENTS // 2)
        one += many_clients(bench.app, _awarding(here, budgets[:1]), seconds, threads=CLIENTS // 2)
    bench.notes["one"], bench.notes["many"] = one / ROUNDS, many / ROUNDS
    return one / many


def _budgets(here: City) -> list[int]:
    known = "select id from budgets where program_id = %(p)s and code like 'sponsor-%%' order by id"
    with transaction():
        for number in range(CLIENTS):
            open_budget(here.program_id, here.sponsor_id, f"sponsor-{number}", now())
        return [row.id for row in run(known, {"p": here.program_id})]


def _wallets(bench: Bench, here: City) -> None:
    """Opened beforehand: opening is not what is measured."""
    with transaction():
        funding.wallets_of([(person, here.program_id) for person in here.people[: CLIENTS * 50]])


def _awarding(here: City, budgets: list[int]) -> Callable[[int, int], None]:
    """The n-th award of a client: its own fifty people, so that only budgets can be in the way."""
    stamp = secrets.token_hex(4)

    def command(client: int, number: int) -> None:
        at = now()
        request = funding.AwardRequest(
            here.program_id,
            here.people[client * 50 + number % 50],
            "bench",
            f"{stamp}-{client}-{number}",
            _day(at, number),
            base_micro=7_000_000,
            budget_id=budgets[client % len(budgets)],
        )

        def once() -> None:
            with transaction():
                funding.award([request], at=at)

        retrying(once)

    return command


def _day(at: datetime, number: int) -> datetime:
    """Spread over the year: a person's daily cap must not cut what is measured."""
    return at - timedelta(days=number // 50 % 300)
