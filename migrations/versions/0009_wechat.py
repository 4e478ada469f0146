"""WeChat's other services: checks of texts and pictures, messages, scenes, phone numbers, recovery, tickets."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0009_wechat"
down_revision = "0008_payments"


def upgrade() -> None:
    path = Path(__file__).parent.parent / "sql" / "0009_wechat.sql"
    op.execute(sa.text(path.read_text().replace(":", r"\:")))
