"""A few of the histories of `dev.py proof`, and that its comparison sees what it must."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from app import memo
from app.db import connection, transaction
from devkit.proof import histories
from devkit.proof.town import build
from jobs.proofs import proofs, prove

pytestmark = [pytest.mark.slow, pytest.mark.race]
SEED = 20261125


@pytest.fixture
def remembering() -> Iterator[None]:
    """As in life: a process remembers rarely changed rows for a second."""
    memo.configure(1.0)
    yield
    memo.configure(0.0)


def broken() -> dict[str, Any]:
    return {found.proof.id: found.first for found in prove(proofs()) if not found.held}


def test_a_few_dozen_histories(clean_db: Any, remembering: None) -> None:
    seen = histories.run_some(clean_db, range(24), SEED, "histories")
    assert seen["wrong"] == []
    assert seen["counts"]["acknowledged"] > 100
    assert {kind for kind in seen["counts"] if ":" not in kind} >= set(histories.MIX)
    with clean_db.app_context():
        assert broken() == {}


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        ("delete from gifts where client_ref like '{name}-%'", "acknowledged as"),
        ("update deposits set reference = reference || '-x' where reference like '{name}-%'", "acknowledged as"),
    ],
)
def test_a_lost_answer_is_seen(clean_db: Any, remembering: None, harm: str, told: str) -> None:
    with clean_db.app_context():
        town = build("lost")
        for number in range(20):
            history = histories.History(town, number, SEED)
            for actor in range(histories.ACTORS):
                history.act(actor)
            assert history.compare() == []
            with transaction():
                changed = connection().execute(text(harm.format(name=history.name))).rowcount
            if changed:
                break
        found = history.compare()
        assert len(found) == changed
        assert all(line.startswith(told) for line in found)


def test_a_refused_key_that_is_stored_and_a_second_answer_are_seen(clean_db: Any, remembering: None) -> None:
    with clean_db.app_context():
        history = histories.History(build("ghost"), 0, SEED)
        history._award(history.chances[0], f"{history.name}-0-0")
        key = ("award", f"{history.name}-0-0")
        number = history.book.acknowledged.pop(key)
        history.book.refused[key] = "no"
        assert history.compare() == [f"refused, but there: award {key[1]}"]
        history.book.acknowledged[key] = number + 1
        history._say(key, lambda: number, first=False)
        assert any("was answered" in line for line in history.compare())
