"""A program ends in order: nobody is left with a promise, and the last fen finds its way back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app import audit, funding, mall, programs, records, settlement
from app.db import connection, session, transaction
from app.errors import Refusal
from app.funding.models import Budget
from app.mall.models import Item
from app.programs import Program
from app.settlement.models import Windup
from tests import given, world
from tests.settlement.conftest import DAY, account, approve, broken, pay, redeem, town, two
from tests.world import AT, World

ENDS = AT + 31 * DAY


def one(query: str, **values: Any) -> Any:
    return connection().execute(text(query), values).scalar_one()


def begin(here: World, at: Any = AT, days: int = 30) -> None:
    with transaction():
        asked = two({"p": here.program_id, "at": str(at)}, settlement.WIND_UP, at)
        settlement.begin(program_id=here.program_id, window_days=days, reason="项目到期", approval_id=asked,
                         actor="operator:wu", at=at)  # fmt: skip


def advance(here: World, at: Any) -> str:
    for _ in range(50):
        with transaction():
            if not settlement.advance(program_id=here.program_id, at=at):
                return session().get_one(Windup, here.program_id).state
    raise AssertionError("it never comes to rest")


def test_awards_stop_and_the_record_stands(here: World) -> None:
    begin(here)
    person = here.people[1]
    with transaction():
        early = records.take(world.act(here, person, reference="before"), at=AT + DAY)
        late = records.take(
            world.act(here, person, reference="after", occurred_at=AT + DAY, ended_at=AT + DAY + timedelta(minutes=30)),
            at=AT + 2 * DAY,
        )
    assert early.credits > 0 and late.credits == 0 and late.mg > 0
    assert one("select cut_by from awards where record_id = :r", r=late.record_id).startswith("ended:")
    assert broken("AWD", "WAL", "SET-8", "MET-6") == []
    with transaction(), pytest.raises(Refusal) as closed:
        given.member(programs.by_code(here.code))
    assert closed.value.code == "program_retired"


def test_refused_when_the_money_does_not_cover(here: World) -> None:
    with transaction():
        money = session().get_one(Budget, here.budget_id).money_account_id
        connection().execute(text("update accounts set balance = 1 where id = :id"), {"id": money})
    with pytest.raises(Refusal) as refused:
        begin(here)
    assert refused.value.code == "cover_too_low"


def test_to_the_last_fen(here: World) -> None:
    redeem(here, AT, ref="a")
    begin(here)
    assert advance(here, AT) == "window"
    assert one("select count(*) from notices where kind = 'program.ending'") == len(here.people)
    redeem(here, AT + 20 * DAY, ref="b")
    assert advance(here, ENDS - DAY) == "window"
    assert one("select sum(remaining) from lots where program_id = :p", p=here.program_id) > 0
    assert advance(here, ENDS) == "settled"
    assert one("select sum(remaining) from lots where program_id = :p", p=here.program_id) == 0
    assert advance(here, ENDS + DAY) == "settled"
    (statement,) = settlement.of_program(here.program_id)
    assert (statement.period, statement.lines, statement.total_fen) == ("final", 2, 300)
    with transaction():
        settlement.issue(statement_id=statement.id, actor="operator:lin", at=ENDS)
    account(here, ENDS)
    approve(statement.id, ENDS + 8 * DAY)
    pay(here, "B", "bank", ENDS + 9 * DAY)
    assert advance(here, ENDS + 9 * DAY) == "settled"
    for _ in range(2):
        with transaction():
            back = settlement.give_back(
                program_id=here.program_id, budget_code="main", bank_reference="R", evidence_hash=audit.digest("x"),
                approval_id=two({"b": str(_)}, settlement.RETURN, ENDS), actor="operator:wu", at=ENDS + 9 * DAY,
            )  # fmt: skip
        assert back.fen == 10_000_000 - 300
    assert advance(here, ENDS + 10 * DAY) == "closed"
    assert session().get_one(Program, here.program_id).state == "retired"
    view = settlement.sponsor_view(here.program_id, "bank")
    assert view.agrees and (view.returned_fen, view.paid_fen, view.held_fen) == (9_999_700, 300, 0)
    assert broken("LED", "BUD", "AWD", "WAL", "OWE", "COD", "SET") == []
    files = settlement.export_end(here.program_id)
    assert files["sponsors"][0]["returned_fen"] == 9_999_700 and len(files["statements"]) == 1


def test_a_live_code_keeps_its_end(here: World) -> None:
    from app import orders

    begin(here, days=7)
    with transaction():
        orders.place(person_id=here.people[0], client_ref="x", wish=orders.Wish(here.item_id, 1, 100), at=AT + 6 * DAY)
    assert advance(here, AT + 9 * DAY) == "expired"
    assert advance(here, AT + 20 * DAY) == "expired"


def test_nobody_who_waited_is_paid_from_what_comes_back(db_session: Any) -> None:
    here = town(deposit_fen=7_000)
    with transaction():
        world.rich(here, here.people[1], 60_000)
    waiting = one("select count(*) from awards where state = 'pending'")
    begin(here, AT, 7)
    advance(here, AT + 9 * DAY)
    with transaction():
        assert funding.pay_pending(budget_id=here.budget_id, at=AT + 9 * DAY) == []
    assert waiting == 1 == one("select count(*) from awards where state = 'pending'")


def test_nothing_is_offered_for_less_than_the_terms_promise(here: World) -> None:
    item = session().get_one(Item, here.item_id)
    with transaction():
        connection().execute(text("update terms set floor_fen = 1500"))
        mall.publish(item=item)  # 100 credits buy 150 fen: exactly the floor
        connection().execute(text("update terms set floor_fen = 1510, price_fen = greatest(price_fen, 1510)"))
    with pytest.raises(Refusal) as refused, transaction():
        mall.publish(item=item)
    assert (refused.value.code, refused.value.details["least_fen"]) == ("item_below_floor", "151")
