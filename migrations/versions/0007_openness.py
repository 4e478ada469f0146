"""Openness: certificates."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007_openness"
down_revision = "0006_boards"


def upgrade() -> None:
    op.create_table(
        "certificates",
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("record_id", sa.BigInteger(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["record_id"], ["records.id"], name=op.f("fk_certificates_record_id")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_certificates")),
        sa.UniqueConstraint("record_id", name=op.f("uq_certificates_record_id")),
    )
