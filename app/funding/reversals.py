"""Take awards back: the exact negation, even when the credits are spent (domain.md, records 6)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select, update

from app import clock, ledger
from app.db import connection
from app.funding import caps, debts
from app.funding.awards import lock_wallets
from app.funding.models import Award, Wallet
from app.ledger import Draft, Entry, Lot, LotPart
from app.units import CREDITS, MICRO


def reverse_awards(*, record_id: int, at: datetime) -> list[int]:
    """Take back every award of a record; answers the awards. Already reversed ones are left alone."""
    query = select(Award).where(Award.record_id == record_id).order_by(Award.id)
    found = connection().execute(query).all()
    if not found:
        return []
    pairs = [(row.person_id, row.program_id) for row in found]
    wallets = lock_wallets(pairs, at=at)
    done = []
    for award in connection().execute(query).all():  # again, now under the wallet's lock
        if award.state in ("reversed", "cancelled"):
            continue
        wallet = wallets[award.person_id, award.program_id]
        if award.state == "paid":
            _negate(award, wallet, at)  # type: ignore[arg-type]
        state = "reversed" if award.state == "paid" else "cancelled"
        connection().execute(update(Award).where(Award.id == award.id).values(state=state))
        _take_back_carry(award, wallet, at)  # type: ignore[arg-type]
        _free_caps(award)  # type: ignore[arg-type]
        done.append(award.id)
    debts.repay_all(wallets.values(), at=at)
    return done


def _negate(award: Award, wallet: Wallet, at: datetime) -> None:
    """One transaction first advances what is missing from the debt account, then negates exactly, then books the debt.

    The budget gets back what stands in the lot; what was spent has been paid out, so that part leaves it again.
    """
    transfer_id, lot_id = award.transfer_id, award.lot_id
    if transfer_id is None or lot_id is None:
        raise AssertionError("a paid award has a transfer and a lot")
    lot = connection().execute(select(Lot).where(Lot.id == lot_id).with_for_update()).one()
    missing = max(award.credits - lot.remaining, 0)
    key = f"award:{award.id}"
    negation = ledger.reversal_of(transfer_id, reason="award.reverse", source_ref=key)
    drafts = [negation]
    if missing:
        debt = ledger.account(program_id=award.program_id, asset=CREDITS, kind="debt", owner_key=str(wallet.person_id))
        slice_id = _slice_of(transfer_id)
        advance = [(debt, -missing), (wallet.credits_account_id, missing)]
        booking = [(slice_id, -missing), (debt, missing)]
        drafts.insert(0, Draft(award.program_id, "debt.advance", key, advance))
        drafts.append(Draft(award.program_id, "debt.book", key, booking))
    done = ledger.post(drafts, at=at)
    part = LotPart(lot_id, lot.budget_id, lot.price_fen, award.credits)
    if missing:
        advanced = LotPart(lot_id, lot.budget_id, lot.price_fen, missing)
        ledger.give_back([advanced], transfer_id=done[0].transfer_id, at=at)
        debts.add_debt(wallet, missing)
    ledger.use_lots([part], transfer_id=done[1 if missing else 0].transfer_id, kind="reverse", at=at)


def _take_back_carry(award: Award, wallet: Wallet, at: datetime) -> None:
    """Undo what the award moved in the carry; where that is more than there is, whole credits make it up."""
    carry = wallet.carry_micro - (award.carry_after - award.carry_before)
    owed = -(carry // MICRO) if carry < 0 else 0
    if owed:
        carry += owed * MICRO
        debts.add_debt(wallet, owed)
    wallet.carry_micro = carry
    connection().execute(update(Wallet).where(Wallet.id == wallet.id).values(carry_micro=carry))


def _free_caps(award: Award) -> None:
    """The room that the award had used under its caps is free again."""
    kept = award.earned_micro - award.cut_micro
    if not kept or award.record_id is None:
        return
    occurred = connection().exec_driver_sql(
        "select scenario_id, occurred_at from records where id = %s", (award.record_id,)
    )
    scenario_id, occurred_at = occurred.one()
    day = clock.business_day(occurred_at)
    keys = [(f"scenario:{scenario_id}", clock.period(kind, day).key) for kind in ("day", "week", "month", "year")]
    keys.append((f"program:{award.program_id}", day.isoformat()))
    caps.give_back(person_id=award.person_id, line_keys=keys, micro=kept)


def _slice_of(transfer_id: int) -> int:
    """The first account that an award's transfer took from: a slice of its budget."""
    query = select(Entry.account_id).where(Entry.transfer_id == transfer_id, Entry.amount < 0).order_by(Entry.leg)
    return int(connection().execute(query.limit(1)).scalar_one())
