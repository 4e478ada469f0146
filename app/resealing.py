"""Change the secret that seals: everything that is sealed, opened with the old key and sealed with the new one.

Runs beside the living product, in small transactions, and may be repeated: what is sealed with the new key is skipped.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.exceptions import InvalidTag

from app import vault
from app.db import run

BATCH = 500


@dataclass(frozen=True, slots=True)
class Column:
    """One sealed column and the purpose it is sealed for. A feature that seals has a line here."""

    table: str
    column: str
    purpose: str


COLUMNS = (
    Column("wechat_identities", "session_key_sealed", "wechat-session-key"),
    Column("phones", "number_sealed", "phone-number"),
    Column("partner_keys", "secret_sealed", "partner-key"),
    Column("codes", "code_sealed", "redemption-code"),
)


@dataclass(slots=True)
class Resealed:
    """One column: rows read, sealed anew, and those that no known secret opens."""

    read: int = 0
    changed: int = 0
    lost: int = 0


def reseal(column: Column, *, after: int, into: Resealed, dry_run: bool = False) -> int | None:
    """One batch behind an id, in the running transaction; answers the last id, None at the end."""
    name = column.column
    rows = run(
        f"select id, {name} as sealed from {column.table} where id > %(after)s and {name} is not null"  # noqa: S608
        " order by id limit %(limit)s for update",
        {"after": after, "limit": BATCH},
    )
    for row in rows:
        into.read += 1
        sealed = bytes(row.sealed)
        if vault.sealed_now(column.purpose, sealed):
            continue
        try:
            fresh = vault.encrypt(column.purpose, vault.decrypt(column.purpose, sealed))
        except InvalidTag:
            into.lost += 1
            continue
        into.changed += 1
        if not dry_run:
            run(
                f"update {column.table} set {name} = %(sealed)s where id = %(id)s",  # noqa: S608
                {"sealed": fresh, "id": row.id},
            )
    return rows[-1].id if rows else None
