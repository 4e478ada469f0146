"""What the first months with WeChat taught: genuine notices that nobody could read are kept."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0010_embassy"
down_revision = "0009_wechat"


def upgrade() -> None:
    path = Path(__file__).parent.parent / "sql" / "0010_embassy.sql"
    if path.read_text().strip():
        op.execute(sa.text(path.read_text().replace(":", r"\:")))
