"""Issue, preview, redeem and undo codes. It draws the sponsors' money and accrues what we owe the merchant."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, select, text, update

from app import clock, events, ledger, merchants, outbox, units, vault
from app.db import connection, session
from app.errors import IDEMPOTENCY_CONFLICT, NOT_FOUND, STATE_CONFLICT, Kind, declare
from app.funding.actions import return_account
from app.funding.models import Budget
from app.funding.spending import draw
from app.ledger import Draft, LotPart
from app.redemptions import typed_code
from app.redemptions.models import Code, CodeFunding, Redemption
from app.units import CREDITS

UNDO_WITHIN = timedelta(minutes=10)
HASHED = "redemption-code"

CODE_MISTYPED = declare(
    "code_mistyped",
    Kind.INVALID,
    zh="码有误，请核对后重新输入。",
    en="That code has a typing error. Check it and type it again.",
)
CODE_INVALID = declare("code_invalid", Kind.NOT_FOUND, zh="无效码。请让顾客出示订单页面。", en="Not a valid code. Ask the customer to show the order.")  # fmt: skip  # noqa: E501
CODE_USED = declare("code_used", Kind.CONFLICT, zh="已使用。使用时间与门店见 details。", en="Used already; `details` says when and where.")  # fmt: skip  # noqa: E501
CODE_EXPIRED = declare("code_expired", Kind.CONFLICT, zh="已过期。", en="Expired.")
CODE_NOT_YET = declare(
    "code_not_yet", Kind.CONFLICT, zh="未到使用时间。", en="Not valid yet; `details` says from when."
)
CODE_REFUNDED = declare("code_refunded", Kind.CONFLICT, zh="已退款，不能使用。", en="Refunded, so it can't be used.")
CODE_WRONG_SHOP = declare(
    "code_wrong_shop", Kind.NOT_ALLOWED, zh="本店不可核销此码。", en="This code is not for your shop."
)
OWN_CODE = declare(
    "own_code",
    Kind.NOT_ALLOWED,
    zh="不能核销自己的码，请由其他店员操作。",
    en="You can't redeem your own code. Let a colleague do it.",
)
ORDER_REDEEMED = declare(
    "order_redeemed",
    Kind.CONFLICT,
    zh="该订单的券码已被核销，不能退款。如有争议请联系商户或客服。",
    en="A code of this order was used, so it can't be refunded. For a dispute ask the merchant or our service.",
)
UNDO_TOO_LATE = declare(
    "undo_too_late",
    Kind.CONFLICT,
    zh="已超过 10 分钟，不能撤销。如有误请联系运营更正。",
    en="The ten minutes for an undo are over. Ask an operator to correct it.",
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the clerk sees. ``repeated``: this scan was answered before, and is answered the same again."""

    redemption_id: int
    code_id: int
    title: str
    title_en: str
    owed_fen: int
    redeemed_at: datetime
    repeated: bool


def issue(
    *,
    order_id: int,
    program_id: int,
    person_id: int,
    merchant_id: int,
    title: str,
    title_en: str,
    settlement_fen: int,
    parts: Sequence[LotPart],
    valid_days: int,
    at: datetime,
) -> Code:
    """Issue a code for one piece; its price to the merchant and the budgets behind it are frozen now."""
    code_hash, code_sealed = new_secret()
    code = Code(
        program_id=program_id,
        merchant_id=merchant_id,
        person_id=person_id,
        order_id=order_id,
        title=title,
        title_en=title_en,
        code_hash=code_hash,
        code_sealed=code_sealed,
        settlement_fen=settlement_fen,
        valid_from=at,
        valid_until=valid_until(valid_days, at),
        state="issued",
    )
    session().add(code)
    session().flush()
    rows = [
        {
            "code_id": code.id,
            "lot_id": part.lot_id,
            "budget_id": part.budget_id,
            "price_fen": part.price_fen,
            "credits": part.credits,
            "draw_fen": fen,
        }
        for part, fen in zip(parts, draw(parts, settlement_fen), strict=True)
    ]
    connection().execute(insert(CodeFunding), rows)
    return code


def new_secret() -> tuple[bytes, bytes]:
    """A new code as it is kept: the hash by which it is found, and sealed, to be shown to its owner."""
    plain = typed_code.new()
    return vault.keyed_hash(HASHED, plain), vault.encrypt(HASHED, plain)


def valid_until(valid_days: int, at: datetime) -> datetime:
    """The end of a code's last Shanghai day."""
    return clock.day_start(clock.business_day(at) + timedelta(days=valid_days + 1))


def as_written(pieces: Sequence[Sequence[LotPart]], *, settlement_fen: int) -> list[dict[str, Any]]:
    """New codes for pieces, as the database function ``payment_accept`` writes them."""
    made = []
    for parts in pieces:
        code_hash, code_sealed = new_secret()
        drawn = zip(parts, draw(parts, settlement_fen), strict=True)
        made.append(
            {
                "hash": base64.b64encode(code_hash).decode(),
                "sealed": base64.b64encode(code_sealed).decode(),
                "parts": [[part.lot_id, part.budget_id, part.price_fen, part.credits, fen] for part, fen in drawn],
            }
        )
    return made


def preview(*, typed: str, shop_id: int, staff_person_id: int, at: datetime) -> Any:
    """What a code is, for the clerk, without spending it. Raises what :func:`redeem` would raise now."""
    shop, merchant = merchants.shop_of_staff(shop_id=shop_id, person_id=staff_person_id, at=at)
    code = _found(typed, shop.program_id)
    _fit(code, merchant.id, staff_person_id, at)
    spendable(code, at)
    return code


def redeem(*, typed: str, shop_id: int, staff_person_id: int, scan_id: str, at: datetime) -> Verdict:
    """Spend a code once: the merchant is owed, the sponsors' money is drawn, what is left over returns to its budgets.

    The same ``scan_id`` of the same clerk is answered the same again. Raises CODE_MISTYPED, CODE_INVALID, CODE_USED,
    CODE_EXPIRED, CODE_NOT_YET, CODE_REFUNDED, CODE_WRONG_SHOP, OWN_CODE, NOT_STAFF, IDEMPOTENCY_CONFLICT.
    Locks: the code's row, then ledger accounts.
    """
    shop, merchant = merchants.shop_of_staff(shop_id=shop_id, person_id=staff_person_id, at=at)
    code = _found(typed, shop.program_id)
    repeated = _scan(staff_person_id, scan_id)
    if repeated is not None:
        return _same_scan(repeated, code)
    _fit(code, merchant.id, staff_person_id, at)
    won = (
        update(Code)
        .where(Code.id == code.id, Code.state == "issued", Code.valid_from <= at, Code.valid_until > at)
        .values(state="redeemed")
        .returning(Code.id)
    )
    if connection().execute(won).first() is None:
        # The loser waited for the winner's commit: look again, in case it was this clerk's own second tap.
        repeated = _scan(staff_person_id, scan_id)
        if repeated is not None:
            return _same_scan(repeated, code)
        spendable(_found(typed, shop.program_id), at)
        raise STATE_CONFLICT()
    transfer_id = _accrue(code, merchant.payable_account_id, at)
    row = {
        "program_id": code.program_id,
        "code_id": code.id,
        "shop_id": shop.id,
        "merchant_id": merchant.id,
        "staff_person_id": staff_person_id,
        "scan_id": scan_id,
        "owed_fen": code.settlement_fen,
        "transfer_id": transfer_id,
        "redeemed_at": at,
    }
    made: int = connection().execute(insert(Redemption).values(row).returning(Redemption.id)).scalar_one()
    _fulfil(code.order_id, at)
    outbox.publish(events.CODE_REDEEMED, {"redemption_id": made, "code_id": code.id}, program_id=code.program_id)
    return Verdict(made, code.id, code.title, code.title_en, code.settlement_fen, at, False)


def undo(*, redemption_id: int, shop_id: int, staff_person_id: int, at: datetime) -> None:
    """Take a slip back within ten minutes, by the same shop: exact opposite entries, the code lives again.

    Twice is the same answer. Raises NOT_FOUND, UNDO_TOO_LATE.
    """
    merchants.shop_of_staff(shop_id=shop_id, person_id=staff_person_id, at=at)
    query = select(Redemption).where(Redemption.id == redemption_id, Redemption.shop_id == shop_id).with_for_update()
    found = session().scalars(query).first()
    if found is None:
        raise NOT_FOUND(redemption=str(redemption_id))
    if found.undone_at is not None:
        return
    if at - found.redeemed_at > UNDO_WITHIN:
        raise UNDO_TOO_LATE()
    draft = ledger.reversal_of(found.transfer_id, reason="redeem.undo", source_ref=f"redemption:{found.id}")
    done = ledger.post([draft], at=at)[0]
    found.undone_at, found.undo_transfer_id = at, done.transfer_id
    session().flush()
    code = update(Code).where(Code.id == found.code_id).values(state="issued").returning(Code.order_id)
    _reopen(connection().execute(code).scalar_one())


def withdraw(*, order_id: int, pieces: int) -> None:
    """Void all codes of an order that is refunded. A scan and this never both win: they update the same rows.

    Raises ORDER_REDEEMED when one of them was used.
    """
    void = update(Code).where(Code.order_id == order_id, Code.state == "issued").values(state="refunded")
    done = connection().execute(void.returning(Code.id)).all()
    if len(done) != pieces:
        raise ORDER_REDEEMED(redeemed=str(pieces - len(done)))


def _accrue(code: Any, payable_account_id: int, at: datetime) -> int:
    """One transfer in two assets: fen from each budget to the merchant; committed credits are spent, the part that no
    money was drawn for returns to its budget."""
    query = (
        select(CodeFunding.lot_id, CodeFunding.budget_id, CodeFunding.price_fen, CodeFunding.credits)
        .add_columns(CodeFunding.draw_fen, Budget.money_account_id)
        .join(Budget, Budget.id == CodeFunding.budget_id)
        .where(CodeFunding.code_id == code.id)
        .order_by(CodeFunding.lot_id)
    )
    fundings = connection().execute(query).all()
    keys = [(code.program_id, CREDITS, "committed", ""), (code.program_id, CREDITS, "spent", "")]
    opened = ledger.accounts(keys)
    legs = []
    for row in fundings:
        used = units.ceil_div(row.draw_fen * 1000, row.price_fen)
        if row.draw_fen:
            legs += [(row.money_account_id, -row.draw_fen), (payable_account_id, row.draw_fen)]
        legs.append((opened[keys[0]], -row.credits))
        if used:
            legs.append((opened[keys[1]], used))
        if row.credits > used:
            legs.append((return_account(row.budget_id, code.id), row.credits - used))
    serial = (
        connection()
        .execute(text("select count(*) from redemptions where code_id = :code"), {"code": code.id})
        .scalar_one()
    )
    draft = Draft(code.program_id, "redeem", f"code:{code.id}:{serial}", legs)
    return ledger.post([draft], at=at)[0].transfer_id


def _found(typed: str, program_id: int) -> Any:
    """The code of what was typed. A slip is told apart from a guess; unknown, foreign and void look the same."""
    folded = typed_code.fold(typed)
    if folded is None:
        raise CODE_MISTYPED()
    query = select(Code).where(Code.code_hash == vault.keyed_hash(HASHED, folded), Code.program_id == program_id)
    found = connection().execute(query).first()
    if found is None or found.state == "void":
        raise CODE_INVALID()
    return found


def _fit(code: Any, merchant_id: int, staff_person_id: int, at: datetime) -> None:
    if code.merchant_id != merchant_id:
        raise CODE_WRONG_SHOP()
    if code.person_id == staff_person_id:
        raise OWN_CODE()


def spendable(code: Any, at: datetime) -> None:
    """Refuse a code that can't be used now. Raises CODE_USED with when and where, or what else is in the way."""
    if code.state == "redeemed":
        raise CODE_USED(**_use_of(code.id))
    if code.state == "refunded":
        raise CODE_REFUNDED()
    if code.state == "expired" or code.valid_until <= at:
        raise CODE_EXPIRED(valid_until=code.valid_until.isoformat())
    if code.valid_from > at:
        raise CODE_NOT_YET(valid_from=code.valid_from.isoformat())


def _use_of(code_id: int) -> dict[str, str]:
    query = text(
        """
        select r.redeemed_at, s.name from redemptions r join shops s on s.id = r.shop_id
        where r.code_id = :code and r.undone_at is null
        """
    )
    row = connection().execute(query, {"code": code_id}).first()
    return {} if row is None else {"used_at": row.redeemed_at.isoformat(), "shop": row.name}


def _scan(staff_person_id: int, scan_id: str) -> Any | None:
    query = select(Redemption).where(Redemption.staff_person_id == staff_person_id, Redemption.scan_id == scan_id)
    return connection().execute(query).first()


def _same_scan(row: Any, code: Any) -> Verdict:
    if row.code_id != code.id:
        raise IDEMPOTENCY_CONFLICT(scan_id=row.scan_id)
    return Verdict(row.id, code.id, code.title, code.title_en, row.owed_fen, row.redeemed_at, True)


def _fulfil(order_id: int, at: datetime) -> None:
    """The order is fulfilled when none of its codes is open any more."""
    done = text(
        """
        update orders set state = 'fulfilled', fulfilled_at = :at where id = :order and state = 'paid'
          and not exists (select from codes where order_id = :order and state = 'issued')
        """
    )
    connection().execute(done, {"order": order_id, "at": at})


def _reopen(order_id: int) -> None:
    """A code of the order lives again, so the order is not fulfilled."""
    again = text("update orders set state = 'paid', fulfilled_at = null where id = :order and state = 'fulfilled'")
    connection().execute(again, {"order": order_id})
