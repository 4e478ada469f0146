"""Races need more connections than a web process has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine

from app.db import db, transaction
from jobs.proofs import proofs, prove
from tests import world
from tests.world import World

CROWD = 64


@pytest.fixture
def crowd(clean_db: Any) -> Iterator[Any]:
    """The application with connections for many threads. After each test every invariant must hold."""
    with clean_db.app_context():
        before = db.engines[None]
        url = before.url.render_as_string(hide_password=False)
        options = {"options": "-c timezone=UTC -c lock_timeout=20000"}
        db.engines[None] = create_engine(url, pool_size=CROWD, connect_args=options)
        try:
            yield clean_db
            db.session.remove()
            assert {found.proof.id: found.first for found in prove(proofs()) if not found.held} == {}
        finally:
            db.session.remove()
            db.engines[None].dispose()
            db.engines[None] = before


@pytest.fixture
def city(crowd: Any) -> World:
    """A committed program whose budget covers 1,000 credits."""
    with transaction():
        return world.build(people=30, deposit_fen=2_000, stock=1)
