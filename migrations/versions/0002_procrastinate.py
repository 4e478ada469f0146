"""The job queue's own tables and functions, as the locked version of procrastinate defines them.

When a later version of the package changes its schema, it ships a migration; a revision of ours then executes that
file, guarded by a look at what is there, because a database made after the change has it already.

Forward only.
"""

from __future__ import annotations

from alembic import op
from procrastinate.schema import SchemaManager

revision = "0002_procrastinate"
down_revision = "0001_ground"


def upgrade() -> None:
    # Straight to the driver: the text holds colons and percent signs that SQLAlchemy would read as parameters.
    link = op.get_bind().connection.driver_connection
    assert link is not None
    link.execute(SchemaManager.get_schema().encode())
