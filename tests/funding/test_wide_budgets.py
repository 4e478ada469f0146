"""A budget of an earlier release gets its missing slices, and its money is spread over all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.db import run, transaction
from app.funding import actions
from jobs.proofs import proofs, prove
from tests import world

WIDEN = Path("migrations/sql/0015_wide_budgets.sql").read_text().replace("%", "%%")


def slices(budget: int) -> list[int]:
    rows = run(
        "select a.balance from budget_slices s join accounts a on a.id = s.account_id where s.budget_id = %(b)s"
        " order by s.slice_no",
        {"b": budget},
    )
    return [row.balance for row in rows]


def test_sixteen_slices_become_sixty_four(clean_db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with clean_db.app_context():
        widen_twice(monkeypatch)


def widen_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "SLICES", 16)
    with transaction():
        city = world.build(deposit_fen=20_000)
        world.rich(city, city.people[0], 300)
    before = slices(city.budget_id)
    assert len(before) == 16 and sum(before) == 10_000 - 300
    for _ in range(2):
        with transaction():
            run(WIDEN)
        after = slices(city.budget_id)
        assert after == [152] * 36 + [151] * 28  # 9,700 over 64
    assert not [found for found in prove(proofs()) if not found.held]
