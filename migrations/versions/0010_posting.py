"""Posting: less work where all of a batch is new."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0010_posting"
down_revision = "0009_records_by_source"


def upgrade() -> None:
    op.execute(sa.text((Path(__file__).parent.parent / "sql" / "0010_posting.sql").read_text().replace(":", r"\:")))
