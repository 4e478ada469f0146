"""Sponsors, budgets and deposits: where the money behind credits comes from."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select, update

from app import events, ledger, outbox, units
from app.db import session
from app.errors import IDEMPOTENCY_CONFLICT, Kind, declare
from app.funding.models import Award, Budget, BudgetSlice, Deposit, Sponsor
from app.ledger import Draft
from app.units import CREDITS, FEN

# Twice as many as clients who draw at the same moment: with 16 a third of them waited for each other's commit.
SLICES = 64

BUDGET_UNKNOWN = declare(
    "budget_unknown",
    Kind.NOT_FOUND,
    zh="没有这个预算。请用 flask funding list 查看预算编号。",
    en="No such budget. See the codes with `flask funding list`.",
)


def sponsor(*, program_id: int, code: str, name: str, name_en: str, logo_url: str = "") -> Sponsor:
    """The sponsor of this code, made when there is none yet."""
    found = session().scalars(select(Sponsor).where(Sponsor.program_id == program_id, Sponsor.code == code)).first()
    if found is None:
        found = Sponsor(program_id=program_id, code=code, name=name, name_en=name_en, logo_url=logo_url)
        session().add(found)
        session().flush()
    return found


def open_budget(
    *,
    program_id: int,
    sponsor_id: int,
    code: str,
    name: str,
    price_fen: int,
    is_default: bool,
    at: datetime,
    slices: int | None = None,
) -> Budget:
    """Open an empty budget at a price (fen per 1,000 credits), with its guarded slices; the one of this code if it
    stands already."""
    found = session().scalars(select(Budget).where(Budget.program_id == program_id, Budget.code == code)).first()
    if found is not None:
        return found
    budget = Budget(
        program_id=program_id,
        sponsor_id=sponsor_id,
        code=code,
        name=name,
        price_fen=price_fen,
        is_default=is_default,
        money_account_id=ledger.account(program_id=program_id, asset=FEN, kind="budget_money", owner_key=code),
        created_at=at,
        state="open",
    )
    session().add(budget)
    session().flush()
    keys = [(program_id, CREDITS, "budget", f"{code}:{number}") for number in range(slices or SLICES)]
    opened = ledger.accounts(keys)
    session().add_all(
        BudgetSlice(budget_id=budget.id, slice_no=number, account_id=opened[key]) for number, key in enumerate(keys)
    )
    session().flush()
    if is_default:
        _step_down(budget)
        _adopt_waiting(budget)
    return budget


def _step_down(newest: Budget) -> None:
    """A program has one default budget: the newest takes the place of the one before."""
    before = (Budget.program_id == newest.program_id, Budget.is_default, Budget.id != newest.id)
    session().execute(update(Budget).where(*before).values(is_default=False))


def _adopt_waiting(budget: Budget) -> None:
    """Awards that were earned while the program had no budget at all wait for its first default one, in their order."""
    session().execute(
        update(Award)
        .where(Award.program_id == budget.program_id, Award.state == "pending", Award.budget_id.is_(None))
        .values(budget_id=budget.id)
    )


def budget_by_code(program_id: int, code: str) -> Budget:
    """A budget by its code. Raises BUDGET_UNKNOWN."""
    found = session().scalars(select(Budget).where(Budget.program_id == program_id, Budget.code == code)).first()
    if found is None:
        raise BUDGET_UNKNOWN(budget=code)
    return found


def receive_deposit(
    *, budget: Budget, fen: int, reference: str, at: datetime, approval_id: int | None = None
) -> tuple[Deposit, bool]:
    """Book money that a sponsor paid in, and the credits that it now covers; answers the deposit and whether it is new.

    The credits of all deposits together are floor(fen × 1000 ÷ price), so no fen is lost to rounding. The same bank
    reference again is a no-op; with another amount IDEMPOTENCY_CONFLICT.
    """
    # No key lock: awards being stored refer to this row while they hold a slice that this deposit fills.
    locked = session().get_one(Budget, budget.id, with_for_update={"key_share": True})
    known = select(Deposit).where(Deposit.budget_id == locked.id, Deposit.reference == reference)
    found = session().scalars(known).first()
    if found is not None:
        if found.fen != fen:
            raise IDEMPOTENCY_CONFLICT(reference=reference, first_fen=str(found.fen))
        return found, False
    totals = select(func.coalesce(func.sum(Deposit.fen), 0), func.coalesce(func.sum(Deposit.credits), 0))
    paid_fen, covered = session().execute(totals.where(Deposit.budget_id == locked.id)).one()
    credits = (int(paid_fen) + fen) * 1000 // locked.price_fen - int(covered)
    deposit = Deposit(
        budget_id=locked.id, reference=reference, fen=fen, credits=credits, approval_id=approval_id, received_at=at
    )
    session().add(deposit)
    session().flush()
    ledger.post(_booking(locked, deposit), at=at)
    outbox.publish(events.BUDGET_FUNDED, {"budget_id": locked.id}, program_id=locked.program_id)
    return deposit, True


def _booking(budget: Budget, deposit: Deposit) -> list[Draft]:
    """The deposit as transfers: the money, and the capacity spread evenly over the slices."""
    bank = ledger.account(program_id=budget.program_id, asset=FEN, kind="bank")
    money = Draft(
        program_id=budget.program_id,
        reason="deposit",
        source_ref=f"deposit:{deposit.id}",
        legs=[(bank, -deposit.fen), (budget.money_account_id, deposit.fen)],
        memo={"reference": deposit.reference},
    )
    if deposit.credits == 0:
        return [money]
    mint = ledger.account(program_id=budget.program_id, asset=CREDITS, kind="mint")
    slices = slice_accounts(budget.id)
    share, rest = divmod(deposit.credits, len(slices))
    legs = [(slice_id, share + (1 if number < rest else 0)) for number, slice_id in enumerate(slices)]
    capacity = Draft(
        program_id=budget.program_id,
        reason="budget.cover",
        source_ref=f"deposit:{deposit.id}",
        legs=[(mint, -deposit.credits), *((slice_id, part) for slice_id, part in legs if part)],
    )
    return [money, capacity]


def slice_accounts(budget_id: int) -> list[int]:
    """The credit accounts of a budget's slices, in order."""
    query = select(BudgetSlice.account_id).where(BudgetSlice.budget_id == budget_id).order_by(BudgetSlice.slice_no)
    return list(session().scalars(query))


def return_account(budget_id: int, salt: int) -> int:
    """The slice that takes credits back; spread by ``salt`` (any number of the caller's) so that no slice is hot."""
    slices = slice_accounts(budget_id)
    return slices[salt % len(slices)]


def covered_credits(fen: int, price_fen: int) -> int:
    """Credits that an amount of money pays for, rounded up: what a redemption of ``fen`` uses of a budget."""
    return units.ceil_div(fen * 1000, price_fen)
