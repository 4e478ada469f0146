"""Signing in: one person per identity whatever the race, opaque tokens, ends that are ends at once."""

from __future__ import annotations

import socket
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app import cache, people
from app.db import session, transaction
from app.errors import Refusal
from app.limits import Limit
from app.people import logins
from app.people.models import LoginSession, Person, WeChatIdentity
from tests import given
from tests.given import AT

SOON = AT + timedelta(minutes=1)


def test_the_same_identity_is_the_same_person_on_every_device(db_session: Session) -> None:
    first, second = given.login("o-alice"), given.login("o-alice", device="tablet")
    assert first.person_id == second.person_id
    assert (first.is_new, second.is_new) == (True, False)
    assert first.token != second.token
    assert len(first.token) == 43
    assert given.login("o-bob").person_id != first.person_id


def test_neither_token_nor_session_key_is_stored_readable(db_session: Session) -> None:
    made = given.login("o-alice", session_key="canary-session-key")
    db_session.flush()
    rows = db_session.execute(text("select sessions::text from sessions")).scalars().all()
    rows += db_session.execute(text("select wechat_identities::text from wechat_identities")).scalars().all()
    for row in rows:
        assert made.token not in row
        assert made.token.encode().hex() not in row
        assert b"canary-session-key".hex() not in row


def test_a_unionid_that_comes_later_is_attached(db_session: Session) -> None:
    given.login("o-alice")
    given.login("o-alice", unionid="u-1")
    assert db_session.scalars(select(WeChatIdentity.unionid)).all() == ["u-1"]


def test_a_disabled_person_neither_signs_in_nor_stays_in(db_session: Session) -> None:
    made = given.login("o-alice")
    assert logins.check(made.token, at=SOON) is not None
    people.logins.evict(people.disable(person_id=made.person_id, actor="operator:a", reason="fraud", at=SOON))
    db_session.flush()
    assert logins.check(made.token, at=SOON) is None
    with pytest.raises(Refusal) as refused:
        given.login("o-alice")
    assert refused.value.code == "person_disabled"
    people.enable(person_id=made.person_id, actor="operator:b", reason="appeal granted", at=SOON)
    assert logins.check(made.token, at=SOON) is None, "an old login stays dead: the epoch has risen"
    assert logins.check(given.login("o-alice").token, at=SOON) is not None


def test_a_risen_epoch_ends_logins_also_when_redis_was_never_told(db_session: Session, redis: Redis) -> None:
    made = given.login("o-alice")
    db_session.execute(text("update persons set epoch = epoch + 1"))
    assert logins.check(made.token, at=SOON) is None


def test_signing_out_here_leaves_the_other_device(db_session: Session) -> None:
    phone, tablet = given.login("o-alice"), given.login("o-alice")
    for made in (phone, tablet):
        assert logins.check(made.token, at=SOON) is not None
    logins.evict([people.sign_out(session_id=phone.session_id, person_id=phone.person_id, at=SOON)])
    db_session.flush()
    assert logins.check(phone.token, at=SOON) is None
    assert logins.check(tablet.token, at=SOON) is not None


def test_nobody_ends_a_session_of_somebody_else(db_session: Session) -> None:
    alice, bob = given.login("o-alice"), given.login("o-bob")
    with pytest.raises(Refusal) as refused:
        people.sign_out(session_id=alice.session_id, person_id=bob.person_id, at=SOON)
    assert refused.value.code == "not_found"


def test_an_old_login_has_ended(db_session: Session) -> None:
    made = given.login("o-alice")
    assert logins.check(made.token, at=AT + timedelta(days=29)) is not None
    assert logins.check(made.token, at=AT + timedelta(days=30)) is None


def test_the_eleventh_device_ends_the_first(db_session: Session) -> None:
    made = [given.login("o-alice") for _ in range(11)]
    db_session.flush()
    alive = [logins.check(one.token, at=SOON) is not None for one in made]
    assert alive == [False] + [True] * 10
    assert len(made[-1].ended) == 1


# -- the copy in Redis


def test_a_known_login_costs_one_trip_and_no_statement(db_session: Session, redis: Redis) -> None:
    made = given.login("o-alice")
    db_session.flush()
    first = logins.check(made.token, at=SOON)
    assert first is not None
    assert first.by_truth
    statements = _statements_during(lambda: logins.check(made.token, at=SOON))
    assert statements == []
    before = _commands(redis)
    assert logins.check(made.token, at=SOON) is not None
    # the evalsha itself, and the GET and INCR inside of it
    assert _commands(redis) - before == 4  # ... and the `info` that counts


def test_a_flushed_redis_lets_in_who_is_in_and_nobody_else(db_session: Session, redis: Redis) -> None:
    inside, outside = given.login("o-alice"), given.login("o-alice")
    logins.check(inside.token, at=SOON)
    people.sign_out(session_id=outside.session_id, person_id=outside.person_id, at=SOON)
    db_session.flush()
    redis.flushdb()
    assert logins.check(inside.token, at=SOON) is not None
    assert logins.check(outside.token, at=SOON) is None


def test_without_redis_logins_are_read_from_postgresql(db_session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    made = given.login("o-alice")
    db_session.flush()
    down = Redis(unix_socket_path="/nonexistent/redis.sock")
    monkeypatch.setattr(cache, "_client", down)
    assert logins.check(made.token, at=SOON) is not None
    assert logins.check("x" * 43, at=SOON) is None
    logins.evict([b"whatever"])


def test_a_hanging_redis_is_waited_for_once_a_second(
    db_session: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It takes the connection and never answers; the login is read from PostgreSQL meanwhile."""
    made = given.login("o-alice")
    db_session.flush()
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s"))
        silent.listen()
        monkeypatch.setattr(cache, "_client", Redis(unix_socket_path=str(tmp_path / "s"), socket_timeout=0.2))
        monkeypatch.setattr(cache, "_hung_until", 0.0)
        began = time.perf_counter()
        for _ in range(20):
            assert logins.check(made.token, at=SOON) is not None
        assert 0.15 < time.perf_counter() - began < 1.2
    monkeypatch.setattr(cache, "_hung_until", 0.0)


def test_an_answer_from_before_the_revocation_can_not_come_back(db_session: Session, redis: Redis) -> None:
    """A reader asks PostgreSQL, the login is revoked and evicted, and only then the reader writes its copy."""
    made = given.login("o-alice")
    db_session.flush()
    digest = people.logins.token_hash(made.token)
    seen = logins._truth(digest, SOON)
    assert seen is not None
    logins.evict([people.sign_out(session_id=made.session_id, person_id=made.person_id, at=SOON)])
    db_session.flush()
    limit = people.logins.limits.CITIZEN
    logins._keep(logins._keys(digest, limit), (60_000, limit.most), seen, SOON, limit)
    assert logins.check(made.token, at=SOON) is None


def test_a_script_that_redis_forgot_is_sent_again(db_session: Session, redis: Redis) -> None:
    made = given.login("o-alice")
    db_session.flush()
    redis.script_flush()
    assert logins.check(made.token, at=SOON) is not None
    assert logins.check(made.token, at=SOON) is not None


def test_a_connection_that_redis_closed_is_opened_anew(db_session: Session, redis: Redis) -> None:
    made = given.login("o-alice")
    db_session.flush()
    logins.check(made.token, at=SOON)
    redis.client_kill_filter(_type="normal", skipme=True)
    statements = _statements_during(lambda: logins.check(made.token, at=SOON))
    assert statements == [], "answered from the copy, as before"


def test_the_limit_counts_in_the_same_trip(db_session: Session) -> None:
    made, limit = given.login("o-alice"), Limit("test", 3, 60)
    db_session.flush()
    for _ in range(3):
        logins.check(made.token, at=SOON, limit=limit)
    with pytest.raises(Refusal) as refused:
        logins.check(made.token, at=SOON, limit=limit)
    assert refused.value.code == "too_many"
    assert 1 <= refused.value.details["retry_after"] <= 60


def test_a_write_asks_postgresql_whether_the_login_stands(db_session: Session) -> None:
    made = given.login("o-alice")
    db_session.flush()
    logins.check(made.token, at=SOON)
    copy = logins.check(made.token, at=SOON)
    assert copy is not None
    assert logins.stands(copy, at=SOON)
    people.sign_out(session_id=made.session_id, person_id=made.person_id, at=SOON)
    db_session.flush()
    assert not logins.stands(copy, at=SOON)


def test_a_login_in_use_is_prolonged_once_a_day(db_session: Session) -> None:
    made = given.login("o-alice")
    db_session.flush()
    for days, expected in ((0.5, 30), (10, 40), (10.5, 40)):
        login = logins.check(made.token, at=SOON)
        assert login is not None
        logins.prolong(login, at=AT + timedelta(days=days), session_days=30)
        ends = db_session.scalar(select(LoginSession.expires_at))
        assert ends == AT + timedelta(days=expected)


# -- races


@pytest.mark.race
def test_twenty_first_logins_at_once_are_one_person(clean_db: Any) -> None:
    gate, made, failed = threading.Barrier(20), [], []

    def run() -> None:
        with clean_db.app_context():
            gate.wait()
            try:
                with transaction():
                    made.append(given.login("o-alice"))
            except Exception as error:
                failed.append(error)
            finally:
                session().close()

    _in_threads(run, 20)
    assert failed == []
    assert len({one.person_id for one in made}) == 1
    assert sum(one.is_new for one in made) == 1
    with clean_db.app_context():
        assert session().scalar(select(func.count()).select_from(Person)) == 1
        assert session().scalar(select(func.count()).select_from(WeChatIdentity)) == 1


@pytest.mark.race
def test_disabling_beats_logins_that_run_at_the_same_time(clean_db: Any) -> None:
    """Whatever the order, after the disabling has committed no token works."""
    with clean_db.app_context(), transaction():
        person_id = given.login("o-alice").person_id
    gate, tokens = threading.Barrier(9), []

    def sign_in() -> None:
        with clean_db.app_context():
            gate.wait()
            try:
                with transaction():
                    made = given.login("o-alice")
                tokens.append(made.token)
                logins.check(made.token, at=SOON)
            except Refusal as refused:
                assert refused.code == "person_disabled"
            finally:
                session().close()

    def disable() -> None:
        with clean_db.app_context():
            gate.wait()
            with transaction():
                ended = people.disable(person_id=person_id, actor="operator:a", reason="test", at=SOON)
            logins.evict(ended)
            session().close()

    workers = [threading.Thread(target=sign_in) for _ in range(8)] + [threading.Thread(target=disable)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    with clean_db.app_context():
        assert [token for token in tokens if logins.check(token, at=SOON) is not None] == []
        cache.client().flushdb()
        assert [token for token in tokens if logins.check(token, at=SOON) is not None] == []


def _in_threads(run: Any, count: int) -> None:
    workers = [threading.Thread(target=run) for _ in range(count)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def _statements_during(act: Any) -> list[str]:
    from sqlalchemy import event

    from app.db import connection

    seen: list[str] = []

    def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    link = connection()
    event.listen(link, "before_cursor_execute", note)
    act()
    event.remove(link, "before_cursor_execute", note)
    return seen


def _commands(redis: Redis) -> int:
    found: Any = redis.info("stats")
    return int(found["total_commands_processed"])
