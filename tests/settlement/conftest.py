"""A merchant with redemptions of two months, an owner, and the steps that turn them into statements."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from app import approvals, audit, merchants, orders, programs, redemptions, settlement
from app.db import session, transaction
from app.settlement.models import Statement
from jobs.proofs import proofs
from tests import world
from tests.world import AT, World

DECEMBER = datetime.fromisoformat("2026-12-01T00:00:00+08:00")
DRAWN = DECEMBER + timedelta(days=3)


def town(people: int = 3, deposit_fen: int = 10_000_000) -> World:
    """A program; its last person but one scans, the last one owns the shop; the first is rich."""
    with transaction():
        here = world.build(people=people, stock=1000, deposit_fen=deposit_fen, at=AT - timedelta(days=90))
        world.rich(here, here.people[0], 50_000, at=AT - timedelta(days=1))
        world.clerk(here, here.people[-2], at=AT - timedelta(days=60))
        world.clerk(here, here.people[-1], role="owner", at=AT - timedelta(days=60))
    return here


def redeem(here: World, at: datetime, *, ref: str) -> int:
    """Buy one and have it scanned at this moment; answers the redemption."""
    with transaction():
        wish = orders.Wish(here.item_id, 1, 100)
        placed = orders.place(person_id=here.people[0], client_ref=ref, wish=wish, at=at)
        (code_id,) = redemptions.codes_of_order(placed.order_id)
        _, typed = redemptions.show(code_id=code_id, person_id=here.people[0])
        verdict = redemptions.redeem(
            typed=typed, shop_id=here.shop_id, staff_person_id=here.people[-2], scan_id=ref, at=at
        )
        return verdict.redemption_id


def draw(here: World, period: str = "2026-11", at: datetime = DRAWN) -> settlement.Drawn | None:
    program = programs.by_code(here.code)
    wanted = settlement.period_of(program, period)
    return settlement.draw(program=program, merchant_id=here.merchant_id, period=wanted, actor="operator:lin", at=at)


def drawn(here: World, period: str = "2026-11", at: datetime = DRAWN) -> int:
    """Draw and issue; answers the statement."""
    with transaction():
        done = draw(here, period, at)
        assert done is not None
        settlement.issue(statement_id=done.statement.id, actor="operator:lin", at=at)
        return done.statement.id


def approve(statement_id: int, at: datetime) -> Statement:
    """Two persons approve what it says now."""
    with transaction():
        content = bytes(settlement.get(statement_id).content_hash).hex()
        asked = two({"statement_id": statement_id, "hash": content}, settlement.APPROVE, at)
        return settlement.approve(
            statement_id=statement_id, content=content, approval_id=asked, checker="operator:wu", at=at
        )


def two(payload: dict[str, Any], action: str, at: datetime) -> int:
    asked = approvals.ask(action=action, payload=payload, reason="proof", maker="operator:lin", at=at)
    approvals.approve(approval_id=asked.id, checker="operator:wu", at=at)
    approvals.execute(approval_id=asked.id, action=action, payload=payload, at=at)
    return asked.id


def account(here: World, at: datetime, number: str = "6222000011112222333") -> int:
    """A payout account, asked and approved at this moment."""
    with transaction():
        merchant = session().get_one(merchants.Merchant, here.merchant_id)
        made = settlement.ask_account(
            merchant=merchant, holder="王小店", bank="工商银行", number=number, asked_by="person:1", reason="x", at=at
        )
        approvals.approve(approval_id=made.approval_id or 0, checker="operator:wu", at=at)
        settlement.take_account(account_id=made.id, at=at)
        return made.id


def pay(here: World, batch_no: str, reference: str, at: datetime) -> list[int]:
    """A batch of all that is due, paid; answers its lines."""
    with transaction():
        _, lines, _ = settlement.make_batch(program_id=here.program_id, batch_no=batch_no, actor="operator:lin", at=at)
        for number, line in enumerate(lines):
            settlement.pay(
                payout_id=line.id, bank_reference=f"{reference}-{number}", paid_on=at.date(),
                evidence_hash=audit.digest("receipt"), actor="operator:lin", at=at,
            )  # fmt: skip
        return [line.id for line in lines]


def broken(*ids: str) -> list[Any]:
    """The proofs that answer rows now, inside this test's own transaction."""
    found = [(proof.id, proof.find(session().connection())) for proof in proofs(ids=ids)]
    return [(name, list(rows)) for name, rows in found if rows]


@pytest.fixture
def here(db_session: Any) -> World:
    return town()


NOON = timedelta(hours=12)
DAY = timedelta(days=1)
