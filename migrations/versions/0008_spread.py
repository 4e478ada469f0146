"""Budgets: after a shortage what is left is spread over the slices again."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0008_spread"
down_revision = "0007_openness"


def upgrade() -> None:
    op.execute(sa.text((Path(__file__).parent.parent / "sql" / "0008_spread.sql").read_text().replace(":", r"\:")))
