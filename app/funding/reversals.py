"""Take awards back: the exact negation, even when the credits are spent (domain.md, records 6)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update

from app import clock, ledger
from app.db import connection
from app.funding import caps, debts
from app.funding.awards import AwardRequest, award, lock_wallets
from app.funding.models import Award, Wallet
from app.ledger import Draft, Entry, Lot, LotPart
from app.units import CREDITS, MICRO


def reverse_awards(*, at: datetime, record_id: int | None = None, award_ids: Sequence[int] = ()) -> list[int]:
    """Take back every award of a record, or named ones of one wallet each; answers the awards. Already reversed ones
    are left alone."""
    wanted = Award.id.in_(award_ids) if record_id is None else Award.record_id == record_id
    query = select(Award).where(wanted).order_by(Award.id)
    found = connection().execute(query).all()
    if not found:
        return []
    pairs = [(row.person_id, row.program_id) for row in found]
    wallets = lock_wallets(pairs, at=at)
    done = []
    for standing in connection().execute(query).all():  # again, now under the wallet's lock
        if standing.state in ("reversed", "cancelled"):
            continue
        wallet = wallets[standing.person_id, standing.program_id]
        if standing.state == "paid":
            _negate(standing, wallet, at)  # type: ignore[arg-type]
        state = "reversed" if standing.state == "paid" else "cancelled"
        connection().execute(update(Award).where(Award.id == standing.id).values(state=state))
        wallet.carry_micro -= standing.carry_after - standing.carry_before
        _free_caps(standing)  # type: ignore[arg-type]
        done.append(standing.id)
    for wallet in wallets.values():
        cause = f"record:{record_id}" if record_id is not None else f"award:{found[0].id}"
        _settle_carry(wallet, cause, found[0].budget_id, at)
    debts.repay_all(wallets.values(), at=at)
    return done


def _negate(taken: Award, wallet: Wallet, at: datetime) -> None:
    """One transaction first advances what is missing from the debt account, then negates exactly, then books the debt.

    The budget gets back what stands in the lot; what was spent has been paid out, so that part leaves it again.
    """
    transfer_id, lot_id = taken.transfer_id, taken.lot_id
    if transfer_id is None or lot_id is None:
        raise AssertionError("a paid award has a transfer and a lot")
    lot = connection().execute(select(Lot).where(Lot.id == lot_id).with_for_update()).one()
    missing = max(taken.credits - lot.remaining, 0)
    key = f"award:{taken.id}"
    negation = ledger.reversal_of(transfer_id, reason="award.reverse", source_ref=key)
    drafts = [negation]
    if missing:
        debt = ledger.account(program_id=taken.program_id, asset=CREDITS, kind="debt", owner_key=str(wallet.person_id))
        advance = [(debt, -missing), (wallet.credits_account_id, missing)]
        booking = [*_out_of_slices(transfer_id, missing), (debt, missing)]
        drafts.insert(0, Draft(taken.program_id, "debt.advance", key, advance))
        drafts.append(Draft(taken.program_id, "debt.book", key, booking))
    done = ledger.post(drafts, at=at)
    part = LotPart(lot_id, lot.budget_id, lot.price_fen, taken.credits)
    if missing:
        advanced = LotPart(lot_id, lot.budget_id, lot.price_fen, missing)
        ledger.give_back([advanced], transfer_id=done[0].transfer_id, at=at)
        debts.add_debt(wallet, missing)
    ledger.use_lots([part], transfer_id=done[1 if missing else 0].transfer_id, kind="reverse", at=at)


def _settle_carry(wallet: Wallet, cause: str, budget_id: int | None, at: datetime) -> None:
    """Bring a carry that a reversal moved back below one credit.

    Below zero, whole credits make it up and are owed. Above, what the wallet's other acts earned has become whole
    credits that no award paid yet: an award of its own pays them, which earns nothing and only cashes the carry.
    """
    if wallet.carry_micro >= MICRO:
        source_ref = f"{cause}:wallet:{wallet.id}"
        cashed = AwardRequest(wallet.program_id, wallet.person_id, "carry", source_ref, at, budget_id=budget_id)
        award([cashed], at=at, wallets={(wallet.person_id, wallet.program_id): wallet})
        return
    owed = max(-(wallet.carry_micro // MICRO), 0)
    if owed:
        wallet.carry_micro += owed * MICRO
        debts.add_debt(wallet, owed)
    connection().execute(update(Wallet).where(Wallet.id == wallet.id).values(carry_micro=wallet.carry_micro))


def _free_caps(taken: Award) -> None:
    """The room that the award had used under its caps is free again."""
    kept = taken.earned_micro - taken.cut_micro
    if not kept or taken.record_id is None:
        return
    occurred = connection().exec_driver_sql(
        "select scenario_id, occurred_at from records where id = %s", (taken.record_id,)
    )
    scenario_id, occurred_at = occurred.one()
    day = clock.business_day(occurred_at)
    keys = [(f"scenario:{scenario_id}", clock.period(kind, day).key) for kind in ("day", "week", "month", "year")]
    keys.append((f"program:{taken.program_id}", day.isoformat()))
    caps.give_back(person_id=taken.person_id, line_keys=keys, micro=kept)


def _out_of_slices(transfer_id: int, credits: int) -> list[tuple[int, int]]:
    """Legs that take an amount from the slices that an award's transfer had taken from, each at most what it gave."""
    query = select(Entry.account_id, Entry.amount).where(Entry.transfer_id == transfer_id, Entry.amount < 0)
    legs = []
    for account_id, amount in connection().execute(query.order_by(Entry.leg)):
        part = min(credits, -amount)
        if part:
            legs.append((account_id, -part))
            credits -= part
    return legs
