"""Settlement under real threads: one statement a period, a dispute or an approval, an undo in it or after it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from app import programs, redemptions, settlement
from app.db import connection, db, transaction
from tests.races.crowd import at_once, codes, fine
from tests.settlement.conftest import DAY, DRAWN, broken, draw, drawn, redeem, town, two
from tests.world import AT, World

pytestmark = pytest.mark.race


@pytest.fixture
def city(clean_db: Any) -> Iterator[World]:
    with clean_db.app_context():
        yield town()
        db.session.remove()


def count(sql: str) -> int:
    with transaction():
        return int(connection().execute(text(sql)).scalar_one())


def test_two_draw_the_same_period_and_get_one_statement(clean_db: Any, city: World) -> None:
    for name in "abc":
        redeem(city, AT, ref=name)

    def command() -> tuple[int, bool]:
        done = draw(city)
        assert done is not None
        return done.statement.id, done.fresh

    answers = fine(at_once(clean_db, *[command] * 6))
    assert len({answer[0] for answer in answers}) == 1 and sorted(answer[1] for answer in answers) == [False] * 5 + [
        True
    ]
    assert count("select count(*) from statement_lines") == 3


def test_a_dispute_and_an_approval_at_once_have_one_winner(clean_db: Any, city: World) -> None:
    for number in range(6):
        redeem(city, AT, ref=f"r-{number}")
        break
    statement = drawn(city)
    at = DRAWN + DAY
    with transaction():
        settlement.accept(statement_id=statement, person_id=city.people[-1], at=at)
        content = bytes(settlement.get(statement).content_hash).hex()
        asked = two({"statement_id": statement, "hash": content}, settlement.APPROVE, at)
    approve = partial(
        settlement.approve, statement_id=statement, content=content, approval_id=asked, checker="operator:wu", at=at
    )
    dispute = partial(
        settlement.dispute, statement_id=statement, line_no=1, person_id=city.people[-1], words="x", at=at
    )
    answers = at_once(clean_db, approve, dispute, dispute)
    state = count("select count(*) from statements where state = 'approved'")
    open_ones = count("select count(*) from statement_disputes where state = 'open'")
    assert (state, open_ones) in ((1, 0), (0, 1))
    assert set(codes(answers)) <= ({"dispute_over"} if state else {"statement_disputed", "statement_not_ripe"})


def test_an_undo_while_drawing_is_left_out_or_comes_back_in_the_next(clean_db: Any, city: World) -> None:
    slip = redeem(city, AT, ref="a")
    redeem(city, AT, ref="b")
    with transaction():
        connection().execute(text("update merchants set state = 'leaving', leaving_at = :at"), {"at": AT})
    program = programs.by_code(city.code)
    late = AT + 4 * DAY

    def final() -> int:
        done = settlement.draw_final(program=program, merchant_id=city.merchant_id, actor="operator:lin", at=late)
        assert done is not None
        return done.statement.lines

    undo = partial(
        redemptions.undo, redemption_id=slip, shop_id=city.shop_id, staff_person_id=city.people[-2], at=AT + DAY / 288
    )
    answers = at_once(clean_db, final, undo)
    lines = answers[0]
    with transaction():
        assert lines in (1, 2) and broken("SET-1", "SET-2", "SET-4", "OWE") == []
        stale = [row for row in settlement.lines(1, after=0, limit=9) if row.redemption_id == slip]
    assert len(stale) == lines - 1
