"""Tests run against real servers: an embedded PostgreSQL and Valkey under `var/test`, never the demo's.

Each test process (each xdist worker, each terminal) takes a numbered slot: its own database, cloned from a migrated
template, and its own Redis database. A slot is a file lock, so a killed run leaves nothing behind.

- `db_session`: the usual one. Everything the test and the requests of `client` commit is undone afterwards.
- `clean_db`: for races with real threads and real commits; the database is cloned anew afterwards.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psycopg
import pytest
import redis as redis_client
from flask.testing import FlaskClient
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from app import cache, config
from app.db import db
from devkit import ROOT, VAR
from devkit.servers import Servers

SLOTS = 48
MARK = "diandi:test-database"


@dataclass(frozen=True)
class Slot:
    """What one test process has for itself."""

    number: int
    admin_url: str
    database_url: str
    redis_url: str
    template: str

    @property
    def database(self) -> str:
        return f"diandi_test_{self.number}"

    def clone(self) -> None:
        """A fresh copy of the migrated template under this slot's name."""
        with psycopg.connect(self.admin_url, autocommit=True) as admin:
            admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(self.database)))
            names = sql.Identifier(self.database), sql.Identifier(self.template)
            admin.execute(sql.SQL("create database {} template {}").format(*names))


@pytest.fixture(scope="session")
def slot() -> Iterator[Slot]:
    """Servers, a migrated template and a database of our own."""
    servers = None if "DATABASE_URL" in os.environ and "REDIS_URL" in os.environ else Servers("test")
    (VAR / "test").mkdir(parents=True, exist_ok=True)
    if servers is not None:
        servers.start()
    try:
        admin_url, redis_base = _addresses(servers)
        with _numbered() as number:
            found = Slot(number, admin_url, *_own(admin_url, redis_base, number), _template(admin_url, redis_base))
            _claim_redis(found.redis_url, ours=servers is not None)
            found.clone()
            yield found
    finally:
        if servers is not None:
            servers.release()


@pytest.fixture(scope="session")
def settings(slot: Slot) -> config.Settings:
    return _settings(slot.database_url, slot.redis_url)


@pytest.fixture(scope="session")
def app(settings: config.Settings) -> Iterator[Any]:
    """The whole application on this process's own servers."""
    import wsgi

    application = wsgi.create_app(settings)
    application.testing = True
    yield application
    with application.app_context():
        db.engine.dispose()


@pytest.fixture
def db_session(app: Any, redis: redis_client.Redis) -> Iterator[Session]:
    """A session inside a transaction that is never committed; `with transaction()` becomes a savepoint in it.

    Flask-SQLAlchemy binds by its own table of engines and would ignore a `bind=` given to the session, so the entry in
    that table is what we replace. Deferred constraints are checked at the end, as a commit would.
    """
    with app.app_context():
        engine = db.engines[None]
        link = engine.connect()
        outer = link.begin()
        db.engines[None] = link  # type: ignore[assignment]
        db.session.remove()
        db.session.session_factory.configure(join_transaction_mode="create_savepoint")
        try:
            yield db.session()
            db.session.remove()
            link.execute(text("set constraints all immediate"))
        finally:
            db.session.remove()
            db.session.session_factory.configure(join_transaction_mode="conditional_savepoint")
            db.engines[None] = engine
            outer.rollback()
            link.close()


@pytest.fixture
def clean_db(app: Any, slot: Slot, redis: redis_client.Redis) -> Iterator[Any]:
    """The application with real commits, for threads: give each thread `with app.app_context():` of its own."""
    yield app
    with app.app_context():
        db.session.remove()
        db.engine.dispose()
    slot.clone()


@pytest.fixture
def client(app: Any, db_session: Session) -> FlaskClient:
    """Calls the HTTP edges; their commits are undone with the test."""
    return app.test_client()


@pytest.fixture
def redis(slot: Slot, app: Any) -> Iterator[redis_client.Redis]:
    """This process's own Redis database, empty."""
    client = cache.connect(slot.redis_url)
    client.flushdb()
    client.set(MARK, "1")
    yield client
    client.flushdb()  # a test may have flushed our mark away and written on
    client.set(MARK, "1")
    client.close()


# -- how a slot is made


def _addresses(servers: Servers | None) -> tuple[str, str]:
    admin = servers.database_url("postgres") if servers else os.environ["DATABASE_URL"]
    admin = admin.replace("postgresql+psycopg://", "postgresql://")
    return admin, (servers.redis_url if servers else os.environ["REDIS_URL"])


@contextmanager
def _numbered() -> Iterator[int]:
    """The first number that no living test process holds."""
    for number in range(SLOTS):
        guard = _try_lock(VAR / "test" / f"slot-{number}.lock")
        if guard is not None:
            with guard:
                yield number
            return
    raise RuntimeError(f"all {SLOTS} test slots are taken")


def _try_lock(path: Path) -> IO[str] | None:
    guard = open(path, "a")  # noqa: SIM115 - held while the slot is
    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        guard.close()
        return None
    return guard


def _own(admin_url: str, redis_base: str, number: int) -> tuple[str, str]:
    database = make_url(admin_url).set(drivername="postgresql+psycopg", database=f"diandi_test_{number}")
    base = redis_base.partition("?")[0]
    redis_url = (
        f"{base}?db={number}" if base.startswith("unix:") else f"{base.rstrip('0123456789').rstrip('/')}/{number}"
    )
    return database.render_as_string(hide_password=False), redis_url


def _claim_redis(redis_url: str, *, ours: bool) -> None:
    """Never flush what isn't ours: a given Redis database with foreign keys in it stops the tests. The embedded one is
    ours, whatever a killed run left in it."""
    with redis_client.Redis.from_url(redis_url) as client:
        if ours:
            client.flushdb()
        elif client.dbsize() and not client.exists(MARK):
            raise RuntimeError(f"{redis_url} holds keys that no test wrote; give the tests a Redis of their own")
        client.set(MARK, "1")


def _template(admin_url: str, redis_url: str) -> str:
    """The migrated database that slots are cloned from, made once for each state of the migrations."""
    folder = ROOT / "migrations"
    files = sorted([*folder.glob("versions/*.py"), *folder.glob("sql/*.sql")])
    seen = hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in files)).hexdigest()[:12]
    name, draft = f"diandi_template_{seen}", f"diandi_draft_{seen}"
    with open(VAR / "test" / "template.lock", "a") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        with psycopg.connect(admin_url, autocommit=True) as admin:
            if admin.execute("select 1 from pg_database where datname = %s", [name]).fetchone():
                return name
            admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(draft)))
            admin.execute(sql.SQL("create database {}").format(sql.Identifier(draft)))
            _migrate(make_url(admin_url).set(drivername="postgresql+psycopg", database=draft), redis_url)
            admin.execute(sql.SQL("alter database {} rename to {}").format(*map(sql.Identifier, (draft, name))))
            _drop_old_templates(admin, keep=name)
    return name


def _migrate(url: Any, redis_url: str) -> None:
    import flask_migrate

    import wsgi

    application = wsgi.create_app(_settings(url.render_as_string(hide_password=False), redis_url))
    with application.app_context():
        flask_migrate.upgrade(str(ROOT / "migrations"))
        db.session.remove()
        db.engine.dispose()


def _drop_old_templates(admin: psycopg.Connection[Any], keep: str) -> None:
    """Another checkout state's run may still clone from a recent one, so the last few stay."""
    query = "select datname from pg_database where datname like 'diandi\\_template\\_%' order by oid desc offset 6"
    for (name,) in admin.execute(query).fetchall():
        if name != keep:
            admin.execute(sql.SQL("drop database if exists {}").format(sql.Identifier(name)))


def _settings(database_url: str, redis_url: str) -> config.Settings:
    return config.load(
        {
            "DIANDI_ENV": "test",
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "WECHAT_API_BASE": "http://127.0.0.1:9",  # nobody listens there: no test calls the real WeChat by mistake
            "MEDIA_FOLDER": str(VAR / "test" / "media"),
            "BILLS_FOLDER": str(VAR / "test" / "bills"),
        }
    )
