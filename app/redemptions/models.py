"""Tables of redemptions: codes that a merchant scans, and the scans. One live redemption a code, whatever the race."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Text,
    Time,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column


class Code(Model):
    """A promise that a merchant fulfils. Looked up by keyed hash, shown again from its sealed form.

    ``settlement_fen``, ``cash_fen`` (both for all ``uses`` together) and the merchant are frozen here when the code is
    issued. ``how``: shown and scanned, or fulfilled by the order's own steps (``delivery``) or at once (``pool``).
    ``held``: somebody asks for the account (app/recovery), so it is neither shown nor redeemed for now.
    """

    __tablename__ = "codes"
    __table_args__ = (
        UniqueConstraint("code_hash"),
        UniqueConstraint("program_id", "id"),
        ForeignKeyConstraint(["program_id", "merchant_id"], ["merchants.program_id", "merchants.id"]),
        CheckConstraint("state in ('issued','redeemed','expired','refunded','void')", name="state"),
        CheckConstraint("valid_until > valid_from", name="validity"),
        CheckConstraint("settlement_fen >= 0", name="settlement"),
        CheckConstraint("how in ('scan','delivery','pool')", name="how"),
        CheckConstraint("uses between 1 and 100 and uses_left between 0 and uses", name="uses"),
        CheckConstraint("(state = 'redeemed') = (uses_left = 0)", name="used_up"),
        CheckConstraint("cash_fen >= 0", name="cash"),
        CheckConstraint("on_expiry in ('return','forfeit') and extend_days between 0 and 365", name="ending"),
        Index("ix_codes_order", "order_id"),
        Index("ix_codes_person", "person_id", "id"),
        Index("ix_codes_ending", "valid_until", postgresql_where=text("state = 'issued'")),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int] = mapped_column(ForeignKey("programs.id"))
    merchant_id: Mapped[int]
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    order_id: Mapped[int]
    title: Mapped[str] = mapped_column(Text)
    title_en: Mapped[str] = mapped_column(Text, server_default="")
    code_hash: Mapped[bytes] = mapped_column(LargeBinary)
    code_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    settlement_fen: Mapped[int]
    cash_fen: Mapped[int] = mapped_column(server_default=text("0"))
    how: Mapped[str] = mapped_column(Text, server_default="scan")
    uses: Mapped[int] = mapped_column(server_default=text("1"))
    uses_left: Mapped[int] = mapped_column(server_default=text("1"))
    on_expiry: Mapped[str] = mapped_column(Text, server_default="return")
    extend_days: Mapped[int] = mapped_column(server_default=text("0"))
    state: Mapped[str] = mapped_column(Text, server_default="issued")
    held: Mapped[bool] = mapped_column(server_default=text("false"))
    valid_from: Mapped[datetime]
    valid_until: Mapped[datetime]
    extended_at: Mapped[datetime | None]


class CodeFunding(Model):
    """Which budget's credits stand behind a code, and what it draws of that budget's money at redemption.

    ``credits`` were spent from a lot at ``price_fen``; ``draw_fen`` is this budget's part of the settlement price.
    """

    __tablename__ = "code_fundings"
    __table_args__ = (
        CheckConstraint("credits > 0 and draw_fen >= 0", name="amounts"),
        CheckConstraint("draw_fen * 1000 <= credits * price_fen", name="covered"),
    )

    code_id: Mapped[int] = mapped_column(ForeignKey("codes.id"), primary_key=True)
    lot_id: Mapped[int] = mapped_column(ForeignKey("lots.id"), primary_key=True)
    budget_id: Mapped[int] = mapped_column(ForeignKey("budgets.id"))
    price_fen: Mapped[int]
    credits: Mapped[int]
    draw_fen: Mapped[int]


class Redemption(Model):
    """What we owe a merchant for: one scan of a clerk, or the order's own step (no clerk, no shop).

    (staff, scan_id) is its natural key: a lost answer can be asked again. ``use_numbers`` are the code's uses that it
    spent. What accrued is ``owed_fen`` of the sponsors and ``cash_fen`` of the order's money. A held one is not settled
    before it is released. ``scanned_at`` is when an offline device saw the code.
    """

    __tablename__ = "redemptions"
    __table_args__ = (
        UniqueConstraint("staff_person_id", "scan_id"),
        Index(
            "uq_redemptions_live",
            "code_id",
            text("(use_numbers[1])"),
            unique=True,
            postgresql_where=text("undone_at is null"),
        ),
        Index("uq_redemptions_step", "code_id", "step", unique=True, postgresql_where=text("step is not null")),
        Index("uq_redemptions_by_order", "scan_id", unique=True, postgresql_where=text("staff_person_id is null")),
        ForeignKeyConstraint(["program_id", "code_id"], ["codes.program_id", "codes.id"]),
        ForeignKeyConstraint(["program_id", "shop_id"], ["shops.program_id", "shops.id"]),
        CheckConstraint("quantity > 0 and cardinality(use_numbers) = quantity", name="quantity"),
        CheckConstraint("owed_fen >= 0 and cash_fen >= 0", name="owed"),
        CheckConstraint("(staff_person_id is null) = (shop_id is null)", name="by_clerk"),
        CheckConstraint("(held_reason is null) = (held_at is null)", name="held"),
        CheckConstraint("released_at is null or held_at is not null", name="released"),
        Index("ix_redemptions_shop", "shop_id", "redeemed_at"),
        Index("ix_redemptions_merchant", "merchant_id", "redeemed_at"),
        Index("ix_redemptions_code", "code_id"),
        Index("ix_redemptions_held", "held_at", postgresql_where=text("held_at is not null and released_at is null")),
    )

    id: Mapped[int] = id_column()
    program_id: Mapped[int]
    code_id: Mapped[int]
    shop_id: Mapped[int | None]
    merchant_id: Mapped[int] = mapped_column(ForeignKey("merchants.id"))
    staff_person_id: Mapped[int | None] = mapped_column(ForeignKey("persons.id"))
    scan_id: Mapped[str] = mapped_column(Text)
    quantity: Mapped[int] = mapped_column(server_default=text("1"))
    use_numbers: Mapped[list[int]] = mapped_column(ARRAY(BigInteger), server_default=text("'{1}'"))
    owed_fen: Mapped[int]
    cash_fen: Mapped[int] = mapped_column(server_default=text("0"))
    step: Mapped[int | None]
    scanned_at: Mapped[datetime | None]
    transfer_id: Mapped[int | None] = mapped_column(ForeignKey("transfers.id"))
    redeemed_at: Mapped[datetime]
    undone_at: Mapped[datetime | None]
    undo_transfer_id: Mapped[int | None] = mapped_column(ForeignKey("transfers.id"))
    held_reason: Mapped[str | None] = mapped_column(Text)
    held_at: Mapped[datetime | None]
    released_at: Mapped[datetime | None]
    released_by: Mapped[str | None] = mapped_column(Text)


class UseTerms(Model):
    """When and where codes of an item may be used, as told before buying. No row: in all shops of the merchant, always.

    With ``group_code`` any merchant of that group redeems, and is owed for it. ``weekdays`` count from Monday (1);
    hours that end before they begin go over midnight.
    """

    __tablename__ = "use_terms"
    __table_args__ = (CheckConstraint("(opens is null) = (closes is null) and opens <> closes", name="hours"),)

    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), primary_key=True)
    group_code: Mapped[str | None] = mapped_column(Text)
    shop_ids: Mapped[list[int] | None] = mapped_column(ARRAY(BigInteger))
    weekdays: Mapped[list[int] | None] = mapped_column(ARRAY(BigInteger))
    opens: Mapped[time | None] = mapped_column(Time)
    closes: Mapped[time | None] = mapped_column(Time)
    blackout_days: Mapped[list[date]] = mapped_column(ARRAY(Date), server_default=text("'{}'"))


class ShopDay(Model):
    """How many a shop with a daily quota has redeemed on a Shanghai day; the row is the guard."""

    __tablename__ = "shop_days"
    __table_args__ = (CheckConstraint("used >= 0", name="within_quota"),)

    shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    used: Mapped[int]
    most: Mapped[int]


class CodeMove(Model):
    """A live code that another merchant honours from now on, because the first one left."""

    __tablename__ = "code_moves"

    code_id: Mapped[int] = mapped_column(ForeignKey("codes.id"), primary_key=True)
    from_merchant_id: Mapped[int] = mapped_column(ForeignKey("merchants.id"))
    to_merchant_id: Mapped[int] = mapped_column(ForeignKey("merchants.id"))
    moved_at: Mapped[datetime] = mapped_column(primary_key=True)
    moved_by: Mapped[str] = mapped_column(Text)


class ShopDevice(Model):
    """A till that may scan without a network: its key signs the lists that it sends later."""

    __tablename__ = "shop_devices"
    __table_args__ = (Index("ix_shop_devices_person", "person_id"),)

    id: Mapped[int] = id_column()
    shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    key_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    made_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    last_seq: Mapped[int] = mapped_column(server_default=text("0"))


class OfflineList(Model):
    """A signed list as it arrived, with the answer that it got; the same list again gets the same answer."""

    __tablename__ = "offline_lists"
    __table_args__ = (UniqueConstraint("device_id", "digest"),)

    id: Mapped[int] = id_column()
    device_id: Mapped[int] = mapped_column(ForeignKey("shop_devices.id"))
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    answer: Mapped[list[Any]]
    received_at: Mapped[datetime]


class OfflineLine(Model):
    """One scan without a network, and what became of it when it arrived."""

    __tablename__ = "offline_lines"
    __table_args__ = (
        CheckConstraint("(outcome = 'redeemed') = (redemption_id is not null)", name="redeemed"),
        Index("ix_offline_lines_shop", "shop_id", "seen_at"),
    )

    device_id: Mapped[int] = mapped_column(ForeignKey("shop_devices.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    list_id: Mapped[int] = mapped_column(ForeignKey("offline_lists.id"))
    shop_id: Mapped[int]
    content_hash: Mapped[bytes] = mapped_column(LargeBinary)
    seen_at: Mapped[datetime]
    outcome: Mapped[str] = mapped_column(Text)
    redemption_id: Mapped[int | None] = mapped_column(ForeignKey("redemptions.id"))
