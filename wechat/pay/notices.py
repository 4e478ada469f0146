"""Notices of payment and refund: verified on the raw bytes, then opened, then read. In this order only.

The edge hands over the bytes as they came (``request.get_data()``): a re-serialised object has another signature.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from wechat.pay.errors import NoticeRefused, Untrusted
from wechat.pay.facts import Malformed, Refund, Transaction, parse_time, refund_of, transaction_of
from wechat.pay.keys import KeyRing, decrypt
from wechat.pay.signing import verify

LARGEST_BYTES = 64 * 1024
ALGORITHM = "AEAD_AES_256_GCM"
NONCE_BYTES = 12
LONGEST_ID = 64
PAID = "TRANSACTION.SUCCESS"
REFUNDS = ("REFUND.SUCCESS", "REFUND.ABNORMAL", "REFUND.CLOSED")


@dataclass(frozen=True, slots=True)
class Notice:
    """One genuine notice. ``id`` stays the same when it is sent again; keep it once, settle once.

    ``resource`` is a Transaction for ``TRANSACTION.SUCCESS``, a Refund for the three ``REFUND.…``, and the plain object
    for an event that we don't know: store it and answer success, else it is repeated 15 times.
    """

    id: str
    event_type: str
    created_at: datetime
    resource: Transaction | Refund | dict[str, Any] = field(repr=False)


def open_notice(headers: Mapping[str, str], raw: bytes, *, keys: KeyRing, apiv3_key: str, now: float) -> Notice:
    """Verify, decrypt and read a notice; ``now`` is seconds since 1970.

    Raises NoticeRefused. 413 ``too_large``; 401 with the reasons of ``signing.verify``; else what ``read_notice`` does.
    """
    if len(raw) > LARGEST_BYTES:
        raise NoticeRefused("too_large", status=413)
    try:
        verify(headers, raw, keys=keys, now=now)
    except Untrusted as error:
        raise NoticeRefused(error.reason) from None
    return read_notice(raw, apiv3_key=apiv3_key)


def read_notice(raw: bytes, *, apiv3_key: str) -> Notice:
    """Read a notice whose signature was found good, now or when it came.

    Raises NoticeRefused with 400 (``is_genuine``): ``json``, ``envelope``, ``algorithm``, ``undecipherable`` (our APIv3
    key is another), ``resource`` (not as described). Keep it and read it again once that is mended.
    """
    said = _json_object(raw)
    if said is None:
        raise NoticeRefused("json", status=400)
    notice_id, event_type, created_at = _envelope(said)
    content = _opened(said, apiv3_key=apiv3_key, notice_id=notice_id)
    try:
        resource = _resource(event_type, content)
    except Malformed:
        raise NoticeRefused("resource", status=400, notice_id=notice_id) from None
    return Notice(notice_id, event_type, created_at, resource)


def _envelope(said: dict[str, Any]) -> tuple[str, str, datetime]:
    notice_id, event_type, created = said.get("id"), said.get("event_type"), said.get("create_time")
    texts = all(isinstance(value, str) and 0 < len(value) <= LONGEST_ID for value in (notice_id, event_type, created))
    try:
        if texts:
            return str(notice_id), str(event_type), parse_time(str(created))
    except ValueError:
        pass
    raise NoticeRefused("envelope", status=400)


def _opened(said: dict[str, Any], *, apiv3_key: str, notice_id: str) -> dict[str, Any]:
    sealed = said.get("resource")
    if not isinstance(sealed, dict):
        raise NoticeRefused("envelope", status=400, notice_id=notice_id)
    if sealed.get("algorithm") != ALGORITHM:
        raise NoticeRefused("algorithm", status=400, notice_id=notice_id)
    nonce, ciphertext, more = sealed.get("nonce"), sealed.get("ciphertext"), sealed.get("associated_data") or ""
    if not (isinstance(nonce, str) and isinstance(ciphertext, str) and isinstance(more, str)):
        raise NoticeRefused("envelope", status=400, notice_id=notice_id)
    plain = None
    try:
        if len(nonce) == NONCE_BYTES:
            plain = decrypt(apiv3_key, nonce=nonce, associated_data=more, ciphertext=ciphertext)
    except ValueError:
        pass
    if plain is None:
        raise NoticeRefused("undecipherable", status=400, notice_id=notice_id)
    content = _json_object(plain)
    if content is None:
        raise NoticeRefused("resource", status=400, notice_id=notice_id)
    return content


def _resource(event_type: str, content: dict[str, Any]) -> Transaction | Refund | dict[str, Any]:
    if event_type == PAID:
        return transaction_of(content)
    if event_type in REFUNDS:
        return refund_of(content, state="refund_status")
    return content


def _json_object(raw: bytes) -> dict[str, Any] | None:
    try:
        parsed = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None
