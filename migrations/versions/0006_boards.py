"""Boards: the functions that give every board its one order."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0006_boards"
down_revision = "0005_people"


def upgrade() -> None:
    op.execute(sa.text((Path(__file__).parent.parent / "sql" / "0006_boards.sql").read_text().replace(":", r"\:")))
