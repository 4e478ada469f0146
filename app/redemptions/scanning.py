"""Scan codes: look, redeem, undo. One call of the database spends a code, draws the sponsors' money and accrues what we
owe the merchant (``redeem_codes`` in migrations/sql/0015_scans.sql)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from app import ledger, merchants, people
from app.db import command, read, run
from app.errors import IDEMPOTENCY_CONFLICT, NOT_FOUND, STATE_CONFLICT, Declared, Kind, Refusal, declare
from app.redemptions import picture, typed_code
from app.redemptions.issuing import CODE_EXPIRED, standing_hash

UNDO_WITHIN = timedelta(minutes=10)
LONGEST = 80  # characters of anything that could be a code of ours

CODE_MISTYPED = declare(
    "code_mistyped",
    Kind.INVALID,
    zh="码有误，请核对后重新输入。",
    en="That code has a typing error. Check it and type it again.",
)
CODE_FOREIGN = declare(
    "code_foreign",
    Kind.INVALID,
    zh="非本平台二维码。请让顾客打开券码页面。",
    en="This is not a code of ours. Ask the customer to open the voucher.",
)
CODE_STALE = declare(
    "code_stale",
    Kind.CONFLICT,
    zh="二维码已过期，请顾客刷新。",
    en="This picture has gone stale. Ask the customer to refresh it.",
)
CODE_INVALID = declare("code_invalid", Kind.NOT_FOUND, zh="无效码。请让顾客出示订单页面。", en="Not a valid code. Ask the customer to show the order.")  # fmt: skip  # noqa: E501
CODE_USED = declare("code_used", Kind.CONFLICT, zh="已使用。使用时间、门店与店员见 details。", en="Used already; `details` says when, where and by whom.")  # fmt: skip  # noqa: E501
CODE_USES_LEFT = declare(
    "code_uses_left",
    Kind.CONFLICT,
    zh="剩余次数不足，请减少本次核销的数量。",
    en="It has fewer uses left. Redeem fewer; `details` says how many there are.",
)
CODE_NOT_YET = declare(
    "code_not_yet", Kind.CONFLICT, zh="未到使用时间。", en="Not valid yet; `details` says from when."
)
CODE_REFUNDED = declare("code_refunded", Kind.CONFLICT, zh="已退款，不能使用。", en="Refunded, so it can't be used.")
CODE_HELD = declare(
    "code_held",
    Kind.CONFLICT,
    zh="该账号正在找回处理中，券码暂停使用。",
    en="A recovery of the account is under way, so its codes can't be used for now.",
)
CODE_WRONG_SHOP = declare(
    "code_wrong_shop", Kind.NOT_ALLOWED, zh="本店不可核销此码。", en="This code is not for your shop."
)
CODE_OUTSIDE_HOURS = declare(
    "code_outside_hours",
    Kind.CONFLICT,
    zh="不在可用时段内。可用时段见 details。",
    en="Not in the hours of this offer; `details` says when it can be used.",
)
CODE_BLACKOUT = declare(
    "code_blackout", Kind.CONFLICT, zh="今天为该券的不可用日期。", en="Today is a day on which this can't be used."
)
OWN_CODE = declare(
    "own_code",
    Kind.NOT_ALLOWED,
    zh="不能核销自己的码，请由其他店员操作。",
    en="You can't redeem your own code. Let a colleague do it.",
)
MERCHANT_PAUSED = declare(
    "merchant_paused",
    Kind.CONFLICT,
    zh="该商户已暂停核销。原因见 details。",
    en="This merchant's redemptions are paused; `details` says why.",
)
SHOP_PAUSED = declare(
    "shop_paused",
    Kind.CONFLICT,
    zh="本店已暂停核销。原因见 details。",
    en="This shop's redemptions are paused; `details` says why.",
)
SHOP_QUOTA = declare(
    "shop_quota",
    Kind.CONFLICT,
    zh="本店今日核销数量已达上限，请明天再来或到其他门店使用。",
    en="The shop has reached its number for today. Come tomorrow, or go to another shop.",
)
UNDO_TOO_LATE = declare(
    "undo_too_late",
    Kind.CONFLICT,
    zh="已超过 10 分钟，不能撤销。如有误请联系运营更正。",
    en="The ten minutes for an undo are over. Ask an operator to correct it.",
)
VERDICTS: tuple[Declared, ...] = (
    CODE_MISTYPED, CODE_FOREIGN, CODE_STALE, CODE_INVALID, CODE_USED, CODE_USES_LEFT, CODE_EXPIRED, CODE_NOT_YET,
    CODE_REFUNDED, CODE_HELD, CODE_WRONG_SHOP, CODE_OUTSIDE_HOURS, CODE_BLACKOUT, OWN_CODE, MERCHANT_PAUSED,
    SHOP_PAUSED, SHOP_QUOTA, merchants.NOT_STAFF,
)  # fmt: skip
_BY_OUTCOME = {declared.code: declared for declared in VERDICTS}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the clerk sees. ``repeated``: this scan was answered before, and is answered the same again.

    ``owed_fen`` is what the merchant is owed for it, by the sponsors and from the order's money together. After a look
    ``redemption_id`` and ``redeemed_at`` are None.
    """

    redemption_id: int | None
    code_id: int
    title: str
    title_en: str
    owed_fen: int
    quantity: int
    uses_left: int
    redeemed_at: datetime | None
    valid_until: datetime
    buyer_id: int
    clerk_name: str | None
    clerk_pseudonym: str
    repeated: bool


def preview(*, typed: str, shop_id: int, staff_person_id: int, at: datetime, quantity: int = 1) -> Verdict:
    """What a code is, for the clerk, without spending it. Raises what :func:`redeem` would raise now."""
    return _ask(typed, shop_id, staff_person_id, "", quantity, at, look=True)


def redeem(
    *,
    typed: str,
    shop_id: int,
    staff_person_id: int,
    scan_id: str,
    at: datetime,
    quantity: int = 1,
    scanned_at: datetime | None = None,
) -> Verdict:
    """Spend uses of a code: the merchant is owed, the sponsors' money is drawn, what is left over returns.

    ``typed`` is what was typed, or the text of the refreshing picture. ``scanned_at`` is when an offline device says to
    have seen it: judged by that moment, booked now. The same ``scan_id`` of the same clerk is answered the same again.
    Raises one of :data:`VERDICTS`, IDEMPOTENCY_CONFLICT. Locks: the code's row, its order, ledger accounts.
    """
    return _ask(typed, shop_id, staff_person_id, scan_id, quantity, at, look=False, scanned_at=scanned_at)


_CALL = """
    select * from redeem_code(%(mark)s, %(step)s, %(shop)s, %(staff)s, %(scan)s, %(pieces)s, %(look)s, %(scanned)s,
                              %(at)s)
"""


def _ask(
    typed: str,
    shop_id: int,
    staff_person_id: int,
    scan_id: str,
    quantity: int,
    at: datetime,
    *,
    look: bool,
    scanned_at: datetime | None = None,
) -> Verdict:
    mark, step = _mark(typed, scanned_at or at, known=lambda: not look and _kept(staff_person_id, scan_id))
    values = {
        "mark": mark,
        "step": step,
        "shop": shop_id,
        "staff": staff_person_id,
        "scan": scan_id,
        "pieces": quantity,
        "look": look,
        "scanned": scanned_at,
        "at": at,
    }
    found = _judged(run(_CALL, values)[0], scan_id)
    if isinstance(found, Refusal):
        raise found
    return found


@dataclass(frozen=True, slots=True)
class Scan:
    """One scan as a clerk sends it."""

    typed: str
    shop_id: int
    staff_person_id: int
    scan_id: str
    quantity: int = 1


_CALLS = """
    select * from redeem_codes(%(marks)s::bytea[], %(steps)s::bigint[], %(shops)s::bigint[], %(staffs)s::bigint[],
                               %(scans)s::text[], %(pieces)s::bigint[], %(at)s)
"""


def redeem_many(scans: Sequence[Scan], *, at: datetime) -> list[Verdict | Refusal]:
    """:func:`redeem` for scans that came at the same moment, each judged on its own, in one statement that commits by
    itself: nobody waits for the accounts that all want while this process makes up its mind."""
    answers: list[Verdict | Refusal | None] = [None] * len(scans)
    asked: list[tuple[int, bytes, int | None]] = []
    for number, scan in enumerate(scans):
        try:
            known = partial(_kept, scan.staff_person_id, scan.scan_id)
            asked.append((number, *_mark(scan.typed, at, known=known)))
        except Refusal as refusal:
            answers[number] = refusal
    if asked:
        going = [scans[number] for number, _, _ in asked]
        values = {
            "marks": [mark for _, mark, _ in asked],
            "steps": [step for _, _, step in asked],
            "shops": [scan.shop_id for scan in going],
            "staffs": [scan.staff_person_id for scan in going],
            "scans": [scan.scan_id for scan in going],
            "pieces": [scan.quantity for scan in going],
            "at": at,
        }
        for (number, _, _), row in zip(asked, command(_CALLS, values), strict=True):
            answers[number] = _judged(row, scans[number].scan_id)
    return [one for one in answers if one is not None]


def _judged(row: Any, scan_id: str) -> Verdict | Refusal:
    if row.outcome == IDEMPOTENCY_CONFLICT.code:
        return IDEMPOTENCY_CONFLICT(scan_id=scan_id)
    if row.outcome in _BY_OUTCOME:
        return _BY_OUTCOME[row.outcome](**_details(row.outcome, row.facts))
    return Verdict(
        row.redemption_id,
        row.code_id,
        row.title,
        row.title_en,
        row.owed_fen,
        row.quantity,
        row.uses_left,
        row.redeemed_at,
        row.valid_until,
        row.buyer,
        row.clerk_name,
        row.clerk_pseudonym,
        row.outcome == "repeated",
    )


_KEPT = "select 1 from redemptions where staff_person_id = %(staff)s and scan_id = %(scan)s"


def _kept(staff_person_id: int, scan_id: str) -> bool:
    """Whether this clerk's scan stands already: its answer was lost, and the picture has changed since."""
    return bool(read(_KEPT, {"staff": staff_person_id, "scan": scan_id}))


def _mark(typed: str, at: datetime, *, known: Callable[[], bool]) -> tuple[bytes, int | None]:
    """By what a code is looked up, and the step of a picture. A slip is told apart from a guess; an old picture is
    looked up for a scan that is ``known`` only, to be answered the same again."""
    if len(typed) > LONGEST:
        raise CODE_FOREIGN()
    seen = picture.read(typed)
    if seen is not None:
        if not picture.genuine(seen):
            raise CODE_INVALID()
        if not picture.fresh(seen, at) and not known():
            raise CODE_STALE()
        return seen.mark, seen.step
    folded = typed_code.fold(typed)
    if folded is not None:
        return standing_hash(folded), None
    raise CODE_MISTYPED() if typed_code.like_one(typed) else CODE_FOREIGN()


def _details(outcome: str, facts: dict[str, Any] | None) -> dict[str, Any]:
    """What the clerk may know of why not: the facts that belong to the refusal."""
    if facts is None:
        return {}
    if outcome == CODE_USED.code:
        clerk = None if facts["pseudonym"] is None else people.masked(facts["nickname"], facts["pseudonym"])
        return {"used_at": facts["used_at"], "shop": facts["shop"], "clerk": clerk}
    kept = {
        CODE_EXPIRED.code: ("valid_until",),
        CODE_NOT_YET.code: ("valid_from",),
        CODE_USES_LEFT.code: ("left",),
        CODE_OUTSIDE_HOURS.code: ("weekdays", "opens", "closes"),
        CODE_BLACKOUT.code: ("day",),
        MERCHANT_PAUSED.code: ("reason",),
        SHOP_PAUSED.code: ("reason",),
        SHOP_QUOTA.code: ("quota",),
    }.get(outcome, ())
    return {key: facts[key] for key in kept}


_UNDO_LOOK = """
    select r.id, r.code_id, r.transfer_id, r.undone_at, r.redeemed_at,
           coalesce(r.scanned_at, r.redeemed_at) as counted_at,
           r.quantity, r.shop_id, c.state, c.order_id,
           c.program_id
    from redemptions r join codes c on c.id = r.code_id where r.id = %(id)s and r.shop_id = %(shop)s
    for no key update of c, r
"""
_REOPEN = """
    with code as (
      update codes set state = 'issued', uses_left = uses_left + %(quantity)s where id = %(code)s returning order_id
    ), reopened as (
      update orders o set state = 'paid', fulfilled_at = null from code
      where o.id = code.order_id and o.state = 'fulfilled' returning o.id
    )
    update shop_days set used = greatest(used - %(quantity)s, 0)
    where shop_id = %(shop)s and day = (%(redeemed)s::timestamptz at time zone 'Asia/Shanghai')::date
"""
_UNDONE = "update redemptions set undone_at = %(at)s, undo_transfer_id = %(transfer)s where id = %(id)s"


def undo(*, redemption_id: int, shop_id: int, staff_person_id: int, at: datetime) -> None:
    """Take a slip back within ten minutes, by the same shop: exact opposite entries, the uses live again.

    Twice is the same answer. Raises NOT_FOUND, UNDO_TOO_LATE, NOT_STAFF.
    """
    merchants.shop_of_staff(shop_id=shop_id, person_id=staff_person_id, at=at)
    rows = run(_UNDO_LOOK, {"id": redemption_id, "shop": shop_id})
    if not rows:
        raise NOT_FOUND(redemption=str(redemption_id))
    found = rows[0]
    if found.undone_at is not None:
        return
    if at - found.redeemed_at > UNDO_WITHIN:
        raise UNDO_TOO_LATE()
    if found.state not in ("issued", "redeemed"):
        raise STATE_CONFLICT(state=found.state)
    values = {"quantity": found.quantity, "code": found.code_id, "shop": shop_id, "redeemed": found.counted_at}
    run(_REOPEN, values)
    transfer_id = None
    if found.transfer_id is not None:
        draft = ledger.reversal_of(found.transfer_id, reason="redeem.undo", source_ref=f"redemption:{found.id}")
        transfer_id = ledger.post([draft], at=at)[0].transfer_id
    run(_UNDONE, {"at": at, "transfer": transfer_id, "id": found.id})
