"""People who left are no newcomers when they come back; a keyed hash remembers them for a limited time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005_people"
down_revision = "0004_main_loop"


def upgrade() -> None:
    op.add_column("persons", sa.Column("newcomer", sa.Boolean(), server_default=sa.text("true"), nullable=False))
    op.create_table(
        "former_identities",
        sa.Column("identity_hash", sa.LargeBinary(), nullable=False),
        sa.Column("forget_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("identity_hash", name=op.f("pk_former_identities")),
    )
    op.create_index("ix_former_identities_forget_at", "former_identities", ["forget_at"])
