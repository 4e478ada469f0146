"""PostgreSQL: the one ``db``, the model base, and the one way to open a transaction.

A command is one transaction, opened by the edge with ``with transaction():``. It does not nest, it commits at its end,
and no call over the network may happen inside it. READ COMMITTED, with constraints and row locks in a stated order.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, TypeVar, cast

import psycopg
from flask_sqlalchemy import SQLAlchemy
from psycopg import errors as pg
from psycopg.adapt import Dumper, PyFormat
from psycopg.rows import namedtuple_row
from psycopg.types.array import ListDumper
from sqlalchemy import BigInteger, Connection, DateTime, Engine, Identity, MetaData, PoolProxiedConnection, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, registry

T = TypeVar("T")
_open: ContextVar[bool] = ContextVar("transaction_open", default=False)
RETRIES = 5
AGAIN = (pg.DeadlockDetected, pg.SerializationFailure, pg.ExclusionViolation, pg.UniqueViolation)


class Model(DeclarativeBase):
    """Base of all tables. Names of constraints are fixed, so that migrations can name them."""

    registry = registry(
        metadata=MetaData(
            naming_convention={
                "ix": "ix_%(table_name)s_%(column_0_N_name)s",
                "uq": "uq_%(table_name)s_%(column_0_N_name)s",
                "ck": "ck_%(table_name)s_%(constraint_name)s",
                "fk": "fk_%(table_name)s_%(column_0_N_name)s",
                "pk": "pk_%(table_name)s",
            }
        ),
        type_annotation_map={
            int: BigInteger,
            datetime: DateTime(timezone=True),
            dict[str, Any]: JSONB,
            list[Any]: JSONB,
        },
    )


db = SQLAlchemy(model_class=Model)


def id_column() -> Mapped[int]:
    return mapped_column(BigInteger, Identity(always=False), primary_key=True)


def session() -> Session:
    """The session of this context. Domain code writes through it and never commits."""
    return cast(Session, db.session())


def connection() -> Connection:
    """The session's own connection, for hot paths that speak Core or plain SQL in the same transaction."""
    return session().connection()


def run(sql: str, values: Mapping[str, Any] | None = None) -> list[Any]:
    """Run one statement of a hot path on the session's own connection and transaction, straight through the driver.

    Placeholders are ``%(name)s``; rows come as named tuples. About four times cheaper per statement than the ORM's way.
    """
    cursor = _cursor(connection().connection)
    cursor.execute(sql, values)
    found = cursor.pgresult
    return cursor.fetchall() if found is not None and found.nfields else []


def _cursor(pooled: PoolProxiedConnection) -> psycopg.Cursor[Any]:
    """The one cursor of a connection for hot statements; making one costs as much as sending a statement."""
    kept = pooled.info.get("cursor")
    if kept is None:
        driver = cast("psycopg.Connection[Any]", pooled.driver_connection)
        kept = pooled.info["cursor"] = driver.cursor(row_factory=namedtuple_row)
    return cast("psycopg.Cursor[Any]", kept)


class PlainList(ListDumper):
    """Lists of whole numbers, sent as text of unknown type, which the statement's own cast reads.

    The driver looks at each element three times to find a type that all our statements name anyway.
    """

    def get_key(self, obj: list[Any], format: PyFormat) -> Any:  # noqa: A002 - the driver's name for it
        return "whole numbers" if _whole_numbers(obj) else super().get_key(obj, format)

    def upgrade(self, obj: list[Any], format: PyFormat) -> Any:  # noqa: A002
        return _WholeNumbers(self.cls, self.connection) if _whole_numbers(obj) else super().upgrade(obj, format)


class _WholeNumbers(Dumper):
    def dump(self, obj: list[int]) -> bytes:
        return b"{%s}" % ",".join(map(str, obj)).encode()


def _whole_numbers(found: list[Any]) -> bool:
    return all(type(one) is int for one in found)


psycopg.adapters.register_dumper(list, PlainList)


def read(sql: str, values: Mapping[str, Any] | None = None) -> list[Any]:
    """One SELECT of a hot read, as :func:`run` but without a transaction around it: one round trip instead of three.

    Inside a command, and wherever the session has begun already, it runs there and sees what was written.
    """
    engine = db.engine
    begun = _open.get() or (db.session.registry.has() and session().in_transaction())
    if begun or not isinstance(engine, Engine):
        return run(sql, values)
    try:
        return _read(engine, sql, values)
    except psycopg.OperationalError as error:
        if not connection_lost(error):
            raise
        forget_connections()
    return _read(engine, sql, values)  # once more: PostgreSQL was restarted, and the pool held connections of before


def command(sql: str, values: Mapping[str, Any] | None = None) -> list[Any]:
    """One statement that is a whole command: it commits by itself, so that no lock waits for this process to say so.

    For a call of a database function that decides and writes everything, where many want one row. Inside a transaction
    it is a part of that one.
    """
    engine = db.engine
    begun = _open.get() or (db.session.registry.has() and session().in_transaction())
    return run(sql, values) if begun or not isinstance(engine, Engine) else _read(engine, sql, values)


def _read(engine: Engine, sql: str, values: Mapping[str, Any] | None) -> list[Any]:
    pooled = engine.raw_connection()
    driver = cast("psycopg.Connection[Any]", pooled.driver_connection)
    try:
        driver.autocommit = True
        cursor = _cursor(pooled)
        cursor.execute(sql, values)
        found = cursor.fetchall()
        driver.autocommit = False
    except BaseException:
        pooled.invalidate()  # whatever went wrong: a connection left in autocommit must not serve a command
        raise
    pooled.close()
    return found


def forget_connections() -> None:
    """Drop the pooled connections when PostgreSQL went away: after its restart each would fail one request."""
    engine = db.engine
    if isinstance(engine, Engine):
        engine.dispose()


@contextmanager
def transaction() -> Iterator[Session]:
    """One command, one transaction: commits at the end, rolls back on an exception. Raises RuntimeError when nested."""
    if _open.get():
        raise RuntimeError("a transaction is open already; commands do not nest")
    token = _open.set(True)
    current = session()
    try:
        yield current
        current.commit()
    except BaseException:
        current.rollback()
        raise
    finally:
        _open.reset(token)


def in_transaction() -> bool:
    """Whether a command is running. Whoever calls over the network asks this first and refuses."""
    return _open.get()


def forbid_in_transaction(what: str) -> None:
    """Raise when a call over the network is about to happen inside a transaction."""
    if _open.get():
        raise RuntimeError(f"{what}: no network inside a transaction")


def retrying(command: Callable[[], T]) -> T:
    """Run a whole command again when PostgreSQL made it the victim of a deadlock or a serialisation, or when a claim
    or key was taken between our look and our write (40P01, 40001, 23P01, 23505): the second look sees it.

    At most five times, with jitter, with the same keys: every command is idempotent by its natural key.
    """
    for attempt in range(RETRIES):
        try:
            return command()
        except (DBAPIError, psycopg.Error) as error:
            if attempt == RETRIES - 1 or not isinstance(driver_error(error), AGAIN):
                raise
            time.sleep(random.uniform(0.005, 0.03) * (attempt + 1))  # noqa: S311 - jitter, no secret
    raise AssertionError("unreachable")


def driver_error(error: BaseException) -> BaseException | None:
    """The driver's own error, whichever way the statement went."""
    return error.orig if isinstance(error, DBAPIError) else error


def is_outage(error: BaseException) -> bool:
    """Whether an exception means that PostgreSQL can't be reached or is starting, so the caller should come back."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    if isinstance(error, OperationalError):
        return not isinstance(error.orig, (pg.DeadlockDetected,))
    return isinstance(error, (pg.OperationalError, TimeoutError))


def connection_lost(error: BaseException) -> bool:
    """Whether PostgreSQL ended the connection, so that the other pooled ones are probably dead too.

    Its own words for that are 57P01 to 57P03 and class 08; without any code the line broke. A lock or statement that
    ran out of time is no such thing.
    """
    found = driver_error(error)
    if not isinstance(found, psycopg.OperationalError):
        return False
    return found.sqlstate is None or found.sqlstate.startswith(("57P0", "08"))


def database_now() -> datetime:
    """PostgreSQL's clock; an alarm compares ours with it."""
    return cast(datetime, connection().execute(text("select clock_timestamp()")).scalar_one())
