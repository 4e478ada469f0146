"""Caps: how many credits a person can earn by a scenario (and in a program) per day, week and year (MET-6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from app import clock
from app.db import run
from app.units import MICRO

if TYPE_CHECKING:
    from app.funding.awards import _Line

Key = tuple[int, str, str]

_READ = """
    select c.person_id, c.scope, c.period, c.used_micro from cap_uses c
    join unnest(%(p)s::bigint[], %(s)s::text[], %(d)s::text[]) as x (p, s, d)
      on c.person_id = x.p and c.scope = x.s and c.period = x.d
"""
# Used caps and carries of one award are written with one statement: a round trip less for every act.
_WRITE = """
    with used as (
      insert into cap_uses (person_id, scope, period, used_micro, cap_micro)
      select * from unnest(%(p)s::bigint[], %(s)s::text[], %(d)s::text[], %(u)s::bigint[], %(c)s::bigint[])
      on conflict (person_id, scope, period)
      do update set used_micro = excluded.used_micro, cap_micro = greatest(cap_uses.cap_micro, excluded.cap_micro)
    )
    update wallets w set carry_micro = x.carry
    from unnest(%(wallets)s::bigint[], %(carries)s::bigint[]) as x (id, carry) where w.id = x.id
"""
Uses = dict[Key, tuple[int, int]]


def cut(lines: Sequence[_Line]) -> Uses:
    """Cut each line to what its caps leave, in order; what is cut is kept on the line with the cap's name.

    Answers what is used now, to be written by :func:`write`.

    The wallets' rows are locked, so nobody else counts for these persons in between.
    """
    limits = [_limits(line) for line in lines]
    used = _read({key for found in limits for key, _ in found})
    caps: dict[Key, int] = {}
    for line, found in zip(lines, limits, strict=True):
        allowed = line.earned
        for key, most in found:
            caps[key] = most
            room = max(most - used.get(key, 0), 0)
            if room < allowed:
                allowed, line.cut_by = room, key[1] + "/" + key[2]
        line.cut = line.earned - allowed
        for key, _ in found:
            used[key] = used.get(key, 0) + allowed
    return {key: (used[key], max(most, used[key])) for key, most in caps.items()}


def _limits(line: _Line) -> list[tuple[Key, int]]:
    """The caps that hold for a line, as (key, micro-credits)."""
    request = line.request
    day = clock.business_day(request.occurred_at)
    found = []
    if request.scenario_id is not None:
        for kind, credits in sorted(request.caps.items()):
            key = (request.person_id, f"scenario:{request.scenario_id}", clock.period(kind, day).key)
            found.append((key, int(credits) * MICRO))
    if line.terms.daily_credits_cap is not None:
        scope = f"program:{request.program_id}"
        found.append(((request.person_id, scope, day.isoformat()), line.terms.daily_credits_cap * MICRO))
    return found


def _read(keys: set[Key]) -> dict[Key, int]:
    if not keys:
        return {}
    rows = run(_READ, _columns(sorted(keys)))
    return {(row.person_id, row.scope, row.period): row.used_micro for row in rows}


def write(uses: Uses, carries: Mapping[int, int]) -> None:
    """Store what is used of caps, and the carries of wallets by id."""
    keys = sorted(uses)
    values = _columns(keys) | {"u": [uses[key][0] for key in keys], "c": [uses[key][1] for key in keys]}
    run(_WRITE, values | {"wallets": list(carries), "carries": list(carries.values())})


def give_back(*, person_id: int, line_keys: Sequence[tuple[str, str]], micro: int) -> None:
    """Free the room that a reversed award had used."""
    freed = (
        "update cap_uses set used_micro = greatest(used_micro - %(micro)s, 0)"
        " where person_id = %(person)s and scope = %(scope)s and period = %(period)s"
    )
    for scope, period in line_keys:
        values = {"micro": micro, "person": person_id, "scope": scope, "period": period}
        run(freed, values)


def _columns(keys: Sequence[Key]) -> dict[str, list[object]]:
    return {"p": [key[0] for key in keys], "s": [key[1] for key in keys], "d": [key[2] for key in keys]}
