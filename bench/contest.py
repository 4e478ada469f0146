"""Contests: the page of a challenge with the live rank, and the settlement of one of 100,000 persons."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psutil

from app import challenges, clock, funding, leaderboards
from app.challenges import Challenge, Definition
from app.clock import now
from app.db import db, retrying, run, transaction
from bench import load
from bench.city import CODE, City, city, token
from bench.load import http_request
from bench.measures import Bench
from bench.reads import READERS

CROWD = 100_000
PRIZE = 5


@dataclass
class Settled:
    """What one measure leaves for the next."""

    growth_mb: float = -1.0


def page(bench: Bench) -> float:
    """The page with my live rank and neighbours, for readers who have looked before, in units of F."""
    here = city()
    path = f"/api/v1/programs/{CODE}/challenges/{_running(here, now())}"
    ready = [
        http_request("GET", path, headers={"Authorization": f"Bearer {token(number)}"}) for number in range(READERS)
    ]
    load.run(bench.address, lambda number: ready[number % READERS], seconds=2)
    bench.notes["taking_part"] = len(here.people)
    return bench.ratio_to_f(lambda number: ready[number % READERS])


def settlement(bench: Bench) -> float:
    """Seconds from 300,000 records of 100,000 persons to a published result with every prize paid and told."""
    here = city()
    at = now()
    challenge = _crowded(here, bench, at)
    process = psutil.Process(os.getpid())
    before, peak, steps = process.memory_info().rss, 0, 0
    began = time.perf_counter()
    state = ""
    while state != "settled":
        state = retrying(lambda: _step(challenge, at)).state
        db.session.remove()
        peak, steps = max(peak, process.memory_info().rss), steps + 1
        if steps == 1:
            bench.notes["result_s"] = round(time.perf_counter() - began, 1)
    took = time.perf_counter() - began
    paid = run(_PAID, {"id": challenge})
    told = run("select count(*) as n from notices where notice_key like %(k)s", {"k": f"challenge:{challenge}:prize:%"})
    if paid[0].n != CROWD or told[0].n != CROWD:
        raise RuntimeError(f"{paid[0].n} prizes and {told[0].n} notices instead of {CROWD}")
    same, _ = challenges.verify(challenge)
    if not same:
        raise RuntimeError("the result does not compute again")
    Settled.growth_mb = max(peak - before, 0) / 1_000_000
    bench.notes["prizes"], bench.notes["growth_mb"] = CROWD, round(Settled.growth_mb, 1)
    return took


def growth(bench: Bench) -> float:
    """How much the process grew while it settled, in MB; measured by the settlement itself."""
    if Settled.growth_mb < 0:
        settlement(bench)
    return Settled.growth_mb


_PAID = "select count(*) as n from challenge_wins where challenge_id = %(id)s and state = 'paid'"


def _step(challenge_id: int, at: datetime) -> challenges.Step:
    with transaction():
        return challenges.settle(challenge_id=challenge_id, at=at)


def _definition(code: str, at: datetime, *, starts: datetime, ends: datetime, capacity: int) -> Definition:
    return challenges.from_json(
        {
            "code": code, "kind": "race", "measure": "metres", "scenarios": ["metro-ride"],
            "enrol_from": starts.isoformat(), "enrol_until": ends.isoformat(), "starts_at": starts.isoformat(),
            "ends_at": ends.isoformat(), "closes_at": ends.isoformat(), "capacity": capacity, "per_day": None,
            "least_metres": 0, "norms": {}, "unit_kind": None, "per_head": False, "least_members": 1,
            "on_reversal": "take_back", "budget": "main", "units": [], "tags": [], "least_level": 0, "name": "测速",
            "name_en": "Bench", "text_zh": "测速", "text_en": "Bench",
            "prizes": [{"no": 1, "credits": PRIZE, "name": "达标", "name_en": "Reached", "reach": 1_000}],
        }
    )  # fmt: skip


def _launched(here: City, definition: Definition, at: datetime) -> Challenge:
    with transaction():
        made = challenges.draft(program_id=here.program_id, definition=definition, actor="system:bench", at=at)
        return challenges.launch(challenge_id=made.id, version=made.version, approval_id=None, at=at)


_ALL_IN = """
    insert into enrolments (challenge_id, subject_kind, subject_id, person_id, version, enrolled_at)
    select %(id)s, 'person', x, x, 1, %(at)s from unnest(%(people)s::bigint[]) x
"""
_SEATS = "update challenges set enrolled = %(n)s where id = %(id)s"
_STANDING = """
    with parts as (
      insert into challenge_parts (challenge_id, person_id, group_id, value, place, reached_at)
      select %(id)s, x, x, x * 7919 %% 1000003 + 1, x * 7919 %% 1000003 + 1, %(at)s from unnest(%(people)s::bigint[]) x
      returning person_id, value, reached_at
    )
    insert into challenge_scores (challenge_id, subject_id, value, place, heads, reached_at, rank_score)
    select %(id)s, p.person_id, p.value, p.value, 1, p.reached_at, challenge_rank(p.value, p.reached_at, %(at)s)
    from parts p
"""


def _running(here: City, at: datetime) -> str:
    """A live challenge in which the whole city stands somewhere."""
    code = f"bench-{time.time_ns()}"
    starts = at - timedelta(days=1)
    made = _launched(here, _definition(code, at, starts=starts, ends=at + timedelta(days=30), capacity=50_000), starts)
    with transaction():
        run(_ALL_IN, {"id": made.id, "people": here.people, "at": at})
        run(_SEATS, {"id": made.id, "n": len(here.people)})
        run(_STANDING, {"id": made.id, "people": here.people, "at": at})
        challenges.rebuild(made.id)
    return code


_CROWD = """
    with made as (
      insert into persons (pseudonym, created_at)
      select %(name)s || n, %(at)s from generate_series(1, %(n)s) n returning id
    )
    insert into memberships (program_id, person_id, state, rank, joined_by, joined_at)
    select %(program)s, id, 'active', 1, 'open', %(at)s from made returning person_id
"""
_RIDES = """
    insert into records (program_id, person_id, scenario_id, source_id, reference, facts, facts_hash, occurred_at,
                         ended_at, received_at, tier, state)
    select %(program)s, p, s.id, u.id, %(name)s || p || '-' || d, jsonb_build_object('distance_km', (p + d) %% 40 + 1),
           '', %(at)s::timestamptz - d * interval '1 day', %(at)s::timestamptz - d * interval '1 day',
           %(at)s::timestamptz - d * interval '1 day', 'A', 'counted'
    from unnest(%(people)s::bigint[]) p cross join generate_series(2, 4) d
    join scenarios s on s.program_id = %(program)s and s.code = 'metro-ride'
    join sources u on u.program_id = %(program)s and u.code = 'partner'
"""
_COUNTED = """
    insert into awards (program_id, person_id, wallet_id, record_id, reason, source_ref, terms_id, share_bps, boost_bps,
                        earned_micro, cut_micro, carry_before, carry_after, credits, state, expires_at, created_at)
    select r.program_id, r.person_id, w.id, r.id, 'record', 'record:' || r.id, t.id, 10000, 10000, 0, 0, 0, 0, 0,
           'nothing', %(at)s, r.received_at
    from records r join wallets w on w.person_id = r.person_id and w.program_id = r.program_id
    join terms t on t.program_id = r.program_id and t.version = 1
    where r.program_id = %(program)s and r.reference like %(name)s || '%%'
"""


def _crowded(here: City, bench: Bench, at: datetime) -> int:
    """100,000 persons with wallets and three rides each, all in a challenge that has just closed."""
    name = f"crowd-{time.time_ns()}-"
    starts, ends = at - timedelta(days=6), at - timedelta(days=1)
    code = name.rstrip("-")
    made = _launched(here, _definition(code, at, starts=starts, ends=ends, capacity=CROWD), starts)
    values: dict[str, Any] = {"program": here.program_id, "name": name, "at": at, "n": CROWD}
    with transaction():
        people = [row.person_id for row in run(_CROWD, values)]
    pairs = [(person, here.program_id) for person in people]
    for start in range(0, CROWD, 5_000):
        with transaction():
            part = people[start : start + 5_000]
            funding.wallets_of(pairs[start : start + 5_000])
            run(_RIDES, {**values, "people": part})
            run(_ALL_IN, {"id": made.id, "people": part, "at": starts})
    with transaction():
        run(_COUNTED, values)
        run(_SEATS, {"id": made.id, "n": CROWD})
    with transaction():
        for table in ("records", "awards", "enrolments", "wallets", "persons", "accounts"):
            run(f"analyze {table}")
    bench.notes["records"] = 3 * CROWD
    return made.id


# -- midnight


def turn(bench: Bench) -> float:
    """Looks at a board that found less than there is, while the month turns and its result is frozen underneath.

    The board of the month that ends must show everybody before midnight, after it, and while it is frozen; the boards
    of the periods that begin must answer, empty. Four readers, the clock held at instants around midnight.
    """
    here = city()
    month = clock.period("month", clock.business_day(now()))
    if month.ends is None:
        raise AssertionError("a month ends")
    bad: list[str] = []
    asked: list[int] = []
    stop = threading.Event()
    readers = [threading.Thread(target=_read, args=(bench, here, month, bad, asked, stop)) for _ in range(4)]
    for reader in readers:
        reader.start()
    time.sleep(bench.seconds / 2)
    with transaction():
        frozen = leaderboards.freeze_due(at=month.ends + timedelta(days=4), program_id=here.program_id)
    time.sleep(bench.seconds / 2)
    stop.set()
    for reader in readers:
        reader.join(30)
    if not sum(asked):
        raise RuntimeError("nobody looked")
    bench.notes["looks"], bench.notes["frozen"], bench.notes["first_bad"] = sum(asked), len(frozen), bad[:1]
    return float(len(bad))


def _read(
    bench: Bench, here: City, month: clock.Period, bad: list[str], asked: list[int], stop: threading.Event
) -> None:
    edge, looks = month.ends, 0
    if edge is None:
        raise AssertionError("a month ends")
    with bench.app.app_context():
        while not stop.is_set():
            for step in (-1_000, -1, 0, 1, 1_000, 4 * 86_400_000):
                at = edge + timedelta(milliseconds=step)
                for period in ("day", "week", "month", "season"):
                    key = month.key if period == "month" else None
                    board = leaderboards.board_of(
                        program_id=here.program_id, subject_kind="person", metric="mg", period_kind=period,
                        day=clock.business_day(at), key=key,
                    )  # fmt: skip
                    found = leaderboards.page(board, offset=0, limit=100, at=at)
                    mine = leaderboards.my_line(board, here.people[7], at=at)
                    looks += 1
                    if period == "month" and (found.total < len(here.people) or mine.line is None):
                        bad.append(f"{found.total} at {at}")
                db.session.remove()
    asked.append(looks)
