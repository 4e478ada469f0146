"""Health answers without touching anything; readiness says what is missing; metrics are not for the world."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from app.db import db
from ops import health


def checks(client: FlaskClient) -> tuple[int, dict[str, dict[str, Any]]]:
    answer = client.get("/readyz")
    return answer.status_code, answer.get_json()["checks"]


def beat(session: Session, seconds_ago: int) -> None:
    session.execute(
        text("insert into procrastinate_workers (last_heartbeat) values (now() - interval '1 second' * :ago)"),
        {"ago": seconds_ago},
    )
    session.commit()


def test_healthz_touches_nothing(client: FlaskClient, app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def touched(*_: object) -> None:
        raise AssertionError("the database was asked")

    link = db.engines[None]
    event.listen(link, "before_cursor_execute", touched)
    monkeypatch.setattr(health.redis_cache, "client", touched)
    try:
        assert client.get("/healthz").get_json() == {"status": "ok"}
    finally:
        event.remove(link, "before_cursor_execute", touched)


def test_ready_with_a_worker_and_without(client: FlaskClient, db_session: Session) -> None:
    status, found = checks(client)
    assert status == 200 and found["worker"] == {"ok": False, "said": "no worker"}
    beat(db_session, 5)
    status, found = checks(client)
    assert status == 200 and all(one["ok"] for one in found.values()), found


def test_a_silent_worker_is_reported(client: FlaskClient, db_session: Session) -> None:
    beat(db_session, 3600)
    assert checks(client)[1]["worker"]["ok"] is False


def test_not_ready_before_the_migrations(client: FlaskClient, db_session: Session) -> None:
    db_session.execute(text("update alembic_version set version_num = '0001_ground'"))
    db_session.commit()
    status, found = checks(client)
    assert status == 503 and not found["migrations"]["ok"]
    assert "0001_ground" in found["migrations"]["said"]


@pytest.mark.parametrize("setting", ["synchronous_commit"])
def test_not_ready_when_an_acknowledged_write_could_be_lost(
    client: FlaskClient, db_session: Session, setting: str
) -> None:
    db_session.execute(text(f"set local {setting} = off"))
    db_session.commit()
    status, found = checks(client)
    assert status == 503 and found["database"] == {"ok": False, "said": f"off: {setting}"}


def test_not_ready_when_the_queue_is_stuck(client: FlaskClient, db_session: Session) -> None:
    db_session.execute(
        text(
            "insert into outbox (event, payload, created_at) values ('award.paid', '{}', now() - interval '20 minutes')"
        )
    )
    db_session.commit()
    status, found = checks(client)
    assert status == 503 and "oldest event 1200 s" in found["queue"]["said"]


def test_not_ready_when_a_job_waits_too_long_but_not_for_one_that_is_not_due(
    client: FlaskClient, db_session: Session
) -> None:
    insert = text(
        "insert into procrastinate_jobs (queue_name, task_name, scheduled_at)"
        " values ('default', 'x', now() + interval '1 second' * :seconds)"
    )
    db_session.execute(insert, {"seconds": 3600})
    db_session.commit()
    assert checks(client)[0] == 200
    db_session.execute(insert, {"seconds": -3600})
    db_session.commit()
    assert checks(client)[0] == 503


def test_an_unreachable_redis_is_reported_and_does_not_stop_us(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    gone = redis.Redis(unix_socket_path="/nonexistent/redis.sock", retry=Retry(NoBackoff(), 0))
    monkeypatch.setattr(health.redis_cache, "client", lambda: gone)
    status, found = checks(client)
    assert status == 200 and found["redis"] == {"ok": False, "said": "ConnectionError"}


def test_an_unreachable_database_is_503_without_internals(app: Any, redis: Any) -> None:
    import sqlalchemy

    with app.app_context():
        engine = db.engines[None]
        db.engines[None] = sqlalchemy.create_engine("postgresql+psycopg://nobody:secret-word@/x?host=/nonexistent")
    try:
        answer = app.test_client().get("/readyz")
    finally:
        with app.app_context():
            db.engines[None] = engine
    assert answer.status_code == 503
    assert answer.get_json()["checks"]["database"] == {"ok": False, "said": "OperationalError"}
    assert b"secret-word" not in answer.data and b"nonexistent" not in answer.data


def test_version_says_what_runs(client: FlaskClient) -> None:
    found = client.get("/version").get_json()
    assert re.fullmatch(r"\d{4}_\w+", found["migration"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", found["version"])
    assert found["revision"]


def test_metrics_count_by_route_pattern(client: FlaskClient) -> None:
    client.get("/version?secret=1")
    client.get("/made/up/138000")
    text_ = client.get("/metrics").get_data(as_text=True)
    assert re.search(r'diandi_http_requests_total\{method="GET",route="/version",status="200"\} [1-9]', text_)
    assert 'route="unmatched"' in text_
    assert "138000" not in text_ and "secret" not in text_


def test_an_invented_method_makes_no_counter(client: FlaskClient) -> None:
    client.open("/version", method="X138000138000")
    text_ = client.get("/metrics").get_data(as_text=True)
    assert 'method="OTHER"' in text_ and "X138000138000" not in text_


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
def test_metrics_are_not_for_the_world(client: FlaskClient, header: str) -> None:
    assert client.get("/metrics", headers={header: "127.0.0.1"}).status_code == 403
    assert client.get("/metrics", environ_base={"REMOTE_ADDR": "203.0.113.7"}).status_code == 403


def test_metrics_by_token(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METRICS_TOKEN", "a-long-token")
    assert client.get("/metrics").status_code == 403
    assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 403
    assert client.get("/metrics", headers={"Authorization": "Bearer a-long-token"}).status_code == 200


@pytest.mark.parametrize("given", ["abc", "x" * 65, "has space in it", "line\tbreak12", "日志日志日志日志"])
def test_a_request_id_that_is_none_is_replaced(client: FlaskClient, given: str) -> None:
    answer = client.get("/healthz", headers={"X-Request-ID": given.encode().decode("latin-1")})
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["X-Request-ID"])


def test_a_good_request_id_is_kept(client: FlaskClient) -> None:
    assert client.get("/healthz", headers={"X-Request-ID": "abc-123.def_4"}).headers["X-Request-ID"] == "abc-123.def_4"
