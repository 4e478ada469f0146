"""A program with two clerks, and every invariant asked in the test's own transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from app.db import run, session
from jobs.proofs import proofs
from tests import world
from tests.world import World


@pytest.fixture
def here(db_session: Any) -> World:
    """People 4 and 5 scan in its shop."""
    made = world.build(people=6, deposit_fen=60_000)
    for clerk in (made.people[4], made.people[5]):
        world.clerk(made, clerk)
    return made


@pytest.fixture
def all_held() -> Callable[[], dict[str, Any]]:
    """Proofs that don't hold, with a row of each."""

    def ask() -> dict[str, Any]:
        session().flush()
        found = {proof.id: run(proof.sql) for proof in proofs() if proof.search is None}
        return {name: rows[0] for name, rows in found.items() if rows}

    return ask
