"""Social: teams, community, surveys, snapshots, notices, appeals."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0018_social"
down_revision = "0017_contest"


def upgrade() -> None:
    path = Path(__file__).parent.parent / "sql" / "0018_social.sql"
    if path.read_text().strip():
        op.execute(sa.text(path.read_text().replace(":", r"\:")))
