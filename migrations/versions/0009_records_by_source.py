"""Records are found by source and reference, whatever program pays them."""

from __future__ import annotations

from alembic import op

revision = "0009_records_by_source"
down_revision = "0008_spread"


def upgrade() -> None:
    op.create_index("ix_records_source", "records", ["source_id", "reference"])
