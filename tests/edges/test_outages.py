"""PostgreSQL goes away and comes back under a running application; what is acknowledged stands, the rest says busy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from app.clock import now
from app.db import db, transaction
from tests import given
from tests.conftest import Slot
from tests.edges.conftest import code_of

PROFILE = {"nickname": "n", "avatar_url": None, "language": "zh", "show_name": False, "on_boards": True}


@pytest.fixture
def token(clean_db: Any) -> Iterator[str]:
    with clean_db.app_context():
        with transaction():
            made = given.login(at=now()).token
        db.session.remove()
    yield made


def cut(slot: Slot) -> None:
    """End every connection to this test's database, as a restart does."""
    with psycopg.connect(slot.admin_url, autocommit=True) as admin:
        statement = "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s"
        assert admin.execute(statement, [slot.database]).rowcount >= 1


def test_reads_do_not_notice_a_restart(clean_db: Any, slot: Slot, token: str) -> None:
    client, headers = clean_db.test_client(), {"Authorization": f"Bearer {token}"}
    assert client.get("/api/v1/me", headers=headers).status_code == 200
    cut(slot)
    assert client.get("/api/v1/me", headers=headers).status_code == 200


def test_a_write_says_busy_at_most_once(clean_db: Any, slot: Slot, token: str) -> None:
    client, headers = clean_db.test_client(), {"Authorization": f"Bearer {token}"}
    with clean_db.app_context():  # several connections in the pool, all of them from before
        links = [db.engine.connect() for _ in range(4)]
        for link in links:
            link.close()
    cut(slot)
    answers = [client.put("/api/v1/me", json=PROFILE, headers=headers) for _ in range(3)]
    assert [answer.status_code for answer in answers][1:] == [200, 200]
    if answers[0].status_code != 200:
        assert (answers[0].status_code, code_of(answers[0])) == (503, "busy")
        assert answers[0].headers["Retry-After"]


def test_nothing_is_half_done_when_the_line_breaks_in_a_command(clean_db: Any, slot: Slot, token: str) -> None:
    client, headers = clean_db.test_client(), {"Authorization": f"Bearer {token}"}
    with pytest.MonkeyPatch.context() as patch:
        from app import people

        put = people.put

        def put_and_break(**values: Any) -> Any:
            person = put(**values)
            db.session().flush()
            cut(slot)
            return person

        patch.setattr("app.people.put", put_and_break)
        answer = client.put("/api/v1/me", json={**PROFILE, "nickname": "half"}, headers=headers)
    assert (answer.status_code, code_of(answer)) == (503, "busy")
    assert client.get("/api/v1/me", headers=headers).json["nickname"] is None  # type: ignore[index]
