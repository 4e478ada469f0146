"""Budgets: a busy slice is waited for; slices are gathered only in a shortage."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0012_busy_slices"
down_revision = "0011_entries_balance"


def upgrade() -> None:
    path = Path(__file__).parent.parent / "sql" / "0012_busy_slices.sql"
    op.execute(sa.text(path.read_text().replace(":", r"\:")))
