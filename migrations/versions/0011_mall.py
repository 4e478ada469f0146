"""The mall: five kinds of items, stock with a log, carts, addresses, parcels and bookings."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0011_mall"
down_revision = "0010_embassy"


def upgrade() -> None:
    path = Path(__file__).parent.parent / "sql" / "0011_mall.sql"
    if path.read_text().strip():
        op.execute(sa.text(path.read_text().replace(":", r"\:")))
