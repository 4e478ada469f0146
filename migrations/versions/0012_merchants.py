"""Codes with several uses and refreshing pictures, merchants who help themselves."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0012_merchants"
down_revision = "0011_mall"


def upgrade() -> None:
    path = Path(__file__).parent.parent / "sql" / "0012_merchants.sql"
    if path.read_text().strip():
        op.execute(sa.text(path.read_text().replace(":", r"\:")))
