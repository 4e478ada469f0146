"""Open budgets get as many slices as new ones: 64 instead of 16, the money spread evenly over all of them.

With 16 slices 32 clients at once met on the same ones and waited for each other's commit; 64 leave each one alone.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0015_wide_budgets"
down_revision = "0014_welfare"


def upgrade() -> None:
    path = Path(__file__).parent.parent / "sql" / "0015_wide_budgets.sql"
    op.execute(sa.text(path.read_text().replace(":", r"\:")))
