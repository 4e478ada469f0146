"""The demo's month: the same seed gives the same month, a second run changes nothing, and every proof holds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest

from app import memo
from app.db import read
from demo import month
from demo.seed import seed
from jobs.proofs import proofs, prove

FIRST, LAST = date(2026, 10, 1), date(2026, 10, 8)


@pytest.fixture
def remembering() -> Iterator[None]:
    """As in life: a process remembers rarely changed rows for a second."""
    memo.configure(1.0)
    yield
    memo.configure(0.0)


def live(app: Any, number: int) -> dict[str, list[list[Any]]]:
    settings = app.config["SETTINGS"]
    everybody = month.live(settings, seed=number, count=40, first=FIRST, last=LAST, told=lambda *_: None)
    return month.figures(everybody, first=FIRST, last=LAST)


def test_a_week_of_forty_people(clean_db: Any, remembering: None) -> None:
    with clean_db.app_context():
        seed(clean_db.config["SETTINGS"], at=datetime(2026, 11, 25, tzinfo=UTC))
        found = live(clean_db, 3)
        counts = "select (select count(*) from records) as r, (select count(*) from transfers) as t"
        stood = read(counts)[0]
        assert month.digest(live(clean_db, 3)) == month.digest(found)
        assert read(counts)[0] == stood
        assert {name for name, rows in found.items() if not rows} <= {"sign-ups"}, "something never happened"
        assert {row.kind for row in read("select kind from challenges where state = 'settled'")} == {
            "goal", "streak", "race", "team", "unit",
        }  # fmt: skip
        assert month.digest(live(clean_db, 4)) != month.digest(found)
        assert not [one for one in prove(proofs()) if not one.held]
