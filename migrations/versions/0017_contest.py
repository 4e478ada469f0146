"""Contests: challenges, levels, badges, the grove."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0017_contest"
down_revision = "0016_daily"


def upgrade() -> None:
    path = Path(__file__).parent.parent / "sql" / "0017_contest.sql"
    if path.read_text().strip():
        op.execute(sa.text(path.read_text().replace(":", r"\:")))
