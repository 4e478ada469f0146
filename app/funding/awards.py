"""``award()``: from what an act earned to credits in a wallet. Batch by nature; one act is a batch of one.

Order (domain.md, credits 2): tier share, boosts, caps, then whole credits with the carry, then the budget. Locks in one
order: wallets by id, then a slice of the budget, then ledger accounts.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

import psycopg
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as upsert

from app import clock, ledger
from app.db import connection, run
from app.funding import caps, debts
from app.funding.models import Boost, Budget, Wallet
from app.ledger import Draft
from app.memo import remember
from app.programs.models import Terms
from app.units import BPS, CREDITS, MG

Wallets = Mapping[tuple[int, int], Wallet]


@dataclass(slots=True)
class AwardRequest:
    """What an act or a rule earned, before shares and caps.

    ``mg`` convert at the rate of the program's terms; ``base_micro`` are micro-credits of a credit-only method or rule;
    both at full share. ``caps`` are whole credits per period of this scenario; what was promised beforehand, such as a
    prize, is ``uncapped``.
    (reason, source_ref) is the natural key: the same award again is answered with the first.
    """

    program_id: int
    person_id: int
    reason: str
    source_ref: str
    occurred_at: datetime
    mg: int = 0
    base_micro: int = 0
    tier: str = "A"
    record_id: int | None = None
    scenario_id: int | None = None
    caps: Mapping[str, int] = field(default_factory=dict)
    budget_id: int | None = None
    boost_bps: int = BPS
    uncapped: bool = False


@dataclass(frozen=True, slots=True)
class Awarded:
    """What became of a request. ``state``: paid, pending (the budget is dry), nothing (below a whole credit)."""

    award_id: int
    state: str
    credits: int
    cut_micro: int
    cut_by: str | None
    fresh: bool


@dataclass(slots=True)
class _Line:
    """A request with what it is worth before its caps."""

    request: AwardRequest
    wallet: Wallet
    terms: Any
    share_bps: int
    earned: int
    budget: Any


Made = dict[tuple[str, str], Awarded]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Awards that are worked out and not made yet. ``body`` is what the database function ``award_batch`` takes."""

    lines: list[_Line]
    drafts: Sequence[Draft]
    body: dict[str, Any]


def award(requests: Sequence[AwardRequest], *, at: datetime, wallets: Wallets | None = None) -> list[Awarded]:
    """Award a batch inside the running transaction; answers in order.

    ``wallets`` are locked ones of a caller who knows that none of these awards can stand yet. An empty budget never
    refuses: the award stands as pending. Raises nothing that an honest caller has to handle.
    """
    known: Made = {}
    if wallets is None:
        wallets = lock_wallets([(request.person_id, request.program_id) for request in requests], at=at)
        known = _existing(requests)
    prepared = prepare(requests, at=at, wallets=wallets, known=known)
    if prepared.lines:
        try:
            rows = run(_AWARD, {"batch": json.dumps(prepared.body, separators=(",", ":")), "at": at})
        except psycopg.Error as error:
            raise ledger.refusal(error) from error
        known |= finish(prepared, rows, at=at)
    return [known[request.reason, request.source_ref] for request in requests]


def prepare(
    requests: Sequence[AwardRequest],
    *,
    at: datetime,
    wallets: Wallets,
    with_drafts: Sequence[Draft] = (),
    known: Container[tuple[str, str]] = (),
) -> Prepared:
    """Work out a batch of awards, boosts included, for one call of the database.

    ``with_drafts`` are the caller's own transfers (milligrams), posted in the same statement. Awards whose key is in
    ``known`` stand already and are left out.
    """
    fresh = [request for request in with_boosts(requests) if (request.reason, request.source_ref) not in known]
    lines = _earned(fresh, wallets)
    return Prepared(lines, with_drafts, _batch(lines, with_drafts, at))


def finish(prepared: Prepared, rows: Sequence[Any], *, at: datetime) -> Made:
    """What became of prepared awards, by (reason, source_ref), from the function's answer. Debts are paid from what
    arrived."""
    for draft, row in zip(prepared.drafts, rows, strict=False):
        draft.transfer_id = row.transfer_id
    made, paid = {}, []
    for line, row in zip(prepared.lines, rows[len(prepared.drafts) :], strict=True):
        key = (line.request.reason, line.request.source_ref)
        made[key] = Awarded(row.award_id, row.state, row.credits, row.cut_micro, row.cut_by, True)
        line.wallet.carry_micro = row.carry
        if row.state == "paid":
            paid.append(line.wallet)
    debts.repay_all(paid, at=at)
    return made


def wallets_of(pairs: Iterable[tuple[int, int]]) -> dict[tuple[int, int], Wallet]:
    """The wallets of (person, program) pairs, made where they lack; not locked."""
    wanted = sorted(set(pairs))
    found = {(row.person_id, row.program_id): row for row in _wallet_rows(wanted, lock=False)}
    missing = [pair for pair in wanted if pair not in found]
    if missing:
        _make_wallets(missing)
        found |= {(row.person_id, row.program_id): row for row in _wallet_rows(missing, lock=False)}
    return found


def lock_wallets(pairs: Iterable[tuple[int, int]], *, at: datetime) -> dict[tuple[int, int], Wallet]:
    """The wallets of (person, program) pairs, made where they lack, their rows locked in order of id."""
    wanted = sorted(set(pairs))
    found = {(row.person_id, row.program_id): row for row in _wallet_rows(wanted, lock=True)}
    missing = [pair for pair in wanted if pair not in found]
    if missing:
        _make_wallets(missing)
        found = {(row.person_id, row.program_id): row for row in _wallet_rows(wanted, lock=True)}
    return found


def wallets_from(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[int, int], Wallet]:
    """Wallets from rows that somebody else has read (and locked)."""
    return {(row["person_id"], row["program_id"]): Wallet(**row) for row in rows}


def with_boosts(requests: Sequence[AwardRequest]) -> list[AwardRequest]:
    """The requests, and for each boost in force at the act a bonus of its own with the rule's name (domain.md 6)."""
    records = [request for request in requests if request.record_id is not None]
    boosts = _boosts(records)
    levels = _levels(records, boosts)
    terms = TermsBook(request.program_id for request in records)
    bonuses = []
    for request in records:
        # The cap holds for the whole multiplier: the act itself is the first 1×.
        rooms = terms.at(request.program_id, request.occurred_at).multiplier_cap_bps - BPS
        for boost in boosts.get(request.program_id, ()):
            if _applies(boost, request, levels):
                extra = min(boost.multiplier_bps - BPS, rooms)
                if extra > 0:
                    bonuses.append(_bonus(request, boost, extra))
                rooms -= extra
    return [*requests, *bonuses]


def lot_end(terms: Any, at: datetime) -> datetime:
    """When a lot that arrives now expires: ``lot_months`` on, at the end of the terms' ``lot_rule`` (often a quarter).

    The clock starts at arrival.
    """
    day = clock.add_months(clock.business_day(at), terms.lot_months)
    end = clock.period(terms.lot_rule, day).ends
    if end is None:
        raise AssertionError("a lot ends")
    return end


# -- the steps


def _earned(requests: Sequence[AwardRequest], wallets: Wallets) -> list[_Line]:
    """Step 1, in Python, where the terms are at hand: what each request earns by its tier's share and its boost."""
    programs = {request.program_id for request in requests}
    terms, defaults = TermsBook(programs), _default_budgets(programs)
    named = {number: _named(number) for number in {request.budget_id for request in requests}}
    lines = []
    for request in requests:
        in_force = terms.at(request.program_id, request.occurred_at)
        share = int(in_force.tier_bps.get(request.tier, 0))
        base = request.mg * in_force.credits_per_kg + request.base_micro
        earned = base * share * request.boost_bps // (BPS * BPS)
        wallet = wallets[request.person_id, request.program_id]
        budget = named[request.budget_id] or defaults.get(request.program_id)
        lines.append(_Line(request, wallet, in_force, share, earned, budget))
    return lines


_AWARD = "select * from award_batch(%(batch)s::jsonb, %(at)s)"


def _batch(lines: Sequence[_Line], drafts: Sequence[Draft], at: datetime) -> dict[str, Any]:
    """A batch as ``award_batch`` takes it: wallets and caps once, and named by their place (from 1) in the lines."""
    wallets: dict[int, int] = {}
    cap_places: dict[caps.Key, int] = {}
    rows = []
    for number, line in enumerate(lines, start=1):
        promised = [] if line.request.uncapped else caps.limits(line.request, line.terms)
        limits = _stopped(line.request, at) or promised
        rows.append(
            _row(number, line, at)
            | {
                "w": wallets.setdefault(line.wallet.id, len(wallets) + 1),
                "u": [cap_places.setdefault(key, len(cap_places) + 1) for key, _ in limits],
                "m": [micro for _, micro in limits],
            }
        )
    carries = {line.wallet.id: line.wallet.carry_micro for line in lines}
    return {
        "lines": rows,
        "wallets": [[wallet, carries[wallet]] for wallet in wallets],
        "caps": list(cap_places),
        "drafts": ledger.as_json(drafts),
    }


def _stopped(request: AwardRequest, at: datetime) -> list[tuple[caps.Key, int]]:
    """A program that is wound up awards nothing for acts from its last day on, and nothing at all after its window.

    The record stands; what it would have earned is cut off by a cap of zero, with the program's end as its name.
    """
    ends = remember(("program's end", request.program_id), partial(_end_of_program, request.program_id))
    if ends.no_awards_from is None or (request.occurred_at < ends.no_awards_from and at < ends.redeem_until):
        return []
    day = clock.business_day(ends.no_awards_from).isoformat()
    return [((request.person_id, f"{caps.ENDED}:{request.program_id}", day), 0)]


def _end_of_program(program_id: int) -> Any:
    return run("select no_awards_from, redeem_until from programs where id = %(id)s", {"id": program_id})[0]


def _row(number: int, line: _Line, at: datetime) -> dict[str, Any]:
    request = line.request
    return {
        "n": number,
        "program_id": request.program_id,
        "person_id": request.person_id,
        "credits_account": line.wallet.credits_account_id,
        "record_id": request.record_id,
        "reason": request.reason,
        "source_ref": request.source_ref,
        "terms_id": line.terms.id,
        "budget_id": line.budget.id if line.budget else None,
        "price_fen": line.budget.price_fen if line.budget else None,
        "share_bps": line.share_bps,
        "boost_bps": request.boost_bps,
        "earned": line.earned,
        "expires_at": lot_end(line.terms, at).isoformat(),
    }


# -- what the steps look up


class TermsBook:
    """The terms of some programs, by time: the promise made when the act happened is the one that is kept."""

    def __init__(self, program_ids: Iterable[int]) -> None:
        self._by_program = {program: remember(("terms", program), partial(_terms, program)) for program in program_ids}

    def at(self, program_id: int, when: datetime) -> Any:
        """The version in force at ``when``; before the first one, the first."""
        versions = self._by_program[program_id]
        return next((terms for terms in versions if terms.effective_at <= when), versions[-1])


def _terms(program_id: int) -> list[Any]:
    query = select(Terms).where(Terms.program_id == program_id).order_by(Terms.effective_at.desc())
    return list(connection().execute(query))


_WALLETS = """
    select w.* from wallets w
    join unnest(%(people)s::bigint[], %(programs)s::bigint[]) as x (person, program)
      on w.person_id = x.person and w.program_id = x.program
    order by w.id
"""
_LOCK_WALLETS = _WALLETS + " for update of w"


def _wallet_rows(pairs: Sequence[tuple[int, int]], *, lock: bool) -> list[Wallet]:
    values = {"people": [pair[0] for pair in pairs], "programs": [pair[1] for pair in pairs]}
    rows = run(_LOCK_WALLETS if lock else _WALLETS, values)
    return [Wallet(**row._asdict()) for row in rows]


def _make_wallets(pairs: Sequence[tuple[int, int]]) -> None:
    keys = []
    for person, program in pairs:
        keys += [(program, CREDITS, "wallet", str(person)), (program, CREDITS, "hold", str(person))]
        keys.append((program, MG, "saved", str(person)))
    opened = ledger.accounts(keys)
    rows = [
        {
            "person_id": person,
            "program_id": program,
            "credits_account_id": opened[program, CREDITS, "wallet", str(person)],
            "hold_account_id": opened[program, CREDITS, "hold", str(person)],
            "mg_account_id": opened[program, MG, "saved", str(person)],
        }
        for person, program in pairs
    ]
    connection().execute(upsert(Wallet).on_conflict_do_nothing(), rows)


_KNOWN = """
    select w.id, w.reason, w.source_ref, w.state, w.credits, w.cut_micro, w.cut_by from awards w
    join unnest(%(r)s::text[], %(s)s::text[]) as x (r, s) on w.reason = x.r and w.source_ref = x.s
"""


def _existing(requests: Sequence[AwardRequest]) -> Made:
    values = {"r": [request.reason for request in requests], "s": [request.source_ref for request in requests]}
    return {
        (row.reason, row.source_ref): Awarded(row.id, row.state, row.credits, row.cut_micro, row.cut_by, False)
        for row in run(_KNOWN, values)
    }


def _default_budgets(program_ids: set[int]) -> dict[int, Budget]:
    found = {
        program: remember(("default budget", program), partial(_default_budget, program)) for program in program_ids
    }
    return {program: budget for program, budget in found.items() if budget is not None}


def _default_budget(program_id: int) -> Any:
    query = select(Budget).where(Budget.is_default, Budget.program_id == program_id)
    return connection().execute(query.order_by(Budget.id.desc())).first()


def _named(budget_id: int | None) -> Budget | None:
    if budget_id is None:
        return None
    return connection().execute(select(Budget).where(Budget.id == budget_id)).one()  # type: ignore[return-value]


def _boosts(requests: Sequence[AwardRequest]) -> dict[int, list[Any]]:
    """The boosts of the programs; few, so all that ever were are remembered."""
    programs = {request.program_id for request in requests}
    return {program: remember(("boosts", program), partial(_program_boosts, program)) for program in programs}


def _program_boosts(program_id: int) -> list[Any]:
    return list(connection().execute(select(Boost).where(Boost.program_id == program_id).order_by(Boost.id)))


_LEVELS = """
    select m.program_id, m.person_id, m.level from memberships m
    where m.person_id = any (%(people)s::bigint[]) and m.program_id = any (%(programs)s::bigint[]) and m.level > 0
"""


def _levels(requests: Sequence[AwardRequest], boosts: Mapping[int, list[Any]]) -> dict[tuple[int, int], int]:
    """The levels of the persons, asked only where a program has boosts for levels."""
    programs = [program for program, rules in boosts.items() if any(rule.level is not None for rule in rules)]
    if not programs:
        return {}
    people = sorted({request.person_id for request in requests})
    rows = run(_LEVELS, {"people": people, "programs": programs})
    return {(row.program_id, row.person_id): row.level for row in rows}


def _applies(boost: Boost, request: AwardRequest, levels: Mapping[tuple[int, int], int]) -> bool:
    return (
        boost.starts_at <= request.occurred_at < boost.ends_at
        and boost.level in (None, levels.get((request.program_id, request.person_id)))
        and boost.scenario_id in (None, request.scenario_id)
        and boost.person_id in (None, request.person_id)
    )


def _bonus(request: AwardRequest, boost: Boost, extra_bps: int) -> AwardRequest:
    return AwardRequest(
        program_id=request.program_id,
        person_id=request.person_id,
        reason=f"boost.{boost.name}",
        source_ref=request.source_ref,
        occurred_at=request.occurred_at,
        mg=request.mg,
        base_micro=request.base_micro,
        tier=request.tier,
        record_id=request.record_id,
        scenario_id=request.scenario_id,
        caps=request.caps,
        budget_id=request.budget_id,
        boost_bps=extra_bps,
    )
