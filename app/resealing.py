"""Change the secrets: everything that is sealed, opened with the old key and sealed with the new one, and hashed anew
where a keyed hash stands beside it.

Runs beside the living product, in small transactions, and may be repeated: what hangs on the new keys is skipped.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.exceptions import InvalidTag

from app import vault
from app.db import run

BATCH = 500


@dataclass(frozen=True, slots=True)
class Column:
    """One sealed column and the purpose it is sealed for. A feature that seals has a line here.

    ``key``: the table's whole-numbered key. ``hashed``: the column beside it with the keyed hash of the same value, and
    that hash's purpose (vault.MOVING).
    """

    table: str
    column: str
    purpose: str
    hashed: tuple[str, str] | None = None
    key: str = "id"


COLUMNS = (
    Column("wechat_identities", "session_key_sealed", "wechat-session-key"),
    Column("phones", "number_sealed", "phone-number", ("number_hash", "phone-number-hash")),
    Column("partner_keys", "secret_sealed", "partner-key"),
    Column("merchant_applications", "phone_sealed", "merchant-phone"),
    Column("shop_devices", "key_sealed", "shop-device"),
    Column("codes", "code_sealed", "redemption-code", ("code_hash", "redemption-code")),
    Column("pool_codes", "code_sealed", "pool-code"),
    Column("addresses", "sealed", "address"),
    Column("parcels", "address_sealed", "address", key="order_id"),
    Column("invoice_requests", "sealed", "invoice", key="order_id"),
    Column("payout_accounts", "sealed", "payout-account"),
    Column("meeting_links", "token_sealed", "tencent-meeting", key="program_id"),
    Column("meeting_links", "aes_key_sealed", "tencent-meeting", key="program_id"),
)


@dataclass(slots=True)
class Resealed:
    """One column: rows read, sealed anew, and those that no known secret opens."""

    read: int = 0
    changed: int = 0
    lost: int = 0


def reseal(column: Column, *, after: int, into: Resealed, dry_run: bool = False) -> int | None:
    """One batch behind an id, in the running transaction; answers the last id, None at the end."""
    table, key, name, hashed = column.table, column.key, column.column, column.hashed
    rows = run(
        f"select {key} as id, {name} as sealed, {hashed[0] if hashed else 'null::bytea'} as hashed from {table}"  # noqa: S608
        f" where {key} > %(after)s and {name} is not null order by {key} limit %(limit)s for no key update",
        {"after": after, "limit": BATCH},
    )
    for row in rows:
        into.read += 1
        try:
            fresh = _fresh(column, bytes(row.sealed), None if row.hashed is None else bytes(row.hashed))
        except InvalidTag:
            into.lost += 1
            continue
        if fresh is None:
            continue
        into.changed += 1
        if not dry_run:
            also = f", {hashed[0]} = %(hashed)s" if hashed else ""
            run(
                f"update {table} set {name} = %(sealed)s{also} where {key} = %(id)s",  # noqa: S608
                {"sealed": fresh[0], "hashed": fresh[1], "id": row.id},
            )
    return rows[-1].id if rows else None


def _fresh(column: Column, sealed: bytes, hashed: bytes | None) -> tuple[bytes, bytes | None] | None:
    """A value under the present keys; None when it is already. Raises InvalidTag when no known secret opens it."""
    current = vault.sealed_now(column.purpose, sealed)
    if current and (column.hashed is None or not vault.changing()):
        return None
    value = vault.decrypt(column.purpose, sealed)
    fresh = None if column.hashed is None else vault.keyed_hash(column.hashed[1], value)
    if current and fresh == hashed:
        return None
    return vault.encrypt(column.purpose, value), fresh
