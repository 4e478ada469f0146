"""An independent script, which knows the ledger only, comes to the same fen as each statement."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app import settlement
from app.db import connection, db, transaction
from devkit import ROOT
from tests.settlement.conftest import DAY, DECEMBER, DRAWN, approve, drawn, redeem, town, two
from tests.world import AT, World

pytestmark = pytest.mark.race


@pytest.fixture
def city(clean_db: Any) -> Iterator[World]:
    with clean_db.app_context():
        yield town()
        db.session.remove()


def recompute(slot: Any, here: World, statement_id: int, *, off_by: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the script against this test's database."""
    with transaction():
        found = settlement.get(statement_id)
        query = text(
            "select transfer_id from redemptions where held_at is not null"
            " and (released_at is null or released_at >= :e)"
        )
        held = connection().execute(query, {"e": found.ends_at}).scalars().all()
        dsn = slot.database_url.replace("postgresql+psycopg", "postgresql")
        words = [
            "--dsn", dsn, "--program-id", str(here.program_id),
            "--merchant", "shop", "--statement", str(statement_id), "--until", found.ends_at.isoformat(),
            "--drawn", found.drawn_at.isoformat(), "--expect", str(found.total_fen + off_by),
        ]  # fmt: skip
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "recompute_statement.py"), *words, "--without", *map(str, held)],
        capture_output=True,
        text=True,
    )


def test_the_ledger_alone_says_the_same(city: World, slot: Any) -> None:
    """Undone before, held over the end, undone over midnight, taken back after payout, carried forward."""
    from app import redemptions

    made = [redeem(city, AT, ref=name) for name in "abcd"]
    late = redeem(city, DECEMBER - timedelta(minutes=2), ref="late")
    with transaction():
        for redemption, at in ((made[0], AT + DAY / 288), (late, DECEMBER + timedelta(minutes=3))):
            redemptions.undo(redemption_id=redemption, shop_id=city.shop_id, staff_person_id=city.people[-2], at=at)
        connection().execute(
            text(
                "update redemptions set held_reason = 'turns', held_at = redeemed_at, released_at = :r where id = :id"
            ),
            {"id": made[1], "r": DECEMBER + DAY},
        )
    first = drawn(city)
    assert settlement.get(first).total_fen == 300
    told = recompute(slot, city, first)
    assert (told.returncode, told.stdout.split()[-1]) == (0, "300"), told
    assert recompute(slot, city, first, off_by=1).returncode == 1
    approve(first, DRAWN + 8 * DAY)
    with transaction():
        for redemption in made[2:]:
            asked = two({"r": redemption}, "x", DRAWN + 9 * DAY)
            settlement.correct(redemption_id=redemption, reason="x", approval_id=asked, at=DRAWN + 9 * DAY)
    second = drawn(city, "2026-12", DRAWN + 31 * DAY)
    assert settlement.get(second).total_fen == -150
    assert recompute(slot, city, second).returncode == 0
    approve(second, DRAWN + 40 * DAY)
    for name in "wxy":
        redeem(city, DECEMBER + 33 * DAY, ref=name)
    third = drawn(city, "2027-01", DRAWN + 62 * DAY)
    assert settlement.get(third).total_fen == 300
    told = recompute(slot, city, third)
    assert told.returncode == 0, told.stdout
