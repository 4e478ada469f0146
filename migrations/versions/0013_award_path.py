"""Budgets: no slice is held while all are locked in order."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0013_award_path"
down_revision = "0012_busy_slices"


def upgrade() -> None:
    path = Path(__file__).parent.parent / "sql" / "0013_award_path.sql"
    op.execute(sa.text(path.read_text().replace(":", r"\:")))
