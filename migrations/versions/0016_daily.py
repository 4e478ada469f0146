"""Daily life: check-ins, gatherings, learning."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0016_daily"
down_revision = "0015_wide_budgets"


def upgrade() -> None:
    path = Path(__file__).parent.parent / "sql" / "0016_daily.sql"
    if path.read_text().strip():
        op.execute(sa.text(path.read_text().replace(":", r"\:")))
