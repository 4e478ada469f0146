"""Open budgets get as many slices as new ones: 64 instead of 16, the money spread evenly over all of them.

With 16 slices 32 clients at once met on the same ones and waited for each other's commit; 64 leave each one alone.
Scans that come together are spent with one posting.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0015_wide_budgets"
down_revision = "0014_welfare"


def upgrade() -> None:
    for name in ("0015_wide_budgets.sql", "0015_scans.sql"):
        path = Path(__file__).parent.parent / "sql" / name
        op.execute(sa.text(path.read_text().replace(":", r"\:")))
