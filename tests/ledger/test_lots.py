"""Lots: the oldest end is spent first, an end is exclusive, and what comes back goes where it came from."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app import funding, ledger
from app.db import connection, transaction
from app.errors import Refusal
from app.funding.spending import draw
from app.ledger import LotPart, NewCredits
from tests import world
from tests.world import AT, World

DAY = timedelta(days=1)


@pytest.fixture
def city(db_session: Any) -> World:
    with transaction():
        return world.build(people=1)


def filled(city: World, *lots: tuple[int, int]) -> Any:
    """A wallet whose lots are (credits, days until their end)."""
    with transaction():
        wallet = funding.lock_wallet(person_id=city.people[0], program_id=city.program_id, at=AT)
        mint = ledger.account(program_id=city.program_id, asset="credits", kind="mint")
        for number, (credits, days) in enumerate(lots):
            legs = [(mint, -credits), (wallet.credits_account_id, credits)]
            ledger.post([ledger.Draft(city.program_id, "test.fill", str(number), legs)], at=AT)
            end = AT + days * DAY
            ledger.add_to_lots(
                [NewCredits(city.program_id, wallet.credits_account_id, city.budget_id, 2000, end, credits)]
            )
        return wallet


def spend(city: World, wallet: Any, credits: int, ref: str = "s", at: Any = AT) -> funding.Spent:
    with transaction():
        spent = ledger.account(program_id=city.program_id, asset="credits", kind="spent")
        return funding.spend(
            wallet=wallet, credits=credits, to_account_id=spent, reason="test.spend", source_ref=ref, at=at
        )


def remaining(wallet: Any) -> list[int]:
    query = text("select remaining from lots where account_id = :a order by expires_at")
    return list(connection().execute(query, {"a": wallet.credits_account_id}).scalars())


def test_the_oldest_end_is_spent_first_whenever_it_arrived(city: World) -> None:
    wallet = filled(city, (30, 90), (20, 10), (50, 40))
    assert [part.credits for part in spend(city, wallet, 60).parts] == [20, 40]
    assert remaining(wallet) == [0, 10, 30]


def test_a_lot_is_spendable_until_its_end_and_not_at_it(city: World) -> None:
    wallet = filled(city, (20, 10), (5, 90))
    tick = timedelta(microseconds=1)
    with pytest.raises(Refusal) as refused:
        spend(city, wallet, 20, at=AT + 10 * DAY)
    assert refused.value.details == {"needed": "20", "missing": "15"}
    assert len(spend(city, wallet, 20, at=AT + 10 * DAY - tick).parts) == 1


def test_what_arrives_alike_joins_one_lot(city: World) -> None:
    wallet = filled(city, (20, 10), (30, 10))
    assert remaining(wallet) == [50]


def test_a_lot_gives_back_what_it_gave_and_no_more(city: World) -> None:
    wallet = filled(city, (20, 10))
    spent = spend(city, wallet, 15)
    with transaction():
        ledger.give_back(spent.parts, transfer_id=spent.transfer_id, at=AT)
    assert remaining(wallet) == [20]
    with pytest.raises(Exception, match="ck_lots_remaining"), transaction():
        ledger.give_back(spent.parts, transfer_id=spent.transfer_id, at=AT)


def test_what_a_transfer_took_from_a_lot_is_written_for_ever(city: World) -> None:
    wallet = filled(city, (20, 10))
    spend(city, wallet, 15)
    for change in ("update lot_uses set amount = 1", "delete from lot_uses", "truncate lot_uses"):
        with pytest.raises(DBAPIError, match="append-only"), transaction():
            connection().execute(text(change))


def test_a_lot_expires_once(city: World) -> None:
    wallet = filled(city, (20, 10))
    spent = spend(city, wallet, 2)
    part = [LotPart(spent.parts[0].lot_id, city.budget_id, 2000, 1)]
    with transaction():
        ledger.use_lots(part, transfer_id=spent.transfer_id, kind="expire", at=AT)
    with pytest.raises(Exception, match="uq_lot_uses_expire"), transaction():
        ledger.use_lots(part, transfer_id=spent.transfer_id, kind="expire", at=AT)


@pytest.mark.parametrize("total", [0, 1, 2, 333, 500, 999, 1000])
def test_a_price_is_split_over_sponsors_to_the_fen_and_none_draws_more_than_its_worth(total: int) -> None:
    parts = [LotPart(1, 1, 2000, 333), LotPart(2, 2, 1000, 334), LotPart(3, 3, 1, 999)]
    drawn = draw(parts, total)
    assert sum(drawn) == total
    assert all(0 <= fen <= part.credits * part.price_fen // 1000 for fen, part in zip(drawn, parts, strict=True))
    with pytest.raises(ValueError, match="are worth"):
        draw(parts, 1001)
