"""Books with everything in them: paid, pending, carried, spent, redeemed, undone, given, reversed, shown elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from app import (
    approvals,
    funding,
    leaderboards,
    ledger,
    mall,
    orders,
    payments,
    programs,
    records,
    redemptions,
    scenarios,
    welfare,
)
from app.clock import business_day
from app.db import session, transaction
from app.funding.models import Budget
from app.records import reviews
from jobs.relay import relay_all
from tests import cash, given, shelf, world
from tests.contest import lived
from tests.daily import lived as daily
from tests.ledger import settled
from tests.social import lived as together
from tests.world import AT, World

HOUR = timedelta(hours=1)


@dataclass
class Books:
    """A world after a busy day, and some of what happened in it."""

    world: World
    clerk: int
    orders: list[int]
    redemption_id: int


def busy(*, people: int = 6) -> Books:
    """Live through a day. Commits as it goes."""
    with transaction():
        here = world.build(people=people, deposit_fen=6_000)  # covers 3,000 credits
        clerk = here.people[-1]
        world.clerk(here, clerk)
        for person in here.people[:4]:
            world.rich(here, person, 350)
    counted = [_take(here, person, f"ride-{person}") for person in here.people[:4]]
    goal = lived.begin(here)
    placed = [_order(here, person, quantity) for person, quantity in zip(here.people, (1, 2), strict=False)]
    codes = [code for order in placed for code in redemptions.codes_of_order(order.order_id)]
    first = _redeem(here, clerk, codes[0], here.people[0], "scan-1")
    with transaction():
        redemptions.undo(redemption_id=first, shop_id=here.shop_id, staff_person_id=clerk, at=AT + HOUR / 12)
    again = _redeem(here, clerk, codes[0], here.people[0], "scan-2")
    with transaction():
        welfare.give(
            person_id=here.people[2],
            program_id=here.program_id,
            project_id=here.project_id,
            credits=333,
            client_ref="gift-1",
            at=AT,
        )
    _held(here)
    _paid_in_cash(here)
    _of_every_kind(here)
    _reverse_spent(here)
    together.live(here)
    daily.live(here)
    with transaction():
        reviews.reverse(record_id=counted[1].record_id or 0, code="error", words="", by="operator:ops", at=AT + HOUR)
    _mirrored(here)
    _wait_for_money(here)
    _approved(here)
    settled.give(here)
    settled.settle(here)
    lived.end(goal)
    _boards(here)
    lived.climb(here)
    return Books(here, clerk, [order.order_id for order in placed], again)


def _take(here: World, person: int, reference: str) -> Any:
    with transaction():
        return world.take(here, person, reference=reference)


def _order(here: World, person: int, quantity: int) -> Any:
    with transaction():
        wish = orders.Wish(here.item_id, quantity, 100)
        return orders.place(person_id=person, client_ref="order-1", wish=wish, at=AT)


def _redeem(here: World, clerk: int, code_id: int, owner: int, scan: str) -> int:
    with transaction():
        _, typed = redemptions.show(code_id=code_id, person_id=owner)
        verdict = redemptions.redeem(
            typed=typed, shop_id=here.shop_id, staff_person_id=clerk, scan_id=scan, at=AT + HOUR / 12
        )
        return verdict.redemption_id


def _held(here: World) -> None:
    """One hold stands, one was given back, one was spent."""
    with transaction():
        wallet = funding.lock_wallet(person_id=here.people[3], program_id=here.program_id, at=AT)
        holds = [funding.hold(wallet=wallet, credits=7, source_ref=f"hold-{n}", at=AT) for n in range(3)]
        spent = ledger.account(program_id=here.program_id, asset="credits", kind="spent")
        funding.release(wallet=wallet, transfer_id=holds[1].transfer_id, at=AT)
        funding.settle(wallet=wallet, transfer_id=holds[2].transfer_id, to_account_id=spent, at=AT)


def _of_every_kind(here: World) -> None:
    """A pool code was handed out, a time is booked, a parcel arrived and another is on its way."""
    person, cheap = here.people[3], {"price_credits": 1, "settlement_fen": 1}
    with transaction():
        pool = shelf.item(here, "code_pool", **cheap)
        mall.import_codes(item_id=pool, lines=["A-1", "A-2"], at=AT)
        shelf.place(person, pool)
        wash, bag = shelf.item(here, "service", **cheap), shelf.item(here, "parcel", **cheap)
        shelf.place(person, wash, slot_id=shelf.slot(wash))
        for number in range(2):
            order = shelf.place(person, bag, address_id=shelf.address(person))
            orders.parcels.ship(order_id=order.id, carrier="SF", tracking_no=f"SF{number}", at=AT)
        orders.parcels.receive(order_id=order.id, by="system:time", at=AT)


def _paid_in_cash(here: World) -> None:
    """One order is paid and a part of it given back, one refunded, one paid too late, one waits for its money."""
    with transaction():
        kit = cash.item(here)
        kept, returned, late, _ = (cash.place(here, here.people[n], kit) for n in (0, 1, 0, 0))
        paid = cash.pay(kept)
        cash.pay(returned)
        part = orders.refund_part(order_id=kept.id, fen=90, reason="x", asked_by="operator:lin", at=AT)
        whole = orders.refund(order_id=returned.id, reason="x", asked_by="operator:lin", at=AT)
        for refund in (part, whole):
            orders.take_refund(cash.back(refund), at=AT)
        payment = cash.begin(late)
        orders.begin_end(order_id=late.id, become="timed_out", at=AT + HOUR)
        orders.end_unpaid(payment_id=payment.id, state="closed", why="closed", at=AT + HOUR)
        orders.take_transaction(cash.success(payment), why="notice", at=AT + HOUR)
        payments.notices.keep(
            mchid=cash.MCHID, notice_id="n-1", event_type="TRANSACTION.SUCCESS", content={}, number=paid.out_trade_no,
            at=AT,
        )  # fmt: skip


def _reverse_spent(here: World) -> None:
    """Credits that are spent and then reversed become a debt, which later credits pay."""
    person = here.people[4]
    with transaction():
        ride = world.take(here, person, reference="to-be-reversed", facts={"distance_km": "40"})
    assert ride.credits > 100
    with transaction():
        welfare.give(
            person_id=person,
            program_id=here.program_id,
            project_id=here.project_id,
            credits=ride.credits - 20,
            client_ref="gift-2",
            at=AT,
        )
    with transaction():
        reviews.reverse(record_id=ride.record_id or 0, code="error", words="", by="operator:ops", at=AT + HOUR)
    with transaction():
        world.take(here, person, reference="pays-the-debt", occurred_at=AT - 9 * HOUR, ended_at=AT - 8 * HOUR)


def _mirrored(here: World) -> None:
    """Somebody in two programs: one pays, the other shows."""
    person = here.people[0]
    with transaction():
        other = given.program()
        for draft in programs.templates.load("city").scenarios:
            scenarios.offer(program_id=other.id, definition=draft)
        world.join(other, person_id=person)
    with transaction():
        world.take(here, person, reference="shown-twice", occurred_at=AT - 30 * HOUR, ended_at=AT - 29 * HOUR)


def _wait_for_money(here: World) -> None:
    """The budget runs dry; an award waits, some money comes, more waits."""
    with transaction():
        world.rich(here, here.people[3], 3_000)
    with transaction():
        _take_late(here, 3)
    with transaction():
        budget = session().get_one(Budget, here.budget_id)
        funding.receive_deposit(budget=budget, fen=5_990, reference="second", at=AT + HOUR)
    with transaction():
        funding.pay_pending(budget_id=here.budget_id, at=AT + HOUR)
    with transaction():
        world.rich(here, here.people[3], 9_000)


def _take_late(here: World, number: int) -> None:
    records.take(
        world.act(here, here.people[number], reference="waits", occurred_at=AT - 50 * HOUR, ended_at=AT - 49 * HOUR),
        at=AT,
    )


def _approved(here: World) -> None:
    payload = {"budget": str(here.budget_id), "fen": "100"}
    with transaction():
        asked = approvals.ask(action="deposit", payload=payload, reason="proof", maker="operator:lin", at=AT)
        approvals.approve(approval_id=asked.id, checker="operator:wu", at=AT)
        approvals.execute(approval_id=asked.id, action="deposit", payload=payload, at=AT)
        budget = session().get_one(Budget, here.budget_id)
        funding.receive_deposit(budget=budget, fen=100, reference="approved", at=AT + HOUR, approval_id=asked.id)


def _boards(here: World) -> None:
    relay_all()
    with transaction():
        for metric in ("mg", "credits"):
            board = leaderboards.board_of(
                program_id=here.program_id,
                subject_kind="person",
                metric=metric,
                period_kind="day",
                day=business_day(AT),
            )
            leaderboards.freeze(board, at=AT + timedelta(days=3))
