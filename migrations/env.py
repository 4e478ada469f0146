"""Alembic's environment: the application's own engine; tables of the job queue are not ours to compare."""

from __future__ import annotations

from typing import Any

from alembic import context
from flask import current_app

from app.db import Model

config = context.config


def ours(obj: Any, name: str | None, type_: str, reflected: bool, compare_to: Any) -> bool:
    """Leave out what Alembic did not make: the job queue's own tables."""
    return not (type_ == "table" and reflected and (name or "").startswith("procrastinate_"))


def run() -> None:
    engine = current_app.extensions["migrate"].db.engine
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=Model.metadata,
            include_object=ours,
            compare_type=True,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()


run()
