"""Welfare: milestones with evidence, sponsor match, gifts of grams."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0014_welfare"
down_revision = "0013_settlement"


def upgrade() -> None:
    path = Path(__file__).parent.parent / "sql" / "0014_welfare.sql"
    if path.read_text().strip():
        op.execute(sa.text(path.read_text().replace(":", r"\:")))
