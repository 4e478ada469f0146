"""Payments: items with a cash part, unpaid orders, payments, refunds, notices, shipments, bills and differences."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0008_payments"
down_revision = "0007_openness"


def upgrade() -> None:
    path = Path(__file__).parent.parent / "sql" / "0008_payments.sql"
    op.execute(sa.text(path.read_text().replace(":", r"\:")))
