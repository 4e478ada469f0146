"""What a process remembers outlives no rollback."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from app import memo
from app.db import transaction
from tests import world
from tests.world import AT


@pytest.fixture
def remembering() -> Iterator[None]:
    memo.configure(60.0)
    yield
    memo.configure(0.0)


def test_the_account_of_a_first_record_that_was_rolled_back_is_forgotten(clean_db: Any, remembering: None) -> None:
    with clean_db.app_context():
        with transaction():
            city = world.build()
        for number in range(3):
            starts = AT - timedelta(days=number + 1)
            act = {"occurred_at": starts, "ended_at": starts + timedelta(hours=1)}
            with pytest.raises(RuntimeError, match="killed"), transaction():
                world.take(city, city.people[0], **act)
                raise RuntimeError("killed")
            memo.forget()
            with pytest.raises(RuntimeError, match="killed"), transaction():
                world.take(city, city.people[0], **act)
                memo.forget()  # the moment is over in the middle of a batch
                world.take(city, city.people[1], **act)
                raise RuntimeError("killed")
            with transaction():
                assert world.take(city, city.people[0], **act).mg > 0
