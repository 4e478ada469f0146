"""Statements that pay merchants, and programs that are wound up."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0013_settlement"
down_revision = "0012_merchants"


def upgrade() -> None:
    path = Path(__file__).parent.parent / "sql" / "0013_settlement.sql"
    if path.read_text().strip():
        op.execute(sa.text(path.read_text().replace(":", r"\:")))
