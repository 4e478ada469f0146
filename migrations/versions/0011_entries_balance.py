"""Ledger: the check of a batch's entries costs what the batch costs, not its square."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0011_entries_balance"
down_revision = "0010_posting"


def upgrade() -> None:
    path = Path(__file__).parent.parent / "sql" / "0011_entries_balance.sql"
    op.execute(sa.text(path.read_text().replace(":", r"\:")))
