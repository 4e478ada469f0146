"""The main loop: ledger, funding, records, boards, mall. Forward only: a backup is the way back."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004_main_loop"
down_revision = "0003_methodologies"


def upgrade() -> None:
    _vehicles()
    _closed_boards()
    _imports()
    _scenarios()
    _sources()
    _transfers()
    _wallets()
    _boosts()
    _codes()
    _gifts()
    _items()
    _lots()
    _records()
    _shops()
    _awards()
    _budget_slices()
    _conflicting_records()
    _lot_uses()
    _orders()
    _redemptions()
    _staff()
    for part in ("ledger", "records"):
        path = Path(__file__).parent.parent / "sql" / f"0004_{part}.sql"
        op.execute(sa.text(path.read_text().replace(":", r"\:")))


def _vehicles() -> None:
    """Tables: vehicles, accounts, cap_uses."""
    op.create_table(
        "vehicles",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("vin_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("fuel", sa.Text(), nullable=False),
        sa.Column("model_class", sa.Text(), server_default="", nullable=False),
        sa.Column("mileage_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("mileage_until", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("fuel in ('bev','phev','fcev','ice')", name=op.f("ck_vehicles_fuel")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vehicles")),
        sa.UniqueConstraint("vin_hash", name=op.f("uq_vehicles_vin_hash")),
    )
    op.create_table(
        "accounts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("owner_key", sa.Text(), nullable=False),
        sa.Column("guarded", sa.Boolean(), nullable=False),
        sa.Column("balance", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("asset in ('mg','credits','fen')", name=op.f("ck_accounts_asset")),
        sa.CheckConstraint("guarded or balance is null", name=op.f("ck_accounts_system_accounts_store_no_balance")),
        sa.CheckConstraint(
            "not guarded or (balance is not null and balance >= 0)", name=op.f("ck_accounts_never_negative")
        ),
        sa.ForeignKeyConstraint(["program_id"], ["programs.id"], name=op.f("fk_accounts_program_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
        sa.UniqueConstraint(
            "program_id", "asset", "kind", "owner_key", name=op.f("uq_accounts_program_id_asset_kind_owner_key")
        ),
        sa.UniqueConstraint("program_id", "id", name=op.f("uq_accounts_program_id_id")),
    )
    op.create_table(
        "cap_uses",
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("used_micro", sa.BigInteger(), nullable=False),
        sa.Column("cap_micro", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("used_micro between 0 and cap_micro", name=op.f("ck_cap_uses_within")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_cap_uses_person_id")),
        sa.PrimaryKeyConstraint("person_id", "scope", "period", name=op.f("pk_cap_uses")),
    )


def _closed_boards() -> None:
    """Tables: closed_boards, final_ranks."""
    op.create_table(
        "closed_boards",
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("subject_kind", sa.Text(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("period_kind", sa.Text(), nullable=False),
        sa.Column("period_key", sa.Text(), nullable=False),
        sa.Column("subjects", sa.BigInteger(), nullable=False),
        sa.Column("frozen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["program_id"], ["programs.id"], name=op.f("fk_closed_boards_program_id")),
        sa.PrimaryKeyConstraint(
            "program_id", "subject_kind", "metric", "period_kind", "period_key", name=op.f("pk_closed_boards")
        ),
    )
    op.create_table(
        "final_ranks",
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("subject_kind", sa.Text(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("period_kind", sa.Text(), nullable=False),
        sa.Column("period_key", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.BigInteger(), nullable=False),
        sa.Column("rank", sa.BigInteger(), nullable=False),
        sa.Column("score", sa.BigInteger(), nullable=False),
        sa.Column("reached_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["program_id"], ["programs.id"], name=op.f("fk_final_ranks_program_id")),
        sa.PrimaryKeyConstraint(
            "program_id",
            "subject_kind",
            "metric",
            "period_kind",
            "period_key",
            "subject_id",
            name=op.f("pk_final_ranks"),
        ),
    )
    op.create_index(
        "uq_final_ranks_rank",
        "final_ranks",
        ["program_id", "subject_kind", "metric", "period_kind", "period_key", "rank"],
        unique=True,
    )


def _imports() -> None:
    """Tables: imports, merchants."""
    op.create_table(
        "imports",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("preset", sa.Text(), nullable=False),
        sa.Column("preset_hash", sa.LargeBinary(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("file_hash", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), server_default="running", nullable=False),
        sa.Column("next_row", sa.BigInteger(), nullable=False),
        sa.Column("counts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_by", sa.Text(), nullable=False),
        sa.CheckConstraint("state in ('running','done','failed')", name=op.f("ck_imports_state")),
        sa.ForeignKeyConstraint(["program_id"], ["programs.id"], name=op.f("fk_imports_program_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_imports")),
    )
    op.create_index("uq_imports_file", "imports", ["program_id", "preset", "file_hash"], unique=True)
    op.create_table(
        "merchants",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), server_default="active", nullable=False),
        sa.Column("payable_account_id", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state in ('active','paused')", name=op.f("ck_merchants_state")),
        sa.ForeignKeyConstraint(["program_id"], ["programs.id"], name=op.f("fk_merchants_program_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_merchants")),
        sa.UniqueConstraint("program_id", "code", name=op.f("uq_merchants_program_id_code")),
        sa.UniqueConstraint("program_id", "id", name=op.f("uq_merchants_program_id_id")),
    )


def _scenarios() -> None:
    """Tables: scenarios, scores."""
    op.create_table(
        "scenarios",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("methodology", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), nullable=False),
        sa.Column("text_zh", sa.Text(), server_default="", nullable=False),
        sa.Column("text_en", sa.Text(), server_default="", nullable=False),
        sa.Column("picture", sa.Text(), server_default="", nullable=False),
        sa.Column("source_kinds", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("caps", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("claim", sa.Text(), nullable=False),
        sa.Column("consent_purpose", sa.Text(), nullable=True),
        sa.Column("fixed_facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), server_default="active", nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("claim in ('trip','day','vehicle','meter','none')", name=op.f("ck_scenarios_claim")),
        sa.CheckConstraint("state in ('active','retired')", name=op.f("ck_scenarios_state")),
        sa.ForeignKeyConstraint(["program_id"], ["programs.id"], name=op.f("fk_scenarios_program_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scenarios")),
        sa.UniqueConstraint("program_id", "code", name=op.f("uq_scenarios_program_id_code")),
        sa.UniqueConstraint("program_id", "id", name=op.f("uq_scenarios_program_id_id")),
    )
    op.create_table(
        "scores",
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("subject_kind", sa.Text(), nullable=False),
        sa.Column("period_kind", sa.Text(), nullable=False),
        sa.Column("period_key", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.BigInteger(), nullable=False),
        sa.Column("mg", sa.BigInteger(), nullable=False),
        sa.Column("mg_reached_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("mg_rank", sa.Double(), nullable=False),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.Column("credits_reached_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("credits_rank", sa.Double(), nullable=False),
        sa.CheckConstraint("period_kind in ('day','week','month','season','all')", name=op.f("ck_scores_period_kind")),
        sa.CheckConstraint("subject_kind in ('person','unit')", name=op.f("ck_scores_subject_kind")),
        sa.ForeignKeyConstraint(["program_id"], ["programs.id"], name=op.f("fk_scores_program_id")),
        sa.PrimaryKeyConstraint(
            "program_id", "subject_kind", "period_kind", "period_key", "subject_id", name=op.f("pk_scores")
        ),
    )
    op.create_index(
        "ix_scores_credits",
        "scores",
        ["program_id", "subject_kind", "period_kind", "period_key", "credits_rank"],
        unique=False,
    )
    op.create_index(
        "ix_scores_mg", "scores", ["program_id", "subject_kind", "period_kind", "period_key", "mg_rank"], unique=False
    )


def _sources() -> None:
    """Tables: sources, sponsors."""
    op.create_table(
        "sources",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="active", nullable=False),
        sa.Column("app_id", sa.Text(), nullable=True),
        sa.Column("test_mode", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("expected_lag_hours", sa.BigInteger(), server_default=sa.text("24"), nullable=False),
        sa.Column("last_received_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("newest_act_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("received_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("refused_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint(
            "kind in ('citizen','partner','file','device','office','system')", name=op.f("ck_sources_kind")
        ),
        sa.CheckConstraint("state in ('active','paused')", name=op.f("ck_sources_state")),
        sa.ForeignKeyConstraint(["program_id"], ["programs.id"], name=op.f("fk_sources_program_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sources")),
        sa.UniqueConstraint("app_id", name=op.f("uq_sources_app_id")),
        sa.UniqueConstraint("program_id", "code", name=op.f("uq_sources_program_id_code")),
    )
    op.create_table(
        "sponsors",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), nullable=False),
        sa.Column("logo_url", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["program_id"], ["programs.id"], name=op.f("fk_sponsors_program_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sponsors")),
        sa.UniqueConstraint("program_id", "code", name=op.f("uq_sponsors_program_id_code")),
        sa.UniqueConstraint("program_id", "id", name=op.f("uq_sponsors_program_id_id")),
    )


def _transfers() -> None:
    """Tables: transfers, vehicle_bindings."""
    op.create_table(
        "transfers",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("source_ref", sa.Text(), nullable=False),
        sa.Column("legs_hash", sa.Text(), nullable=False),
        sa.Column("reverses", sa.BigInteger(), nullable=True),
        sa.Column("memo", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("posted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "posted_xid", sa.BigInteger(), server_default=sa.text("pg_current_xact_id()::text::bigint"), nullable=False
        ),
        sa.ForeignKeyConstraint(["reverses"], ["transfers.id"], name=op.f("fk_transfers_reverses")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transfers")),
        sa.UniqueConstraint("program_id", "id", name=op.f("uq_transfers_program_id_id")),
        sa.UniqueConstraint("reason", "source_ref", name=op.f("uq_transfers_reason_source_ref")),
    )
    op.create_index(
        "uq_transfers_reverses",
        "transfers",
        ["reverses"],
        unique=True,
        postgresql_where=sa.text("reverses is not null"),
    )
    op.create_table(
        "vehicle_bindings",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("vehicle_id", sa.BigInteger(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("bound_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("unbound_at", sa.DateTime(timezone=True), nullable=True),
        postgresql.ExcludeConstraint(
            (sa.text("int8range(vehicle_id, vehicle_id, '[]')"), "&&"),
            (sa.text("tstzrange(bound_at, unbound_at)"), "&&"),
            using="gist",
            name="ex_vehicle_bindings_one_holder",
        ),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_vehicle_bindings_person_id")),
        sa.ForeignKeyConstraint(["vehicle_id"], ["vehicles.id"], name=op.f("fk_vehicle_bindings_vehicle_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vehicle_bindings")),
    )
    op.create_index("ix_vehicle_bindings_person", "vehicle_bindings", ["person_id"], unique=False)


def _wallets() -> None:
    """Tables: wallets, welfare_projects, account_bindings."""
    op.create_table(
        "wallets",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("credits_account_id", sa.BigInteger(), nullable=False),
        sa.Column("hold_account_id", sa.BigInteger(), nullable=False),
        sa.Column("mg_account_id", sa.BigInteger(), nullable=False),
        sa.Column("carry_micro", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("debt_credits", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("carry_micro between 0 and 999999", name=op.f("ck_wallets_carry")),
        sa.CheckConstraint("debt_credits >= 0", name=op.f("ck_wallets_debt")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_wallets_person_id")),
        sa.ForeignKeyConstraint(["program_id"], ["programs.id"], name=op.f("fk_wallets_program_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_wallets")),
        sa.UniqueConstraint("id", "person_id", "program_id", name=op.f("uq_wallets_id_person_id_program_id")),
        sa.UniqueConstraint("person_id", "program_id", name=op.f("uq_wallets_person_id_program_id")),
    )
    op.create_table(
        "welfare_projects",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), server_default="", nullable=False),
        sa.Column("text_zh", sa.Text(), server_default="", nullable=False),
        sa.Column("text_en", sa.Text(), server_default="", nullable=False),
        sa.Column("target_credits", sa.BigInteger(), nullable=False),
        sa.Column("given_credits", sa.BigInteger(), nullable=False),
        sa.Column("money_account_id", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.CheckConstraint("state in ('open','closed')", name=op.f("ck_welfare_projects_state")),
        sa.CheckConstraint("target_credits > 0 and given_credits >= 0", name=op.f("ck_welfare_projects_target")),
        sa.ForeignKeyConstraint(["program_id"], ["programs.id"], name=op.f("fk_welfare_projects_program_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_welfare_projects")),
        sa.UniqueConstraint("program_id", "code", name=op.f("uq_welfare_projects_program_id_code")),
        sa.UniqueConstraint("program_id", "id", name=op.f("uq_welfare_projects_program_id_id")),
    )
    op.create_table(
        "account_bindings",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("account_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("bound_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("unbound_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_account_bindings_person_id")),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_account_bindings_source_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_bindings")),
    )
    op.create_index("ix_account_bindings_person", "account_bindings", ["person_id"], unique=False)
    op.create_index("ix_account_bindings_hash", "account_bindings", ["source_id", "account_hash"], unique=False)
    op.create_index(
        "uq_account_bindings_live",
        "account_bindings",
        ["source_id", "account_hash"],
        unique=True,
        postgresql_where=sa.text("unbound_at is null"),
    )


def _boosts() -> None:
    """Tables: boosts, budgets."""
    op.create_table(
        "boosts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("scenario_id", sa.BigInteger(), nullable=True),
        sa.Column("person_id", sa.BigInteger(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("multiplier_bps", sa.BigInteger(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("ends_at > starts_at", name=op.f("ck_boosts_span")),
        sa.CheckConstraint("multiplier_bps > 10000", name=op.f("ck_boosts_multiplies")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_boosts_person_id")),
        sa.ForeignKeyConstraint(["program_id"], ["programs.id"], name=op.f("fk_boosts_program_id")),
        sa.ForeignKeyConstraint(["scenario_id"], ["scenarios.id"], name=op.f("fk_boosts_scenario_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_boosts")),
    )
    op.create_index("ix_boosts_program", "boosts", ["program_id", "starts_at"], unique=False)
    op.create_table(
        "budgets",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("sponsor_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("price_fen", sa.BigInteger(), nullable=False),
        sa.Column("is_default", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("money_account_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state in ('open','closed')", name=op.f("ck_budgets_state")),
        sa.CheckConstraint("price_fen > 0", name=op.f("ck_budgets_price")),
        sa.ForeignKeyConstraint(
            ["program_id", "sponsor_id"],
            ["sponsors.program_id", "sponsors.id"],
            name=op.f("fk_budgets_program_id_sponsor_id"),
        ),
        sa.ForeignKeyConstraint(["program_id"], ["programs.id"], name=op.f("fk_budgets_program_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_budgets")),
        sa.UniqueConstraint("program_id", "code", name=op.f("uq_budgets_program_id_code")),
        sa.UniqueConstraint("program_id", "id", name=op.f("uq_budgets_program_id_id")),
    )


def _codes() -> None:
    """Tables: codes, entries."""
    op.create_table(
        "codes",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("title_en", sa.Text(), server_default="", nullable=False),
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("code_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("settlement_fen", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), server_default="issued", nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state in ('issued','redeemed','expired','refunded','void')", name=op.f("ck_codes_state")),
        sa.CheckConstraint("settlement_fen >= 0", name=op.f("ck_codes_settlement")),
        sa.CheckConstraint("valid_until > valid_from", name=op.f("ck_codes_validity")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_codes_person_id")),
        sa.ForeignKeyConstraint(
            ["program_id", "merchant_id"],
            ["merchants.program_id", "merchants.id"],
            name=op.f("fk_codes_program_id_merchant_id"),
        ),
        sa.ForeignKeyConstraint(["program_id"], ["programs.id"], name=op.f("fk_codes_program_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_codes")),
        sa.UniqueConstraint("code_hash", name=op.f("uq_codes_code_hash")),
        sa.UniqueConstraint("program_id", "id", name=op.f("uq_codes_program_id_id")),
    )
    op.create_index("ix_codes_order", "codes", ["order_id"], unique=False)
    op.create_index("ix_codes_person", "codes", ["person_id", "id"], unique=False)
    op.create_table(
        "entries",
        sa.Column("transfer_id", sa.BigInteger(), nullable=False),
        sa.Column("leg", sa.BigInteger(), nullable=False),
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("account_seq", sa.BigInteger(), nullable=True),
        sa.Column("balance_after", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("amount <> 0", name=op.f("ck_entries_amount")),
        sa.CheckConstraint("balance_after is null or balance_after >= 0", name=op.f("ck_entries_balance_after")),
        sa.ForeignKeyConstraint(
            ["program_id", "account_id"],
            ["accounts.program_id", "accounts.id"],
            name=op.f("fk_entries_program_id_account_id"),
        ),
        sa.ForeignKeyConstraint(
            ["program_id", "transfer_id"],
            ["transfers.program_id", "transfers.id"],
            name=op.f("fk_entries_program_id_transfer_id"),
        ),
        sa.PrimaryKeyConstraint("transfer_id", "leg", name=op.f("pk_entries")),
        sa.UniqueConstraint("account_id", "account_seq", name=op.f("uq_entries_account_id_account_seq")),
    )
    op.create_index("ix_entries_account", "entries", ["account_id", "transfer_id"], unique=False)


def _gifts() -> None:
    """Table: gifts."""
    op.create_table(
        "gifts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("client_ref", sa.Text(), nullable=False),
        sa.Column("body_hash", sa.LargeBinary(), nullable=False),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.Column("fen", sa.BigInteger(), nullable=False),
        sa.Column("transfer_id", sa.BigInteger(), nullable=False),
        sa.Column("certificate_no", sa.Text(), nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("credits > 0 and fen >= 0", name=op.f("ck_gifts_amounts")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_gifts_person_id")),
        sa.ForeignKeyConstraint(
            ["program_id", "project_id"],
            ["welfare_projects.program_id", "welfare_projects.id"],
            name=op.f("fk_gifts_program_id_project_id"),
        ),
        sa.ForeignKeyConstraint(["program_id"], ["programs.id"], name=op.f("fk_gifts_program_id")),
        sa.ForeignKeyConstraint(["transfer_id"], ["transfers.id"], name=op.f("fk_gifts_transfer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gifts")),
        sa.UniqueConstraint("certificate_no", name=op.f("uq_gifts_certificate_no")),
        sa.UniqueConstraint("person_id", "client_ref", name=op.f("uq_gifts_person_id_client_ref")),
    )
    op.create_index("ix_gifts_project", "gifts", ["project_id", "id"], unique=False)


def _items() -> None:
    """Table: items."""
    op.create_table(
        "items",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("sponsor_id", sa.BigInteger(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), server_default="", nullable=False),
        sa.Column("text_zh", sa.Text(), server_default="", nullable=False),
        sa.Column("text_en", sa.Text(), server_default="", nullable=False),
        sa.Column("picture", sa.Text(), server_default="", nullable=False),
        sa.Column("price_credits", sa.BigInteger(), nullable=False),
        sa.Column("settlement_fen", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("available", sa.BigInteger(), nullable=False),
        sa.Column("reserved", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("sold", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("per_person", sa.BigInteger(), nullable=True),
        sa.Column("valid_days", sa.BigInteger(), server_default=sa.text("90"), nullable=False),
        sa.Column("sale_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sale_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("state", sa.Text(), server_default="draft", nullable=False),
        sa.CheckConstraint("kind in ('voucher')", name=op.f("ck_items_kind")),
        sa.CheckConstraint("state in ('draft','on_sale','off_sale')", name=op.f("ck_items_state")),
        sa.CheckConstraint("available >= 0 and reserved >= 0 and sold >= 0", name=op.f("ck_items_stock")),
        sa.CheckConstraint("price_credits > 0 and settlement_fen >= 0", name=op.f("ck_items_price")),
        sa.CheckConstraint("total = available + reserved + sold", name=op.f("ck_items_stock_adds_up")),
        sa.CheckConstraint("valid_days between 1 and 730", name=op.f("ck_items_valid_days")),
        sa.ForeignKeyConstraint(
            ["program_id", "merchant_id"],
            ["merchants.program_id", "merchants.id"],
            name=op.f("fk_items_program_id_merchant_id"),
        ),
        sa.ForeignKeyConstraint(["program_id"], ["programs.id"], name=op.f("fk_items_program_id")),
        sa.ForeignKeyConstraint(["sponsor_id"], ["sponsors.id"], name=op.f("fk_items_sponsor_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_items")),
        sa.UniqueConstraint("program_id", "code", name=op.f("uq_items_program_id_code")),
        sa.UniqueConstraint("program_id", "id", name=op.f("uq_items_program_id_id")),
    )


def _lots() -> None:
    """Tables: lots, partner_keys, partner_nonces."""
    op.create_table(
        "lots",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("budget_id", sa.BigInteger(), nullable=False),
        sa.Column("price_fen", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("remaining", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("remaining between 0 and amount", name=op.f("ck_lots_remaining")),
        sa.ForeignKeyConstraint(
            ["program_id", "account_id"],
            ["accounts.program_id", "accounts.id"],
            name=op.f("fk_lots_program_id_account_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lots")),
        sa.UniqueConstraint(
            "account_id",
            "budget_id",
            "price_fen",
            "expires_at",
            name=op.f("uq_lots_account_id_budget_id_price_fen_expires_at"),
        ),
    )
    op.create_index("ix_lots_expiry", "lots", ["expires_at"], unique=False, postgresql_where=sa.text("remaining > 0"))
    op.create_index(
        "ix_lots_live", "lots", ["account_id", "expires_at"], unique=False, postgresql_where=sa.text("remaining > 0")
    )
    op.create_table(
        "partner_keys",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("secret_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_partner_keys_source_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_partner_keys")),
        sa.UniqueConstraint("source_id", "key_id", name=op.f("uq_partner_keys_source_id_key_id")),
    )
    op.create_table(
        "partner_nonces",
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_partner_nonces_source_id")),
        sa.PrimaryKeyConstraint("source_id", "nonce", name=op.f("pk_partner_nonces")),
    )
    op.create_index(op.f("ix_partner_nonces_used_at"), "partner_nonces", ["used_at"], unique=False)


def _records() -> None:
    """Table: records."""
    op.create_table(
        "records",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("scenario_id", sa.BigInteger(), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("facts_hash", sa.LargeBinary(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "local_date",
            sa.Date(),
            sa.Computed("((occurred_at at time zone 'Asia/Shanghai')::date)", persisted=True),
            nullable=False,
        ),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason_code", sa.Text(), nullable=True),
        sa.Column("reason_zh", sa.Text(), nullable=True),
        sa.Column("reason_en", sa.Text(), nullable=True),
        sa.Column("org_unit_id", sa.BigInteger(), nullable=True),
        sa.Column("primary_id", sa.BigInteger(), nullable=True),
        sa.Column("supersedes_id", sa.BigInteger(), nullable=True),
        sa.Column("import_id", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "state in ('counted','held','rejected','reversed','superseded','duplicate','mirrored')",
            name=op.f("ck_records_state"),
        ),
        sa.CheckConstraint(
            "state in ('counted','mirrored') or reason_code is not null", name=op.f("ck_records_says_why")
        ),
        sa.CheckConstraint("tier in ('A','B','C','D','E')", name=op.f("ck_records_tier")),
        sa.CheckConstraint("ended_at >= occurred_at", name=op.f("ck_records_span")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_records_person_id")),
        sa.ForeignKeyConstraint(["primary_id"], ["records.id"], name=op.f("fk_records_primary_id")),
        sa.ForeignKeyConstraint(
            ["program_id", "scenario_id"],
            ["scenarios.program_id", "scenarios.id"],
            name=op.f("fk_records_program_id_scenario_id"),
        ),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_records_source_id")),
        sa.ForeignKeyConstraint(["supersedes_id"], ["records.id"], name=op.f("fk_records_supersedes_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_records")),
        sa.UniqueConstraint(
            "source_id", "reference", "program_id", name=op.f("uq_records_source_id_reference_program_id")
        ),
    )
    op.create_index(
        "ix_records_held", "records", ["program_id", "id"], unique=False, postgresql_where=sa.text("state = 'held'")
    )
    op.create_index("ix_records_person", "records", ["person_id", "id"], unique=False)
    op.create_index(
        "ix_records_primary",
        "records",
        ["primary_id"],
        unique=False,
        postgresql_where=sa.text("primary_id is not null"),
    )
    op.create_index("ix_records_program_day", "records", ["program_id", "local_date"], unique=False)


def _shops() -> None:
    """Tables: shops, appeals."""
    op.create_table(
        "shops",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["program_id", "merchant_id"],
            ["merchants.program_id", "merchants.id"],
            name=op.f("fk_shops_program_id_merchant_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shops")),
        sa.UniqueConstraint("merchant_id", "name", name=op.f("uq_shops_merchant_id_name")),
        sa.UniqueConstraint("program_id", "id", name=op.f("uq_shops_program_id_id")),
    )
    op.create_table(
        "appeals",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("record_id", sa.BigInteger(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answer_due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_by", sa.Text(), nullable=True),
        sa.CheckConstraint("state in ('open','granted','refused')", name=op.f("ck_appeals_state")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_appeals_person_id")),
        sa.ForeignKeyConstraint(["record_id"], ["records.id"], name=op.f("fk_appeals_record_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appeals")),
    )
    op.create_index(
        "uq_appeals_open", "appeals", ["record_id"], unique=True, postgresql_where=sa.text("state = 'open'")
    )


def _awards() -> None:
    """Table: awards."""
    op.create_table(
        "awards",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("wallet_id", sa.BigInteger(), nullable=False),
        sa.Column("record_id", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("source_ref", sa.Text(), nullable=False),
        sa.Column("terms_id", sa.BigInteger(), nullable=False),
        sa.Column("budget_id", sa.BigInteger(), nullable=True),
        sa.Column("share_bps", sa.BigInteger(), nullable=False),
        sa.Column("boost_bps", sa.BigInteger(), nullable=False),
        sa.Column("earned_micro", sa.BigInteger(), nullable=False),
        sa.Column("cut_micro", sa.BigInteger(), nullable=False),
        sa.Column("cut_by", sa.Text(), nullable=True),
        sa.Column("carry_before", sa.BigInteger(), nullable=False),
        sa.Column("carry_after", sa.BigInteger(), nullable=False),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("lot_id", sa.BigInteger(), nullable=True),
        sa.Column("transfer_id", sa.BigInteger(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state in ('paid','pending','nothing','reversed','cancelled')", name=op.f("ck_awards_state")
        ),
        sa.CheckConstraint(
            "carry_before + earned_micro - cut_micro = credits * 1000000 + carry_after", name=op.f("ck_awards_adds_up")
        ),
        sa.CheckConstraint("credits >= 0", name=op.f("ck_awards_credits")),
        sa.CheckConstraint("earned_micro >= 0 and cut_micro between 0 and earned_micro", name=op.f("ck_awards_cut")),
        sa.ForeignKeyConstraint(["lot_id"], ["lots.id"], name=op.f("fk_awards_lot_id")),
        sa.ForeignKeyConstraint(
            ["program_id", "budget_id"],
            ["budgets.program_id", "budgets.id"],
            name=op.f("fk_awards_program_id_budget_id"),
        ),
        sa.ForeignKeyConstraint(["terms_id"], ["terms.id"], name=op.f("fk_awards_terms_id")),
        sa.ForeignKeyConstraint(["transfer_id"], ["transfers.id"], name=op.f("fk_awards_transfer_id")),
        sa.ForeignKeyConstraint(
            ["wallet_id", "person_id", "program_id"],
            ["wallets.id", "wallets.person_id", "wallets.program_id"],
            name=op.f("fk_awards_wallet_id_person_id_program_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_awards")),
        sa.UniqueConstraint("reason", "source_ref", name=op.f("uq_awards_reason_source_ref")),
    )
    op.create_index(
        "ix_awards_pending", "awards", ["budget_id", "id"], unique=False, postgresql_where=sa.text("state = 'pending'")
    )
    op.create_index("ix_awards_record", "awards", ["record_id"], unique=False)
    op.create_index("ix_awards_wallet", "awards", ["wallet_id", "id"], unique=False)


def _budget_slices() -> None:
    """Tables: budget_slices, claims, code_fundings."""
    op.create_table(
        "budget_slices",
        sa.Column("budget_id", sa.BigInteger(), nullable=False),
        sa.Column("slice_no", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_budget_slices_account_id")),
        sa.ForeignKeyConstraint(["budget_id"], ["budgets.id"], name=op.f("fk_budget_slices_budget_id")),
        sa.PrimaryKeyConstraint("budget_id", "slice_no", name=op.f("pk_budget_slices")),
        sa.UniqueConstraint("account_id", name=op.f("uq_budget_slices_account_id")),
    )
    op.create_table(
        "claims",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("record_id", sa.BigInteger(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject_key", sa.BigInteger(), nullable=False),
        sa.Column("during", postgresql.TSTZRANGE(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("live", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        postgresql.ExcludeConstraint(
            (sa.text("int8range(subject_key, subject_key, '[]')"), "&&"),
            (sa.column("during"), "&&"),
            where=sa.text("live"),
            using="gist",
            name="ex_claims_one_act_one_claim",
        ),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_claims_person_id")),
        sa.ForeignKeyConstraint(["record_id"], ["records.id"], name=op.f("fk_claims_record_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_claims")),
    )
    op.create_index("ix_claims_person", "claims", ["person_id"], unique=False)
    op.create_index("ix_claims_record", "claims", ["record_id"], unique=False)
    op.create_table(
        "code_fundings",
        sa.Column("code_id", sa.BigInteger(), nullable=False),
        sa.Column("lot_id", sa.BigInteger(), nullable=False),
        sa.Column("budget_id", sa.BigInteger(), nullable=False),
        sa.Column("price_fen", sa.BigInteger(), nullable=False),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.Column("draw_fen", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("credits > 0 and draw_fen >= 0", name=op.f("ck_code_fundings_amounts")),
        sa.CheckConstraint("draw_fen * 1000 <= credits * price_fen", name=op.f("ck_code_fundings_covered")),
        sa.ForeignKeyConstraint(["budget_id"], ["budgets.id"], name=op.f("fk_code_fundings_budget_id")),
        sa.ForeignKeyConstraint(["code_id"], ["codes.id"], name=op.f("fk_code_fundings_code_id")),
        sa.ForeignKeyConstraint(["lot_id"], ["lots.id"], name=op.f("fk_code_fundings_lot_id")),
        sa.PrimaryKeyConstraint("code_id", "lot_id", name=op.f("pk_code_fundings")),
    )


def _conflicting_records() -> None:
    """Tables: conflicting_records, deposits, import_rows, item_purchases."""
    op.create_table(
        "conflicting_records",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("record_id", sa.BigInteger(), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("facts_hash", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["record_id"], ["records.id"], name=op.f("fk_conflicting_records_record_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conflicting_records")),
        sa.UniqueConstraint("record_id", "facts_hash", name=op.f("uq_conflicting_records_record_id_facts_hash")),
    )
    op.create_table(
        "deposits",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("budget_id", sa.BigInteger(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("fen", sa.BigInteger(), nullable=False),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.Column("approval_id", sa.BigInteger(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("credits >= 0", name=op.f("ck_deposits_credits")),
        sa.CheckConstraint("fen > 0", name=op.f("ck_deposits_fen")),
        sa.ForeignKeyConstraint(["approval_id"], ["approvals.id"], name=op.f("fk_deposits_approval_id")),
        sa.ForeignKeyConstraint(["budget_id"], ["budgets.id"], name=op.f("fk_deposits_budget_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deposits")),
        sa.UniqueConstraint("budget_id", "reference", name=op.f("uq_deposits_budget_id_reference")),
    )
    op.create_table(
        "import_rows",
        sa.Column("import_id", sa.BigInteger(), nullable=False),
        sa.Column("row_no", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("words_zh", sa.Text(), nullable=True),
        sa.Column("words_en", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("record_id", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["import_id"], ["imports.id"], name=op.f("fk_import_rows_import_id")),
        sa.ForeignKeyConstraint(["record_id"], ["records.id"], name=op.f("fk_import_rows_record_id")),
        sa.PrimaryKeyConstraint("import_id", "row_no", name=op.f("pk_import_rows")),
    )
    op.create_table(
        "item_purchases",
        sa.Column("item_id", sa.BigInteger(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("pieces", sa.BigInteger(), nullable=False),
        sa.Column("most", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "pieces >= 0 and (most is null or pieces <= most)", name=op.f("ck_item_purchases_within_limit")
        ),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name=op.f("fk_item_purchases_item_id")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_item_purchases_person_id")),
        sa.PrimaryKeyConstraint("item_id", "person_id", name=op.f("pk_item_purchases")),
    )


def _lot_uses() -> None:
    """Tables: lot_uses, observations."""
    op.create_table(
        "lot_uses",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("lot_id", sa.BigInteger(), nullable=False),
        sa.Column("transfer_id", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind in ('spend','expire','reverse','return')", name=op.f("ck_lot_uses_kind")),
        sa.CheckConstraint("amount <> 0", name=op.f("ck_lot_uses_amount")),
        sa.ForeignKeyConstraint(["lot_id"], ["lots.id"], name=op.f("fk_lot_uses_lot_id")),
        sa.ForeignKeyConstraint(["transfer_id"], ["transfers.id"], name=op.f("fk_lot_uses_transfer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lot_uses")),
    )
    op.create_index("ix_lot_uses_transfer", "lot_uses", ["transfer_id"], unique=False)
    op.create_index(
        "uq_lot_uses_expire", "lot_uses", ["lot_id"], unique=True, postgresql_where=sa.text("kind = 'expire'")
    )
    op.create_table(
        "observations",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("scenario_id", sa.BigInteger(), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("subject", sa.Text(), server_default="", nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("fact", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_value", sa.Text(), nullable=True),
        sa.Column("revision", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("record_id", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_observations_person_id")),
        sa.ForeignKeyConstraint(["program_id"], ["programs.id"], name=op.f("fk_observations_program_id")),
        sa.ForeignKeyConstraint(["record_id"], ["records.id"], name=op.f("fk_observations_record_id")),
        sa.ForeignKeyConstraint(["scenario_id"], ["scenarios.id"], name=op.f("fk_observations_scenario_id")),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_observations_source_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_observations")),
        sa.UniqueConstraint(
            "scenario_id",
            "source_id",
            "person_id",
            "subject",
            "day",
            name=op.f("uq_observations_scenario_id_source_id_person_id_subject_day"),
        ),
    )
    op.create_index(
        "ix_observations_open",
        "observations",
        ["day"],
        unique=False,
        postgresql_where=sa.text("settled_value is distinct from value"),
    )


def _orders() -> None:
    """Table: orders."""
    op.create_table(
        "orders",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("wallet_id", sa.BigInteger(), nullable=False),
        sa.Column("item_id", sa.BigInteger(), nullable=False),
        sa.Column("client_ref", sa.Text(), nullable=False),
        sa.Column("body_hash", sa.LargeBinary(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("transfer_id", sa.BigInteger(), nullable=False),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("fulfilled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state in ('paid','fulfilled','cancelled','refunded')", name=op.f("ck_orders_state")),
        sa.CheckConstraint("credits > 0", name=op.f("ck_orders_credits")),
        sa.CheckConstraint("quantity between 1 and 99", name=op.f("ck_orders_quantity")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_orders_person_id")),
        sa.ForeignKeyConstraint(
            ["program_id", "item_id"], ["items.program_id", "items.id"], name=op.f("fk_orders_program_id_item_id")
        ),
        sa.ForeignKeyConstraint(["program_id"], ["programs.id"], name=op.f("fk_orders_program_id")),
        sa.ForeignKeyConstraint(["transfer_id"], ["transfers.id"], name=op.f("fk_orders_transfer_id")),
        sa.ForeignKeyConstraint(["wallet_id"], ["wallets.id"], name=op.f("fk_orders_wallet_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
        sa.UniqueConstraint("person_id", "client_ref", name=op.f("uq_orders_person_id_client_ref")),
        sa.UniqueConstraint("program_id", "id", name=op.f("uq_orders_program_id_id")),
    )
    op.create_index("ix_orders_item", "orders", ["item_id"], unique=False)


def _redemptions() -> None:
    """Tables: redemptions, reductions."""
    op.create_table(
        "redemptions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("code_id", sa.BigInteger(), nullable=False),
        sa.Column("shop_id", sa.BigInteger(), nullable=False),
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("staff_person_id", sa.BigInteger(), nullable=False),
        sa.Column("scan_id", sa.Text(), nullable=False),
        sa.Column("owed_fen", sa.BigInteger(), nullable=False),
        sa.Column("transfer_id", sa.BigInteger(), nullable=False),
        sa.Column("redeemed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("undo_transfer_id", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["merchant_id"], ["merchants.id"], name=op.f("fk_redemptions_merchant_id")),
        sa.ForeignKeyConstraint(
            ["program_id", "code_id"], ["codes.program_id", "codes.id"], name=op.f("fk_redemptions_program_id_code_id")
        ),
        sa.ForeignKeyConstraint(
            ["program_id", "shop_id"], ["shops.program_id", "shops.id"], name=op.f("fk_redemptions_program_id_shop_id")
        ),
        sa.ForeignKeyConstraint(["staff_person_id"], ["persons.id"], name=op.f("fk_redemptions_staff_person_id")),
        sa.ForeignKeyConstraint(["transfer_id"], ["transfers.id"], name=op.f("fk_redemptions_transfer_id")),
        sa.ForeignKeyConstraint(["undo_transfer_id"], ["transfers.id"], name=op.f("fk_redemptions_undo_transfer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_redemptions")),
        sa.UniqueConstraint("staff_person_id", "scan_id", name=op.f("uq_redemptions_staff_person_id_scan_id")),
    )
    op.create_index("ix_redemptions_shop", "redemptions", ["shop_id", "redeemed_at"], unique=False)
    op.create_index(
        "uq_redemptions_live", "redemptions", ["code_id"], unique=True, postgresql_where=sa.text("undone_at is null")
    )
    op.create_table(
        "reductions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("record_id", sa.BigInteger(), nullable=False),
        sa.Column("version_id", sa.BigInteger(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("inputs", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("parameters", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("raw_mg", sa.BigInteger(), nullable=False),
        sa.Column("counted_mg", sa.BigInteger(), nullable=False),
        sa.Column("credits_micro", sa.BigInteger(), nullable=False),
        sa.Column("transfer_id", sa.BigInteger(), nullable=True),
        sa.Column("reversed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("counted_mg = greatest(raw_mg, 0)", name=op.f("ck_reductions_counted")),
        sa.CheckConstraint("credits_micro = 0 or raw_mg = 0", name=op.f("ck_reductions_grams_or_credits")),
        sa.CheckConstraint("credits_micro >= 0", name=op.f("ck_reductions_credits_micro")),
        sa.ForeignKeyConstraint(["record_id"], ["records.id"], name=op.f("fk_reductions_record_id")),
        sa.ForeignKeyConstraint(["transfer_id"], ["transfers.id"], name=op.f("fk_reductions_transfer_id")),
        sa.ForeignKeyConstraint(["version_id"], ["methodology_versions.id"], name=op.f("fk_reductions_version_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reductions")),
        sa.UniqueConstraint("record_id", name=op.f("uq_reductions_record_id")),
    )


def _staff() -> None:
    """Table: staff."""
    op.create_table(
        "staff",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("shop_id", sa.BigInteger(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("active_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("active_until", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("role in ('clerk','owner')", name=op.f("ck_staff_role")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_staff_person_id")),
        sa.ForeignKeyConstraint(["shop_id"], ["shops.id"], name=op.f("fk_staff_shop_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staff")),
    )
    op.create_index("ix_staff_person", "staff", ["person_id"], unique=False)
    op.create_index(
        "uq_staff_active",
        "staff",
        ["shop_id", "person_id"],
        unique=True,
        postgresql_where=sa.text("active_until is null"),
    )
