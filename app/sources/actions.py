"""Register sources, issue and check partner keys, bind partner accounts to persons."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, text, update
from sqlalchemy.dialects.postgresql import insert

from app import vault
from app.db import connection, session
from app.errors import NOT_FOUND, Kind, declare
from app.sources.models import AccountBinding, Nonce, PartnerKey, Source

CLOCK_WINDOW = timedelta(seconds=300)
NONCE_KEPT = timedelta(seconds=900)
SEALED = "partner-key"
ACCOUNT = "partner-account"

UNKNOWN_KEY = declare(
    "unknown_key",
    Kind.UNAUTHENTICATED,
    zh="应用编号或密钥编号无效、已停用或已过期。请检查 X-App-Id 与 X-Key-Id。",
    en="The app or key is unknown, paused or expired. Check X-App-Id and X-Key-Id.",
)
BAD_SIGNATURE = declare(
    "bad_signature",
    Kind.UNAUTHENTICATED,
    zh="签名错误。请按文档对原始请求体重新计算，可用 /open/v1/self-test 核对。",
    en="The signature is wrong. Compute it over the raw body as documented; /open/v1/self-test shows our string.",
)
STALE_TIMESTAMP = declare(
    "stale_timestamp",
    Kind.UNAUTHENTICATED,
    zh="时间戳与服务器时间相差超过 300 秒。请校准时钟后重新签名发送。",
    en="The timestamp is more than 300 seconds off our clock. Set your clock and sign again.",
)
NONCE_REUSED = declare(
    "nonce_reused",
    Kind.UNAUTHENTICATED,
    zh="随机串已使用过。重发请更换随机串和时间戳，记录编号保持不变即可。",
    en="This nonce was used before. To repeat, use a new nonce and timestamp and the same record_id.",
)
ACCOUNT_TAKEN = declare(
    "account_taken",
    Kind.CONFLICT,
    zh="该账号已被其他人绑定。如属于您，请联系客服核实。",
    en="This account is bound to somebody else. Contact support if it is yours.",
)


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key; the secret is shown this once."""

    app_id: str
    key_id: str
    secret: str


def register(*, program_id: int, code: str, kind: str, name: str, test_mode: bool = False) -> Source:
    """The source of this code in a program, made when there is none. Partners get an app id."""
    query = select(Source).where(Source.program_id == program_id, Source.code == code)
    found = session().scalars(query).first()
    if found is None:
        app_id = f"app-{secrets.token_hex(6)}" if kind == "partner" else None
        found = Source(
            program_id=program_id, code=code, kind=kind, name=name, app_id=app_id, test_mode=test_mode, state="active"
        )
        session().add(found)
        session().flush()
    return found


def issue_key(*, source: Source, at: datetime, secret: str | None = None, key_id: str | None = None) -> IssuedKey:
    """Give a partner a new signing key; older ones stay valid until revoked, so that keys can be rotated."""
    secret = secret or secrets.token_hex(32)
    key_id = key_id or f"k{at:%Y%m%d}-{secrets.token_hex(3)}"
    sealed = vault.encrypt(SEALED, secret)
    session().add(PartnerKey(source_id=source.id, key_id=key_id, secret_sealed=sealed, valid_from=at))
    session().flush()
    return IssuedKey(source.app_id or "", key_id, secret)


def revoke_key(*, source: Source, key_id: str, at: datetime) -> None:
    """End a key now. Raises NOT_FOUND."""
    found = session().scalars(
        select(PartnerKey).where(PartnerKey.source_id == source.id, PartnerKey.key_id == key_id)
    ).first()  # fmt: skip
    if found is None:
        raise NOT_FOUND(key=key_id)
    found.valid_until = min(found.valid_until or at, at)
    session().flush()


def string_to_sign(*, method: str, path: str, timestamp: str, nonce: str, body: bytes) -> str:
    """What a partner signs: method, path without query, timestamp, nonce, hex SHA-256 of the body."""
    return "\n".join((method.upper(), path, timestamp, nonce, hashlib.sha256(body).hexdigest()))


def verify(
    *, app_id: str, key_id: str, timestamp: str, nonce: str, signature: str, method: str, path: str, body: bytes,
    at: datetime,
) -> Any:  # fmt: skip
    """Check a signed push in the stated order and spend its nonce; answers the source.

    Order: key known, clock, signature over the raw bytes in constant time, nonce. Raises UNKNOWN_KEY, STALE_TIMESTAMP,
    BAD_SIGNATURE or NONCE_REUSED. The nonce is spent in the running transaction.
    """
    key = _key(app_id, key_id, at)
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise STALE_TIMESTAMP(server_time=str(int(at.timestamp())))
    if abs(int(at.timestamp()) - int(timestamp)) > CLOCK_WINDOW.total_seconds():
        raise STALE_TIMESTAMP(server_time=str(int(at.timestamp())))
    signed = string_to_sign(method=method, path=path, timestamp=timestamp, nonce=nonce, body=body)
    secret = vault.decrypt(SEALED, bytes(key.secret_sealed))
    wanted = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(wanted.encode(), signature.encode("utf-8", "replace")):
        raise BAD_SIGNATURE()
    if not 1 <= len(nonce) <= 64:
        raise NONCE_REUSED()
    spent = insert(Nonce).values(source_id=key.source_id, nonce=nonce, used_at=at).on_conflict_do_nothing()
    if connection().execute(spent.returning(Nonce.nonce)).first() is None:
        raise NONCE_REUSED()
    return key


_KEY = text(
    """
    select s.id as source_id, s.program_id, s.code, s.test_mode, k.id as key_row, k.secret_sealed
    from sources s join partner_keys k on k.source_id = s.id
    where s.app_id = :app and k.key_id = :key and s.state = 'active'
      and k.valid_from <= :at and (k.valid_until is null or k.valid_until > :at)
    """
)


def _key(app_id: str, key_id: str, at: datetime) -> Any:
    found = connection().execute(_KEY, {"app": app_id, "key": key_id, "at": at}).first()
    if found is None:
        raise UNKNOWN_KEY()
    return found


def purge_nonces(*, at: datetime) -> int:
    """Forget nonces whose time is over; a message that old is refused by its timestamp."""
    return int(connection().execute(delete(Nonce).where(Nonce.used_at < at - NONCE_KEPT)).rowcount)


def account_hash(source_id: int, account: str) -> bytes:
    """The keyed hash under which a partner's account is kept."""
    return vault.keyed_hash(ACCOUNT, f"{source_id}:{account.strip().lower()}")


def bind_account(*, source_id: int, person_id: int, account: str, at: datetime) -> AccountBinding:
    """Bind a partner's account (card number, ride-code account or its hash) to a person. Raises ACCOUNT_TAKEN."""
    hashed = account_hash(source_id, account)
    live = select(AccountBinding).where(
        AccountBinding.source_id == source_id,
        AccountBinding.account_hash == hashed,
        AccountBinding.unbound_at.is_(None),
    )
    found = session().scalars(live).first()
    if found is None:
        row = insert(AccountBinding).values(
            source_id=source_id, account_hash=hashed, hint=account.strip()[-4:], person_id=person_id, bound_at=at
        )
        session().execute(row.on_conflict_do_nothing())
        found = session().scalars(live).one()
    if found.person_id != person_id:
        raise ACCOUNT_TAKEN()
    return found


def unbind_account(*, binding_id: int, person_id: int, at: datetime) -> None:
    """End a binding; rides after this moment are not the person's any more. Raises NOT_FOUND."""
    mine = (AccountBinding.id == binding_id, AccountBinding.person_id == person_id)
    if session().scalars(select(AccountBinding.id).where(*mine)).first() is None:
        raise NOT_FOUND(binding=str(binding_id))
    session().execute(update(AccountBinding).where(*mine, AccountBinding.unbound_at.is_(None)).values(unbound_at=at))
