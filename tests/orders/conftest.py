"""A town with two rich people, and every invariant of money, stock and credits after each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app.db import session, transaction
from app.errors import Refusal
from jobs.proofs import proofs
from tests import world
from tests.world import World

KEPT = ("LED", "BUD", "WAL", "IDM", "STK-1", "STK-2", "STK-3", "STK-5", "STK-6", "STK-7", "STK-8", "STK-9", "STK-10")
KEPT += ("COD", "OWE", "PAY", "WEL")


@pytest.fixture
def town(db_session: Session) -> World:
    with transaction():
        made = world.build(people=3)
        for person in made.people[:2]:
            world.rich(made, person, 500)
        return made


@pytest.fixture(autouse=True)
def books_stay_right(db_session: Session) -> Iterator[None]:
    yield
    db_session.flush()
    for proof in proofs(ids=KEPT):
        assert [dict(row._mapping) for row in proof.find(session().connection())] == [], proof.id


@pytest.fixture
def refused() -> Callable[[str], AbstractContextManager[Any]]:
    @contextmanager
    def expecting(code: str) -> Iterator[Any]:
        with pytest.raises(Refusal) as told, transaction():
            yield told
        assert told.value.code == code

    return expecting
