"""``award()``: from what an act earned to credits in a wallet. Batch by nature; one act is a batch of one.

Order (domain.md, credits 2): tier share, boosts, caps, then whole credits with the carry, then the budget. Locks in one
order: wallets by id, then a slice of the budget, then ledger accounts.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as upsert

from app import clock, ledger
from app.db import connection, run
from app.funding import caps, debts
from app.funding.models import Boost, Budget, Wallet
from app.ledger import Draft, NewCredits
from app.memo import remember
from app.programs.models import Terms
from app.units import BPS, CREDITS, MG, MICRO

Wallets = Mapping[tuple[int, int], Wallet]


@dataclass(slots=True)
class AwardRequest:
    """What an act or a rule earned, before shares and caps.

    ``mg`` convert at the rate of the program's terms; ``base_micro`` are micro-credits of a credit-only method or rule;
    both at full share. ``caps`` are whole credits per period of this scenario.
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
    """One request on its way through the steps."""

    request: AwardRequest
    wallet: Wallet
    terms: Any
    share_bps: int
    earned: int
    cut: int = 0
    cut_by: str | None = None
    carry_before: int = 0
    carry_after: int = 0
    credits: int = 0
    budget: Any = None
    state: str = "nothing"
    slice_id: int | None = None
    posting: int | None = None
    lot_id: int | None = None


def award(
    requests: Sequence[AwardRequest],
    *,
    at: datetime,
    with_drafts: Sequence[Draft] = (),
    wallets: Wallets | None = None,
) -> list[Awarded]:
    """Award a batch inside the running transaction; answers in order.

    ``with_drafts`` are the caller's own transfers (milligrams), posted in the same statement. ``wallets`` are locked
    ones of a caller who knows that none of these awards can stand yet. An empty budget never refuses: the award stands
    as pending. Raises nothing that an honest caller has to handle.
    """
    known: dict[tuple[str, str], Awarded] = {}
    if wallets is None:
        wallets = lock_wallets([(request.person_id, request.program_id) for request in requests], at=at)
        known = _existing(requests)
    fresh = [request for request in with_boosts(requests) if (request.reason, request.source_ref) not in known]
    lines = _earned(fresh, wallets, at)
    uses = caps.cut(lines)
    carries = _whole_credits(lines)
    if lines:
        caps.write(uses, carries)
    _choose_budgets(lines, at)
    _post(lines, with_drafts, at)
    made = _store(lines, at)
    return [
        made.get((request.reason, request.source_ref)) or known[request.reason, request.source_ref]
        for request in requests
    ]


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


def with_boosts(requests: Sequence[AwardRequest]) -> list[AwardRequest]:
    """The requests, and for each boost in force at the act a bonus of its own with the rule's name (domain.md 6)."""
    records = [request for request in requests if request.record_id is not None]
    boosts = _boosts(records)
    terms = TermsBook(request.program_id for request in records)
    bonuses = []
    for request in records:
        # The cap holds for the whole multiplier: the act itself is the first 1×.
        rooms = terms.at(request.program_id, request.occurred_at).multiplier_cap_bps - BPS
        for boost in boosts.get(request.program_id, ()):
            if _applies(boost, request):
                extra = min(boost.multiplier_bps - BPS, rooms)
                if extra > 0:
                    bonuses.append(_bonus(request, boost, extra))
                rooms -= extra
    return [*requests, *bonuses]


def lot_end(terms: Any, at: datetime) -> datetime:
    """When a lot that arrives now expires: at the end of the quarter ``lot_months`` on. The clock starts at arrival."""
    day = clock.add_months(clock.business_day(at), terms.lot_months)
    end = clock.period("season", day).ends
    if end is None:
        raise AssertionError("a season ends")
    return end


# -- the steps


def _earned(requests: Sequence[AwardRequest], wallets: Wallets, at: datetime) -> list[_Line]:
    terms = TermsBook(request.program_id for request in requests)
    lines = []
    for request in requests:
        in_force = terms.at(request.program_id, request.occurred_at)
        share = int(in_force.tier_bps.get(request.tier, 0))
        base = request.mg * in_force.credits_per_kg + request.base_micro
        earned = base * share * request.boost_bps // (BPS * BPS)
        wallet = wallets[request.person_id, request.program_id]
        lines.append(_Line(request, wallet, in_force, share, earned))
    return lines


def _whole_credits(lines: Sequence[_Line]) -> dict[int, int]:
    """Whole credits from carry and earnings, in order, per wallet; the rest is carried on. By wallet."""
    for line in lines:
        line.carry_before = line.wallet.carry_micro
        line.credits, line.carry_after = divmod(line.carry_before + line.earned - line.cut, MICRO)
        line.wallet.carry_micro = line.carry_after
    return {line.wallet.id: line.wallet.carry_micro for line in lines}


_RESERVE = "select account_id, granted from budget_reserve(%(budget)s, %(wanted)s, %(at)s)"


def _choose_budgets(lines: Sequence[_Line], at: datetime) -> None:
    """Give each line that made whole credits its budget; pay in order while the budget lasts, the rest is pending."""
    earning = [line for line in lines if line.credits > 0]
    if not earning:
        return
    defaults = _default_budgets({line.request.program_id for line in earning})
    by_budget: dict[int, list[_Line]] = defaultdict(list)
    for line in earning:
        line.state = "pending"
        line.budget = _named(line.request.budget_id) or defaults.get(line.request.program_id)
        if line.budget is not None:
            by_budget[line.budget.id].append(line)
    for budget_id, waiting in sorted(by_budget.items()):
        wanted = sum(line.credits for line in waiting)
        row = run(_RESERVE, {"budget": budget_id, "wanted": wanted, "at": at})[0]
        room = int(row.granted)
        for line in waiting:
            if line.credits > room:
                break
            room -= line.credits
            line.slice_id, line.state = row.account_id, "paid"


def _post(lines: Sequence[_Line], with_drafts: Sequence[Draft], at: datetime) -> None:
    """Post the caller's transfers and the paid awards in one statement; debts are paid from what arrives."""
    drafts = list(with_drafts)
    for line in lines:
        if line.state == "paid" and line.slice_id is not None:
            line.posting = len(drafts)
            drafts.append(award_draft(line.request.reason, line.request.source_ref, line))
    done = ledger.post(drafts, at=at)
    paid = [line for line in lines if line.posting is not None]
    lots = ledger.add_to_lots([_arrival(line, at) for line in paid])
    for line, lot_id in zip(paid, lots, strict=True):
        line.posting, line.lot_id = done[line.posting or 0].transfer_id, lot_id
    debts.repay_all([line.wallet for line in paid], at=at)


def award_draft(reason: str, source_ref: str, line: _Line) -> Draft:
    """The transfer of one paid award: from a slice of its budget to the wallet."""
    return Draft(
        program_id=line.request.program_id,
        reason=f"award.{reason}",
        source_ref=source_ref,
        legs=[(line.slice_id or 0, -line.credits), (line.wallet.credits_account_id, line.credits)],
    )


_STORE = """
    insert into awards (program_id, person_id, wallet_id, record_id, reason, source_ref, terms_id, budget_id, share_bps,
                        boost_bps, earned_micro, cut_micro, cut_by, carry_before, carry_after, credits, state, lot_id,
                        transfer_id, expires_at, created_at, paid_at)
    select x.program_id, x.person_id, x.wallet_id, x.record_id, x.reason, x.source_ref, x.terms_id, x.budget_id,
           x.share_bps, x.boost_bps, x.earned_micro, x.cut_micro, x.cut_by, x.carry_before, x.carry_after, x.credits,
           x.state, x.lot_id, x.transfer_id, x.expires_at, %(at)s, case when x.state = 'paid' then %(at)s end
    from jsonb_to_recordset(%(rows)s::jsonb) as x (n int, program_id bigint, person_id bigint, wallet_id bigint,
         record_id bigint, reason text, source_ref text, terms_id bigint, budget_id bigint, share_bps bigint,
         boost_bps bigint, earned_micro bigint, cut_micro bigint, cut_by text, carry_before bigint, carry_after bigint,
         credits bigint, state text, lot_id bigint, transfer_id bigint, expires_at timestamptz)
    order by x.n
    returning id, reason, source_ref
"""


def _store(lines: Sequence[_Line], at: datetime) -> dict[tuple[str, str], Awarded]:
    if not lines:
        return {}
    rows = json.dumps([_row(number, line, at) for number, line in enumerate(lines)])
    ids = {(row.reason, row.source_ref): row.id for row in run(_STORE, {"rows": rows, "at": at})}
    made = {}
    for line in lines:
        key = (line.request.reason, line.request.source_ref)
        made[key] = Awarded(ids[key], line.state, line.credits, line.cut, line.cut_by, True)
    return made


def _row(number: int, line: _Line, at: datetime) -> dict[str, Any]:
    request = line.request
    return {
        "n": number,
        "program_id": request.program_id,
        "person_id": request.person_id,
        "wallet_id": line.wallet.id,
        "record_id": request.record_id,
        "reason": request.reason,
        "source_ref": request.source_ref,
        "terms_id": line.terms.id,
        "budget_id": line.budget.id if line.budget else None,
        "share_bps": line.share_bps,
        "boost_bps": request.boost_bps,
        "earned_micro": line.earned,
        "cut_micro": line.cut,
        "cut_by": line.cut_by,
        "carry_before": line.carry_before,
        "carry_after": line.carry_after,
        "credits": line.credits,
        "state": line.state,
        "lot_id": line.lot_id,
        "transfer_id": line.posting,
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


def _existing(requests: Sequence[AwardRequest]) -> dict[tuple[str, str], Awarded]:
    values = {"r": [request.reason for request in requests], "s": [request.source_ref for request in requests]}
    return {
        (row.reason, row.source_ref): Awarded(row.id, row.state, row.credits, row.cut_micro, row.cut_by, False)
        for row in run(_KNOWN, values)
    }


def _default_budgets(program_ids: set[int]) -> dict[int, Budget]:
    query = select(Budget).where(Budget.is_default).order_by(Budget.id.desc())

    def load(program_id: int) -> Any:
        return connection().execute(query.where(Budget.program_id == program_id)).first()

    found = {program: remember(("default budget", program), partial(load, program)) for program in program_ids}
    return {program: budget for program, budget in found.items() if budget is not None}


def _named(budget_id: int | None) -> Budget | None:
    if budget_id is None:
        return None
    return connection().execute(select(Budget).where(Budget.id == budget_id)).one()  # type: ignore[return-value]


def _arrival(line: _Line, at: datetime) -> NewCredits:
    budget = line.budget
    if budget is None:
        raise AssertionError("a paid award has a budget")
    return NewCredits(
        program_id=line.request.program_id,
        account_id=line.wallet.credits_account_id,
        budget_id=budget.id,
        price_fen=budget.price_fen,
        expires_at=lot_end(line.terms, at),
        credits=line.credits,
    )


def _boosts(requests: Sequence[AwardRequest]) -> dict[int, list[Any]]:
    """The boosts of the programs; few, so all that ever were are remembered."""
    programs = {request.program_id for request in requests}
    return {program: remember(("boosts", program), partial(_program_boosts, program)) for program in programs}


def _program_boosts(program_id: int) -> list[Any]:
    return list(connection().execute(select(Boost).where(Boost.program_id == program_id).order_by(Boost.id)))


def _applies(boost: Boost, request: AwardRequest) -> bool:
    return (
        boost.starts_at <= request.occurred_at < boost.ends_at
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
