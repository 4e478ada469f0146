"""Methodologies and their versions; a trigger that keeps a published version as it is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003_methodologies"
down_revision = "0002_procrastinate"

# The one change a published version admits: an open end of its time in force is set, when a successor takes over.
FROZEN = """
create function keep_published_version() returns trigger language plpgsql as $$
begin
  if tg_op = 'UPDATE'
     and to_jsonb(new) - 'in_force' = to_jsonb(old) - 'in_force'
     and upper_inf(old.in_force) and lower(new.in_force) = lower(old.in_force) and not isempty(new.in_force) then
    return new;
  end if;
  raise exception 'methodology version % is published and never changes: % refused', old.id, tg_op
    using errcode = 'restrict_violation';
end $$
"""
TRIGGER = """
create trigger methodology_versions_published before update or delete on methodology_versions
  for each row when (old.state = 'published') execute function keep_published_version()
"""


def upgrade() -> None:
    op.create_table(
        "methodologies",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_methodologies")),
        sa.UniqueConstraint("key", name=op.f("uq_methodologies_key")),
    )
    op.create_table(
        "methodology_versions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("methodology_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("in_force", postgresql.DATERANGE(), nullable=False),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="draft", nullable=False),
        sa.Column("drafted_by", sa.Text(), nullable=False),
        sa.Column("drafted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("approval_id", sa.BigInteger(), nullable=True),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state in ('draft','pending','published')", name=op.f("ck_methodology_versions_state")),
        sa.CheckConstraint(
            "approved_by is null or approved_by <> drafted_by", name=op.f("ck_methodology_versions_four_eyes")
        ),
        sa.CheckConstraint(
            "state <> 'published' or (approved_by is not null and published_at is not null)",
            name=op.f("ck_methodology_versions_published_by_two"),
        ),
        sa.CheckConstraint(
            "not isempty(in_force) and not lower_inf(in_force)", name=op.f("ck_methodology_versions_in_force")
        ),
        postgresql.ExcludeConstraint(
            (sa.text("int8range(methodology_id, methodology_id, '[]')"), "&&"),
            (sa.column("in_force"), "&&"),
            name="ex_methodology_versions_one_in_force",
            using="gist",
            where=sa.text("state = 'published'"),
        ),
        sa.ForeignKeyConstraint(
            ["methodology_id"], ["methodologies.id"], name=op.f("fk_methodology_versions_methodology_id")
        ),
        sa.ForeignKeyConstraint(["approval_id"], ["approvals.id"], name=op.f("fk_methodology_versions_approval_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_methodology_versions")),
        sa.UniqueConstraint("methodology_id", "version", name=op.f("uq_methodology_versions_methodology_id_version")),
    )
    op.create_index(
        "ix_methodology_versions_pending",
        "methodology_versions",
        ["id"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.execute(FROZEN)
    op.execute(TRIGGER)
