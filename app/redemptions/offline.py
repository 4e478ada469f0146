"""Scans without a network: a till signs what it has seen and sends the list later. Arrival decides.

Only pictures inside their step at the claimed moment, not older than 48 hours, at most so many per shop and day.
Whoever uploads second finds the code used: that line goes to dispute, unpaid (faults-and-bad-input 2.3).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app import vault
from app.db import run, session
from app.errors import Kind, Refusal, declare
from app.redemptions import picture
from app.redemptions.models import OfflineList, ShopDevice
from app.redemptions.scanning import CODE_USED, redeem

SEALED = "shop-device"
KEY_LASTS = timedelta(days=7)
OLDEST = timedelta(hours=48)
FUTURE = timedelta(minutes=2)
MOST_A_DAY = 50
MOST_LINES = 200

DEVICE_ENDED = declare(
    "device_ended",
    Kind.CONFLICT,
    zh="离线设备密钥不存在或已到期，请联网后重新申请。",
    en="This device's key is over, or not of this shop. Ask for a new one while online.",
)
LIST_FORGED = declare(
    "list_forged",
    Kind.NOT_ALLOWED,
    zh="离线清单签名不符，未作任何核销。",
    en="The list's signature doesn't fit, so nothing of it was redeemed.",
)


@dataclass(frozen=True, slots=True)
class Line:
    """One scan: its place in the device's own count, the picture's text, how many uses, and when it was seen."""

    seq: int
    code: str
    quantity: int
    seen_at: datetime

    def written(self) -> str:
        """The line as it is signed."""
        return f"{self.seq}\t{self.code}\t{self.quantity}\t{self.seen_at.isoformat()}"


def device(*, shop_id: int, person_id: int, at: datetime) -> tuple[ShopDevice, str]:
    """A key for a clerk's device, while online; shown this once, good for a week."""
    key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    made = ShopDevice(
        shop_id=shop_id,
        person_id=person_id,
        key_sealed=vault.encrypt(SEALED, key),
        made_at=at,
        ends_at=at + KEY_LASTS,
        last_seq=0,
    )
    session().add(made)
    session().flush()
    return made, key


def signature(key: str, device_id: int, lines: Sequence[Line]) -> str:
    """HMAC-SHA-256 over the device and its lines, in hex: what the device computes, and we again."""
    text = "\n".join(["diandi-offline/1", str(device_id), *(line.written() for line in lines)])
    return hmac.digest(key.encode(), text.encode(), "sha256").hex()


def upload(
    *, device_id: int, shop_id: int, person_id: int, lines: Sequence[Line], signed: str, at: datetime
) -> list[dict[str, Any]]:
    """Judge a list line by line; answers for each what became of it. The same list twice is the same answer.

    Outcomes: ``redeemed``, ``dispute`` (somebody else's scan arrived first), ``gap`` beside a line before which numbers
    are missing, or the code of a refusal. Raises DEVICE_ENDED, LIST_FORGED. Locks: device, codes, ledger accounts.
    """
    found = session().get(ShopDevice, device_id, with_for_update=True)
    if found is None or found.shop_id != shop_id or found.person_id != person_id or at > found.ends_at + OLDEST:
        raise DEVICE_ENDED()
    wanted = signature(vault.decrypt(SEALED, bytes(found.key_sealed)), device_id, lines)
    if not vault.same(wanted, signed.lower()):
        raise LIST_FORGED()
    digest = hashlib.sha256(wanted.encode()).digest()
    known = run(
        "select answer from offline_lists where device_id = %(d)s and digest = %(h)s", {"d": device_id, "h": digest}
    )
    if known:
        return list(known[0].answer)
    kept = OfflineList(device_id=device_id, digest=digest, answer=[], received_at=at)
    session().add(kept)
    session().flush()
    answers, before = [], None
    for line in lines:
        answers.append(_line(found, kept.id, line, before, at))
        before = line
    kept.answer = answers
    session().flush()
    return answers


def _line(found: ShopDevice, list_id: int, line: Line, before: Line | None, at: datetime) -> dict[str, Any]:
    answer: dict[str, Any] = {"seq": line.seq}
    content = hashlib.sha256(line.written().encode()).digest()
    known = run(
        "select content_hash, outcome, redemption_id from offline_lines where device_id = %(d)s and seq = %(s)s",
        {"d": found.id, "s": line.seq},
    )
    if known:
        same = bytes(known[0].content_hash) == content
        return answer | {"outcome": known[0].outcome if same else "sequence_conflict"}
    if line.seq > found.last_seq + 1:
        answer["gap"] = [found.last_seq + 1, line.seq - 1]
    outcome = _unfit(found, line, before, at)
    redemption_id = None
    if outcome is None:
        outcome, redemption_id = _redeemed(found, line, at)
    run(_KEEP, {
        "device": found.id, "seq": line.seq, "list": list_id, "shop": found.shop_id, "hash": content,
        "seen": line.seen_at, "outcome": outcome, "redemption": redemption_id,
    })  # fmt: skip
    found.last_seq = max(found.last_seq, line.seq)
    session().flush()
    return answer | {"outcome": outcome} | ({"redemption_id": str(redemption_id)} if redemption_id else {})


_KEEP = """
    insert into offline_lines (device_id, seq, list_id, shop_id, content_hash, seen_at, outcome, redemption_id)
    values (%(device)s, %(seq)s, %(list)s, %(shop)s, %(hash)s, %(seen)s, %(outcome)s, %(redemption)s)
"""
_TODAY = """
    select count(*) as n from offline_lines where shop_id = %(shop)s and outcome = 'redeemed'
      and (seen_at at time zone 'Asia/Shanghai')::date = (%(seen)s::timestamptz at time zone 'Asia/Shanghai')::date
"""


def _unfit(found: ShopDevice, line: Line, before: Line | None, at: datetime) -> str | None:
    """Why a line is not looked at any further."""
    if line.seq <= found.last_seq or (before is not None and line.seen_at < before.seen_at):
        return "out_of_order"
    if line.seen_at > at + FUTURE or line.seen_at < found.made_at:
        return "time_impossible"
    if line.seen_at < at - OLDEST or line.seen_at > found.ends_at:
        return "too_old"
    if picture.read(line.code) is None:
        return "code_not_dynamic"
    run("select id from shops where id = %(s)s for no key update", {"s": found.shop_id})  # the day's number, exactly
    if run(_TODAY, {"shop": found.shop_id, "seen": line.seen_at})[0].n >= MOST_A_DAY:
        return "offline_limit"
    return None


def _redeemed(found: ShopDevice, line: Line, at: datetime) -> tuple[str, int | None]:
    try:
        verdict = redeem(
            typed=line.code,
            shop_id=found.shop_id,
            staff_person_id=found.person_id,
            scan_id=f"offline:{found.id}:{line.seq}",
            quantity=line.quantity,
            scanned_at=line.seen_at,
            at=at,
        )
    except Refusal as refusal:
        return ("dispute" if refusal.code == CODE_USED.code else refusal.code), None
    return "redeemed", verdict.redemption_id


_DISPUTES = """
    select l.device_id, l.seq, l.seen_at, o.received_at from offline_lines l join offline_lists o on o.id = l.list_id
    where l.shop_id = %(shop)s and l.outcome = 'dispute' order by o.received_at desc, l.seq limit 100
"""


def disputes(shop_id: int) -> list[Any]:
    """Lines that lost against another's scan, newest first."""
    return run(_DISPUTES, {"shop": shop_id})
