"""An order of credits and money, fed with plain facts: each step, again, late, in the wrong order, and never wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app import approvals, funding, mall, orders, payments, redemptions
from app.db import run, session, transaction
from app.errors import Refusal
from app.funding import queries
from app.mall.models import Item
from app.orders.placing import CLOSE_AFTER, PAY_WITHIN
from app.payments import refunds
from app.payments.models import Payment, PaymentNotice, Shipment
from jobs.proofs import proofs
from tests import cash, world
from tests.cash import LATE
from tests.given import AT
from tests.world import World

DAY = timedelta(days=1)


@pytest.fixture
def town(db_session: Session) -> World:
    with transaction():
        made = world.build(people=2)
        for person in made.people:
            world.rich(made, person, 500)
        return made


@pytest.fixture
def kit(town: World) -> int:
    with transaction():
        return cash.item(town)


@pytest.fixture
def order(town: World, kit: int) -> orders.Order:
    with transaction():
        return cash.place(town, town.people[0], kit)


@pytest.fixture(autouse=True)
def books_stay_right(db_session: Session) -> Iterator[None]:
    """Whatever a test does, every invariant of money, stock and credits holds afterwards."""
    yield
    db_session.flush()
    kept = ("LED", "BUD", "WAL", "IDM", "STK-1", "STK-2", "STK-3", "STK-5", "STK-6", "COD", "PAY")
    for proof in proofs(ids=kept):
        assert [dict(row._mapping) for row in proof.find(session().connection())] == [], proof.id


@contextmanager
def refused(code: str) -> Iterator[None]:
    with pytest.raises(Refusal) as told, transaction():
        yield
    assert told.value.code == code


def state(order: orders.Order) -> str:
    return session().get_one(orders.Order, order.id, populate_existing=True).state


def credits(town: World, number: int = 0) -> int:
    query = "select a.balance from wallets w join accounts a on a.id = w.credits_account_id where w.person_id = %(p)s"
    return int(run(query, {"p": town.people[number]})[0].balance)


def stock(item_id: int) -> tuple[int, int, int]:
    item = session().get_one(Item, item_id, populate_existing=True)
    return item.available, item.reserved, item.sold


def fen(kind: str, payment: Payment | None = None) -> int:
    owner = "%" if payment is None else f"payment:{payment.id}"
    query = """
        select coalesce(sum(e.amount), 0) as fen from accounts a join entries e on e.account_id = a.id
        where a.asset = 'fen' and a.kind = %(kind)s and a.owner_key like %(owner)s
    """
    return int(run(query, {"kind": kind, "owner": owner})[0].fen)


def take(said: Any, *, at: Any = AT, why: str = "notice") -> orders.Taken:
    with transaction():
        return orders.take_transaction(said, why=why, at=at)


def test_placed_it_holds_and_paid_it_spends(town: World, kit: int, order: orders.Order) -> None:
    assert (state(order), credits(town), stock(kit)) == ("placed", 400, (9, 1, 0))
    assert redemptions.codes_of_order(order.id) == []
    with transaction():
        payment = cash.begin(order)
    assert state(order) == "paying"
    said = cash.success(payment)
    assert take(said).outcome == "accepted"
    assert (state(order), credits(town), stock(kit)) == ("paid", 400, (9, 0, 1))
    assert len(redemptions.codes_of_order(order.id)) == 1
    assert (fen("wechat"), fen("order_money", payment)) == (-990, 990)
    shipment = session().query(Shipment).one()
    assert (shipment.logistics, shipment.state) == (4, "due")
    assert shipment.next_try_at == AT + timedelta(seconds=10), "before that WeChat doesn't know the payment"
    assert [take(said).outcome for _ in range(3)] == ["known"] * 3, "told again, nothing happens"
    assert take(cash.success(payment, trade_state="REFUND")).outcome == "known"


def test_only_real_goods_and_services_ask_for_money(town: World) -> None:
    with refused("cash_not_allowed"):
        mall.allow(kind="voucher", price_fen=1)
    mall.allow(kind="voucher", price_fen=0)
    for kind in mall.CASH_KINDS:
        mall.allow(kind=kind, price_fen=1)
    with pytest.raises(Exception, match="ck_items_cash_kinds"), transaction():
        cash.item(town, kind="voucher")


def test_a_price_that_was_not_seen_is_not_taken(town: World, kit: int) -> None:
    for changes in ({"price_fen": 0}, {"price_fen": 989}, {"price_credits": 99}):
        with refused("price_changed"):
            cash.place(town, town.people[0], kit, **changes)
    assert credits(town) == 500 and stock(kit) == (10, 0, 0)


def test_held_credits_stay_promised(town: World, order: orders.Order) -> None:
    """What is set aside for an order is still somebody's: cover and outstanding don't move until it is refunded."""

    def promised() -> tuple[int, int]:
        cover = queries.cover(town.program_id, at=AT)
        return cover.outstanding, cover.cost_fen

    before = promised()
    with transaction():
        cash.pay(order)
    assert promised() == before
    with transaction():
        orders.refund(order_id=order.id, reason="x", asked_by="operator:lin", at=AT)
    assert promised() == before


def test_a_second_tap_is_the_same_order_and_the_same_payment(town: World, kit: int) -> None:
    with transaction():
        first = cash.place(town, town.people[0], kit, client_ref="tap")
        again = cash.place(town, town.people[0], kit, client_ref="tap", at=AT + timedelta(seconds=1))
        assert first.id == again.id
        assert cash.begin(first).id == cash.begin(first).id
    assert run("select count(*) as n from payments")[0].n == 1
    with refused("idempotency_conflict"):
        cash.place(town, town.people[0], kit, client_ref="tap", quantity=2)


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("amount", {"total_fen": 1}),
        ("amount", {"total_fen": 991}),
        ("mchid", {"mchid": "1900000999"}),
        ("appid", {"appid": "wxlocal000000000002"}),
        ("currency", {"currency": "USD"}),
        ("payer", {"openid": "o-somebody-else"}),
        ("time", {"success_time": AT + DAY}),
        ("time", {"success_time": None}),
        ("transaction", {"transaction_id": ""}),
        ("unknown", {"out_trade_no": "T261120NOBODY"}),
    ],
)
def test_what_differs_is_never_accepted(
    town: World, kit: int, order: orders.Order, what: str, changes: dict[str, Any]
) -> None:
    with transaction():
        payment = cash.begin(order)
    taken = take(cash.success(payment, **changes))
    assert (taken.outcome, taken.problem) == ("refused", what)
    assert (state(order), stock(kit), fen("wechat")) == ("paying", (9, 1, 0), 0)
    assert take(cash.success(payment)).outcome == "accepted", "the right one still is"
    assert take(cash.success(payment, transaction_id="4200999")).problem == "transaction", "nobody pays it twice"


def test_time_out_gives_everything_back_once_wechat_has_closed_it(town: World, kit: int, order: orders.Order) -> None:
    with transaction():
        payment = cash.begin(order)
    assert orders.due_to_end(AT + PAY_WITHIN + CLOSE_AFTER) == [(order.id, "timed_out")]
    assert orders.due_to_end(AT + PAY_WITHIN) == []
    late = AT + LATE
    with transaction():
        assert orders.begin_end(order_id=order.id, become="timed_out", at=late) == payment.id
    assert (state(order), credits(town), stock(kit)) == ("paying", 400, (9, 1, 0)), "only a wish until WeChat says so"
    with refused("payment_closing"):
        cash.begin(order)
    with transaction():
        orders.end_unpaid(payment_id=payment.id, state="closed", why="closed", at=late)
    assert (state(order), credits(town), stock(kit)) == ("timed_out", 500, (10, 0, 0))
    with transaction():
        orders.end_unpaid(payment_id=payment.id, state="closed", why="closed", at=late)
        assert orders.begin_end(order_id=order.id, become="timed_out", at=late) is None
    assert (credits(town), stock(kit)) == (500, (10, 0, 0)), "again changes nothing"
    with refused("order_timed_out"):
        cash.begin(order)


def test_money_after_the_end_goes_back_by_itself(town: World, kit: int, order: orders.Order) -> None:
    with transaction():
        payment = cash.begin(order)
        orders.begin_end(order_id=order.id, become="cancelled", at=AT)
        orders.end_unpaid(payment_id=payment.id, state="closed", why="closed", at=AT)
    assert state(order) == "cancelled"
    assert take(cash.success(payment)).outcome == "late"
    assert take(cash.success(payment)).outcome == "known"
    (refund,) = cash.refunds_of(payment)
    assert (refund.fen, refund.why, refund.state) == (990, "late", "asked")
    assert (fen("order_money", payment), fen("refund_due", payment), fen("wechat")) == (0, 990, -990)
    with transaction():
        assert orders.take_refund(cash.back(refund), at=AT).outcome == "accepted"
        assert orders.take_refund(cash.back(refund), at=AT).outcome == "known"
    assert (state(order), fen("refund_due", payment), fen("wechat")) == ("cancelled", 0, 0)
    assert (credits(town), stock(kit)) == (500, (10, 0, 0))
    told = [row.kind for row in run("select kind from notices where kind like 'order.%%' order by id")]
    assert told == ["order.late", "order.refunded"]


def test_paid_while_it_is_being_closed_is_paid(town: World, kit: int, order: orders.Order) -> None:
    with transaction():
        payment = cash.begin(order)
        orders.begin_end(order_id=order.id, become="cancelled", at=AT)
    assert take(cash.success(payment), why="query").outcome == "accepted"
    assert (state(order), stock(kit)) == ("paid", (9, 0, 1))
    with transaction():
        orders.end_unpaid(payment_id=payment.id, state="closed", why="closed", at=AT)
    assert state(order) == "paid", "a close that comes after the money means nothing"
    with refused("state_conflict"):
        orders.begin_end(order_id=order.id, become="cancelled", at=AT, person_id=town.people[0])


def test_a_second_number_for_one_order_pays_once(town: World, kit: int, order: orders.Order) -> None:
    """The first number was spoilt and given up, the second paid; then the first turns out to be paid as well."""
    with transaction():
        first = cash.begin(order, prepaid=False)
        orders.end_unpaid(payment_id=first.id, state="failed", why="number", at=AT)
        assert state(order) == "paying"
        second = cash.begin(order)
    assert first.id != second.id and first.out_trade_no != second.out_trade_no
    assert take(cash.success(second)).outcome == "accepted"
    assert take(cash.success(first)).outcome == "late"
    assert [refund.fen for refund in cash.refunds_of(first)] == [990]
    assert (state(order), cash.refunds_of(second)) == ("paid", [])


def test_a_given_up_number_that_is_paid_pays_and_closes_the_other(town: World, kit: int, order: orders.Order) -> None:
    with transaction():
        first = cash.begin(order, prepaid=False)
        orders.end_unpaid(payment_id=first.id, state="failed", why="number", at=AT)
        second = cash.begin(order)
    assert take(cash.success(first)).outcome == "accepted"
    assert session().get_one(Payment, second.id, populate_existing=True).state == "closing"
    assert take(cash.success(second)).outcome == "late"
    assert (state(order), stock(kit)) == ("paid", (9, 0, 1))


def test_wechat_closes_it_by_itself(town: World, kit: int, order: orders.Order) -> None:
    with transaction():
        payment = cash.begin(order)
    assert take(cash.success(payment, trade_state="NOTPAY")).outcome == "unpaid"
    assert take(cash.success(payment, trade_state="CLOSED")).outcome == "ended"
    assert (state(order), credits(town)) == ("timed_out", 500)


def test_a_refund_returns_credits_pieces_and_money(town: World, kit: int, order: orders.Order) -> None:
    with transaction():
        payment = cash.pay(order)
        refund = orders.refund(order_id=order.id, reason="商品缺货", asked_by="operator:lin", at=AT)
    assert (state(order), credits(town), stock(kit)) == ("refunding", 500, (10, 0, 0))
    with refused("state_conflict"):
        orders.refund(order_id=order.id, reason="x", asked_by="operator:lin", at=AT)
    with transaction():
        assert orders.take_refund(cash.back(refund, status="PROCESSING"), at=AT).outcome == "accepted"
    assert state(order) == "refunding", "accepted is not refunded"
    with transaction():
        orders.take_refund(cash.back(refund), at=AT + DAY)
    assert (state(order), fen("wechat"), fen("order_money", payment)) == ("refunded", 0, 0)
    with transaction():
        assert orders.take_refund(cash.back(refund, status="PROCESSING"), at=AT).outcome == "known", "success stays"


def test_a_used_code_is_not_refunded_and_a_refunded_one_not_used(town: World, kit: int) -> None:
    with transaction():
        world.clerk(town, town.people[1])
        used, back = (cash.place(town, town.people[0], kit) for _ in range(2))
        for one in (used, back):
            cash.pay(one)
    scan = {"shop_id": town.shop_id, "staff_person_id": town.people[1], "at": AT}

    def typed(order: orders.Order) -> str:
        return redemptions.show(code_id=redemptions.codes_of_order(order.id)[0], person_id=order.person_id)[1]

    with transaction():
        redemptions.redeem(typed=typed(used), scan_id="1", **scan)
    assert state(used) == "fulfilled"
    with refused("order_redeemed"):
        orders.refund(order_id=used.id, reason="x", asked_by="operator:lin", at=AT)
    with transaction():
        orders.refund(order_id=back.id, reason="x", asked_by="operator:lin", at=AT)
    with refused("code_refunded"):
        redemptions.redeem(typed=typed(back), scan_id="2", **scan)


def test_refunds_in_part_have_their_limits(town: World, order: orders.Order) -> None:
    with transaction():
        payment = cash.pay(order)
    give = {"order_id": order.id, "reason": "瑕疵", "asked_by": "operator:lin"}
    with refused("refund_too_much"):
        orders.refund_part(fen=991, at=AT, **give)
    with transaction():
        first = orders.refund_part(fen=10, at=AT, **give)
    with refused("refund_underway"):
        orders.refund_part(fen=10, at=AT, **give)
    with transaction():
        orders.take_refund(cash.back(first), at=AT)
    with refused("refund_underway"):
        orders.refund_part(fen=10, at=AT + timedelta(seconds=59), **give)
    with transaction():
        for number in range(2, 51):
            at = AT + timedelta(minutes=number)
            orders.take_refund(cash.back(orders.refund_part(fen=10, at=at, **give)), at=at)
    assert (state(order), fen("order_money", payment)) == ("paid", 490)
    with refused("refund_too_many"):
        orders.refund_part(fen=10, at=AT + DAY, **give)


def test_a_refund_after_a_year_is_refused(town: World, order: orders.Order) -> None:
    with transaction():
        cash.pay(order)
    with refused("refund_too_old"):
        orders.refund_part(order_id=order.id, fen=1, reason="x", asked_by="operator:lin", at=AT + 365 * DAY)


def test_the_database_itself_refuses_to_refund_more_than_was_paid(town: World, order: orders.Order) -> None:
    with transaction():
        payment = cash.pay(order)
    for change in ("refunded_fen = 991", "refund_count = 51"):
        with pytest.raises(Exception, match="ck_payments_refund"), transaction():
            run(f"update payments set {change} where id = %(id)s", {"id": payment.id})


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("amount", {"refund_fen": 1}),
        ("amount", {"total_fen": 1}),
        ("payment", {"transaction_id": "4200"}),
        ("payment", {"out_trade_no": "T261120NOBODY"}),
        ("mchid", {"mchid": "1900000999"}),
        ("unknown", {"out_refund_no": "T261120NOBODYR1"}),
    ],
)
def test_a_refund_that_differs_is_never_accepted(
    town: World, order: orders.Order, what: str, changes: dict[str, Any]
) -> None:
    with transaction():
        cash.pay(order)
        refund = orders.refund(order_id=order.id, reason="x", asked_by="operator:lin", at=AT)
        taken = orders.take_refund(cash.back(refund, **changes), at=AT)
    assert (taken.outcome, taken.problem, state(order)) == ("refused", what, "refunding")


def test_a_refund_that_fails_waits_for_a_person(town: World, order: orders.Order) -> None:
    with transaction():
        payment = cash.pay(order)
        refund = orders.refund(order_id=order.id, reason="x", asked_by="operator:lin", at=AT)
        orders.take_refund(cash.back(refund, status="ABNORMAL"), at=AT)
    assert (state(order), cash.refunds_of(payment)[0].state) == ("refunding", "abnormal")
    assert payments.differences.open_by_kind() == {"refund_abnormal": 1}
    with transaction():
        orders.take_refund(cash.back(refund, status="CLOSED"), at=AT)
    assert (state(order), fen("order_money", payment), fen("refund_due", payment)) == ("refunding", 990, 0)
    with transaction():
        again = orders.refund_again(refund_id=refund.id, asked_by="operator:lin", at=AT + DAY)
        assert again.out_refund_no == f"{payment.out_trade_no}R2", "a closed refund needs a new number"
        orders.take_refund(cash.back(again), at=AT + DAY)
    assert state(order) == "refunded"


def test_credits_held_past_the_end_of_their_lot_come_back_with_a_grace(town: World, order: orders.Order) -> None:
    """And the lot that had ended still expires only once, without holding up those behind it."""
    far = AT + timedelta(days=2_000)
    with transaction():
        while funding.expire_lots(at=far):
            pass
    assert credits(town) == 0
    with transaction():
        orders.begin_end(order_id=order.id, become="timed_out", at=far)
    assert (state(order), credits(town)) == ("timed_out", 100)
    with transaction():
        assert funding.expire_lots(at=far) == 0, "a month of grace"
        assert funding.expire_lots(at=far + timedelta(days=32)) == 1
    assert credits(town) == 0


def test_an_item_off_sale_or_dearer_changes_nothing_for_who_has_ordered(
    town: World, kit: int, order: orders.Order
) -> None:
    with transaction():
        item = session().get_one(Item, kit)
        item.state, item.price_credits, item.settlement_fen, item.price_fen = "off_sale", 9_000, 9_000, 9_000
        cash.pay(order)
    assert state(order) == "paid"
    owed = run("select settlement_fen from codes")[0].settlement_fen
    assert owed == 150, "what the merchant is owed was frozen at placing"
    with refused("not_on_sale"):
        cash.place(town, town.people[0], kit, price_credits=9_000, price_fen=9_000)


def test_a_notice_is_kept_once_and_never_with_its_payer(town: World, order: orders.Order) -> None:
    notice = {"mchid": cash.MCHID, "notice_id": "n-1", "event_type": "TRANSACTION.SUCCESS", "number": "x"}
    with transaction():
        first = payments.notices.keep(content={"a": 1, "openid": "o-canary"}, at=AT, **notice)
        again = payments.notices.keep(content={"a": 1, "openid": "o-canary"}, at=AT, **notice)
        other = payments.notices.keep(content={"a": 2}, at=AT, **notice)
    assert [(one.settled, one.same) for one in (first, again, other)] == [(False, True), (True, True), (True, False)]
    kept = session().query(PaymentNotice).one()
    assert kept.times == 3
    with transaction():
        payments.notices.end(first, state="refused", problem="unknown", at=AT)
        mended = payments.notices.keep(content={"a": 2}, at=AT, **notice)
    assert (mended.settled, mended.same, mended.refused) == (False, True, True), "judged anew, whatever it says now"
    assert "o-canary" not in str(vars(kept))


def test_a_person_sees_the_payments_of_their_own_only(town: World, order: orders.Order) -> None:
    with refused("not_found"):
        orders.begin_payment(order_id=order.id, person_id=town.people[1], terms=cash.TERMS, openid="o-x", at=AT)
    with refused("not_found"):
        orders.begin_end(order_id=order.id, become="cancelled", at=AT, person_id=town.people[1])


def test_whoever_leaves_is_told_of_unpaid_orders_and_of_refunds_on_their_way(
    town: World, order: orders.Order, kit: int
) -> None:
    from app import personal_data

    person = town.people[0]
    with transaction():
        cash.begin(order)
    with transaction():
        paid = cash.place(town, person, kit)
    with transaction():
        cash.pay(paid)
    with transaction():
        asked = orders.refund_part(order_id=paid.id, fen=90, reason="瑕疵", asked_by="operator:lin", at=AT)
    losses, _ = personal_data.losses(person, AT)
    told = {str(one["what"]): one.get("amount") for one in losses}
    assert (told["unpaid_order"], told["refund_under_way"]) == (100, asked.fen)


def test_a_refund_that_wechat_cant_do_is_paid_by_the_bank(town: World, order: orders.Order) -> None:
    with transaction():
        payment = cash.pay(order)
    with transaction():
        refund = orders.refund(order_id=order.id, reason="x", asked_by="operator:lin", at=AT)
        approval = approvals.ask(action="x", payload={}, reason="x", maker="operator:lin", at=AT)
    told = {"refund_id": refund.id, "evidence": "ICBC 2026112500017", "by": "operator:wu", "approval_id": approval.id}
    with refused("refund_not_stuck"):
        orders.refund_by_bank(**told, at=AT)
    with transaction():
        orders.take_refund(cash.back(refund, status="ABNORMAL"), at=AT)
    with transaction():
        orders.refund_by_bank(**told, at=AT)
    assert (state(order), cash.refunds_of(payment)[0].state) == ("refunded", "transferred")
    assert (fen("refund_due", payment), fen("order_money", payment), fen("wechat")) == (0, 0, -990)
    assert payments.differences.open_by_kind() == {}, "the trouble is over, and stays on record"
    assert [row.state for row in payments.differences.listed(everything=True)] == ["mended"]
    with transaction():
        assert orders.take_refund(cash.back(refund), at=AT).outcome == "known"
    assert payments.differences.open_by_kind() == {"refund_twice": 1}, "WeChat paid as well"
    with refused("refund_not_stuck"):
        orders.refund_by_bank(**told, at=AT)


def test_a_trouble_that_is_over_is_mended_and_opens_again_when_it_comes_back(town: World, order: orders.Order) -> None:
    with transaction():
        payment = cash.pay(order)
        refund = orders.refund(order_id=order.id, reason="x", asked_by="operator:lin", at=AT)

    def empty() -> None:
        with transaction():
            refunds.give_up(payments.locked(payment.id), refunds.locked(refund.id), problem="not_enough", at=AT)

    empty()
    with transaction():
        payments.differences.well(refund_id=refund.id, by="system:refund", at=AT)
    assert payments.differences.open_by_kind() == {}
    empty()
    assert payments.differences.open_by_kind() == {"refund_not_enough": 1}, "the account is empty again"
    with transaction():
        orders.take_refund(cash.back(refund), at=AT)
    assert payments.differences.open_by_kind() == {}
