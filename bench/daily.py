"""Check-ins by the API: in units of F, and ten thousand people at midnight: each exactly once, none lost."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from app import clock, funding, methodologies, programs, scenarios, sources
from app.clock import now
from app.db import run, transaction
from app.people.sign_in import token_hash
from app.programs import templates
from bench import load
from bench.city import open_budget
from bench.load import http_request
from bench.measures import Bench

CROWD, CONNECTIONS = 10_000, 64
MOST_A_SECOND = 2_000
OPENED_A_SECOND = 900  # of measuring: about as many as will check in


@dataclass(frozen=True)
class Village:
    """A program of its own in each run, for a person checks in once a day. Its people have wallets and sessions."""

    program_id: int
    code: str
    people: int

    def checks_in(self, number: int) -> bytes:
        """The request of the n-th person."""
        headers = {"Authorization": f"Bearer {self._token(number)}"}
        return http_request("POST", f"/api/v1/programs/{self.code}/check-in", headers=headers)

    def opens(self, number: int) -> bytes:
        """The page on which the n-th person starts."""
        return http_request("GET", "/api/v1/me", headers={"Authorization": f"Bearer {self._token(number)}"})

    def _token(self, number: int) -> str:
        return base64.urlsafe_b64encode(hashlib.sha256(f"{self.code}:{number}".encode()).digest()).decode().rstrip("=")

    def settle(self, at: datetime) -> None:
        """People, memberships, sessions and wallets, by bulk statements."""
        hashes = [token_hash(self._token(number)) for number in range(self.people)]
        run(_PEOPLE, {"at": at, "name": f"{self.code}-", "program": self.program_id, "hashes": hashes})
        found = run("select person_id from memberships where program_id = %(p)s", {"p": self.program_id})
        pairs = [(row.person_id, self.program_id) for row in found]
        for start in range(0, len(pairs), 2_000):
            funding.wallets_of(pairs[start : start + 2_000])


_PEOPLE = """
    with named as (
      select hash, n from unnest(%(hashes)s::bytea[]) with ordinality as x (hash, n)
    ), made as (
      insert into persons (pseudonym, created_at) select %(name)s || n, %(at)s from named returning id, pseudonym
    ), members as (
      insert into memberships (program_id, person_id, state, rank, joined_by, joined_at)
      select %(program)s, id, 'active', 1, 'open', %(at)s from made
    )
    insert into sessions (token_hash, person_id, epoch, device, created_at, expires_at)
    select n.hash, m.id, 1, 'bench', %(at)s, %(at)s::timestamptz + interval '60 days'
    from made m join named n on m.pseudonym = %(name)s || n.n
"""


def check_in(bench: Bench) -> float:
    """First check-ins of a day a second, each through the ledger, in units of F.

    Everybody has opened the applet before: their logins are known, as those of the people whose records are measured.
    """
    here = _village(int(bench.seconds * MOST_A_SECOND))
    opened = iter(range(here.people))
    most = int(bench.seconds * OPENED_A_SECOND)
    load.run(bench.address, lambda _: here.opens(next(opened)), seconds=30, most=most)
    people = iter(range(here.people))
    return bench.ratio_to_f(lambda _: here.checks_in(next(people)), connections=16)


def midnight(bench: Bench) -> float:
    """Seconds in which ten thousand people have checked in, by 64 connections; a tenth of them taps twice.

    Raises RuntimeError unless each has exactly one check-in, one record and one credit.
    """
    here = _village(CROWD)
    order = [*range(CROWD), *range(0, CROWD, 10)]
    taps = iter(order)
    began = time.perf_counter()
    found = load.run(
        bench.address, lambda _: here.checks_in(next(taps)), seconds=120, connections=CONNECTIONS, most=len(order)
    )
    took = time.perf_counter() - began
    bench.notes["p99_ms"], bench.notes["rate"] = round(found.p99_ms, 1), found.per_second
    counted = run(_COUNTED, {"program": here.program_id})[0]
    expected = {200: len(order) - CROWD, 201: CROWD}
    if found.statuses != expected or tuple(counted) != (CROWD,) * 4:
        raise RuntimeError(f"expected {expected} and {CROWD} of each, found {found.statuses}, {counted}")
    return took


_COUNTED = """
    select (select count(distinct person_id) from check_ins where program_id = %(program)s) as people,
           (select count(*) from check_ins where program_id = %(program)s) as days,
           (select count(*) from records where program_id = %(program)s and state = 'counted') as records,
           (select sum(credits)::bigint from awards where program_id = %(program)s and state = 'paid') as credits
"""


def _village(people: int) -> Village:
    at, code = now(), f"daily-{secrets.token_hex(4)}"
    began = at - timedelta(days=30)
    with transaction():
        methodologies.publish_library(at=at)
    with transaction():
        made = programs.create(
            code=code,
            name="签到之村",
            name_en="Village of check-ins",
            region="CN-SC",
            template=templates.load("community"),
            actor="system:bench",
            at=began,
            starts_on=clock.business_day(began),
            demo=True,
        )
        here = Village(made.program.id, code, people)
        for draft in made.scenarios:
            scenarios.offer(program_id=here.program_id, definition=draft)
        sponsor = funding.sponsor(program_id=here.program_id, code="bank", name="银行", name_en="Bank")
        open_budget(here.program_id, sponsor.id, "main", at, is_default=True)
        sources.register(program_id=here.program_id, code="system", kind="system", name="系统")
        here.settle(began)
    run("analyze wallets")
    run("analyze sessions")
    return here
