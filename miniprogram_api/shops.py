"""The shop's side: a verdict at once, undo within ten minutes, today's count and sum, and what we owe.

Guessing is limited by wrong codes per clerk, device and address. They are counted after the refused command is over,
and when they can't be counted nothing is looked up. Typing slips, which the check character shows, don't count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import structlog
from apiflask import APIBlueprint
from flask import Response
from marshmallow import fields

from app import limits, merchants, people, programs, records, redemptions
from app.clock import now
from app.db import retrying, transaction
from app.errors import FORBIDDEN, IDEMPOTENCY_CONFLICT, NOT_FOUND, Refusal
from app.merchants import Merchant, Shop
from app.people import Login
from app.redemptions import history, risk
from edge import schemas
from edge.answers import answer
from edge.guards import client_address
from edge.paging import PageQuery, decode, page, paged
from edge.routes import asks, gives, refuses, takes
from miniprogram_api.guards import citizen, clerk, scanner
from miniprogram_api.show import either, when, when_or_none

T = TypeVar("T")
log = structlog.get_logger("shops")
routes = APIBlueprint("shops", __name__, tag="Shops")
CLERK, MANAGER, OWNER = "clerk", "manager", "owner"
ALARM_AT = 200  # wrong codes of everybody in ten minutes
VERDICTS = redemptions.VERDICTS


class Typed(schemas.Request):
    code = schemas.Text(longest=8_000, required=True, metadata={"description": "as typed or scanned", "example": "0"})
    quantity = schemas.Integer(
        least=1, most=100, load_default=1, metadata={"description": "how many of the code's uses"}
    )


class Scan(Typed):
    scan_id = schemas.reference(required=True, metadata={"description": "one per scan; a lost answer is asked again"})


class ShopShown(schemas.Answer):
    id = fields.String(required=True)
    program = fields.String(required=True)
    name = fields.String(required=True)
    address = fields.String(required=True)
    merchant = fields.String(required=True)
    role = fields.String(required=True, metadata={"description": "clerk, manager or owner"})


class Shops(schemas.Answer):
    items = fields.List(fields.Nested(ShopShown), required=True)


class Preview(schemas.Answer):
    title = fields.String(required=True)
    buyer = fields.String(required=True, metadata={"description": "masked"})
    owed_fen = fields.Integer(required=True, metadata={"description": "what we shall owe for it"})
    quantity = fields.Integer(required=True)
    uses_left = fields.Integer(required=True, metadata={"description": "before this redemption"})
    valid_until = fields.String(required=True)


class RedemptionShown(schemas.Answer):
    id = fields.String(required=True)
    title = fields.String(required=True)
    owed_fen = fields.Integer(required=True)
    quantity = fields.Integer(required=True)
    uses_left = fields.Integer(required=True, metadata={"description": "of the code now"})
    held = fields.String(
        required=True, allow_none=True, metadata={"description": "why it is looked at before it is paid"}
    )
    redeemed_at = fields.String(required=True)
    undo_until = fields.String(required=True)
    undone_at = fields.String(required=True, allow_none=True)
    clerk = fields.String(required=True, metadata={"description": "masked"})


class Tally(schemas.Answer):
    date = fields.String(required=True)
    count = fields.Integer(required=True)
    owed_fen = fields.Integer(required=True)
    customers = fields.Integer(required=True)
    new_customers = fields.Integer(required=True, metadata={"description": "never before at this merchant"})


class Owed(schemas.Answer):
    merchant = fields.String(required=True)
    owed_fen = fields.Integer(required=True, metadata={"description": "over all its shops, from the ledger"})
    as_of = fields.String(required=True)


@routes.get("/shops")
@citizen()
@gives(Shops)
def get_shops(login: Login) -> Response:
    """Shops where I work"""
    rows = merchants.shops_of_person(login.person_id, now())
    return answer({"items": [_shop(*row) for row in rows]})


@routes.post("/shops/<id:shop_id>/preview")
@scanner(CLERK, MANAGER, OWNER)
@takes(Typed, example={"code": "0123-4567-89AK"})
@gives(Preview)
@refuses(*VERDICTS, FORBIDDEN)
def preview(login: Login, shop_id: int, body: dict[str, Any]) -> Response:
    """Look at a code

    Without spending it: what it is for, whose (masked), and until when.
    """

    def look() -> dict[str, Any]:
        seen = redemptions.preview(
            typed=body["code"], shop_id=shop_id, staff_person_id=login.person_id, quantity=body["quantity"], at=now()
        )
        buyer = people.shown(seen.buyer_id)
        return {
            "title": either(seen.title, seen.title_en),
            "buyer": people.masked(buyer.nickname, buyer.pseudonym),
            "owed_fen": seen.owed_fen,
            "quantity": seen.quantity,
            "uses_left": seen.uses_left,
            "valid_until": when(seen.valid_until),
        }

    return answer(_guess(login, look))


@routes.post("/shops/<id:shop_id>/redemptions")
@scanner(CLERK, MANAGER, OWNER)
@takes(Scan, example={"code": "0123-4567-89AK", "scan_id": "scan-20261125-1"})
@gives(RedemptionShown, status=201)
@refuses(*VERDICTS, FORBIDDEN, IDEMPOTENCY_CONFLICT)
def redeem(login: Login, shop_id: int, body: dict[str, Any]) -> Response:
    """Redeem a code

    Spends it once, whoever else scans it; the loser hears when and where it was used. The same `scan_id` is answered
    with the first verdict (200).
    """
    scan = redemptions.Scan(body["code"], shop_id, login.person_id, body["scan_id"], body["quantity"])

    def go() -> redemptions.Verdict:
        found = together.take(scan, _redeem)
        if isinstance(found, Refusal):
            raise found
        return found

    verdict = _guess(login, go)
    return answer(_verdict(verdict), 200 if verdict.repeated else 201)


together: records.Together[redemptions.Scan, redemptions.Verdict | Refusal] = records.Together()


def _redeem(scans: Sequence[redemptions.Scan]) -> list[redemptions.Verdict | Refusal]:
    """All scans that wait, in one statement, which is a transaction of its own (docs/decisions/together.md)."""
    return retrying(lambda: redemptions.redeem_many(scans, at=now()))


@routes.post("/shops/<id:shop_id>/redemptions/<id:redemption_id>/undo")
@clerk(CLERK, MANAGER, OWNER)
@gives(RedemptionShown)
@refuses(NOT_FOUND, merchants.NOT_STAFF, FORBIDDEN, redemptions.UNDO_TOO_LATE)
def undo(login: Login, shop: Shop, merchant: Merchant, redemption_id: int) -> Response:
    """Undo a slip

    Within ten minutes, by the same shop; the code lives again. Again changes nothing.
    """
    shop_id, at = shop.id, now()

    def command() -> None:
        with transaction():
            redemptions.undo(redemption_id=redemption_id, shop_id=shop_id, staff_person_id=login.person_id, at=at)

    retrying(command)
    return answer(_redemption(redemptions.scan(redemption_id, shop_id)))


@routes.get("/shops/<id:shop_id>/redemptions")
@clerk(CLERK, MANAGER, OWNER)
@asks(PageQuery)
@gives(paged("RedemptionPage", RedemptionShown))
@refuses(merchants.NOT_STAFF, FORBIDDEN)
def get_redemptions(login: Login, shop: Shop, merchant: Merchant, query: dict[str, Any]) -> Response:
    """The shop's redemptions

    Newest first, undone ones too, each with who scanned it.
    """
    before = decode(query["cursor"], 1)
    rows = redemptions.scans_of_shop(shop.id, before=before[0] if before else None, limit=query["limit"] + 1)
    return answer(page(rows, query["limit"], _redemption, lambda row: (row.id,)))


@routes.get("/shops/<id:shop_id>/today")
@clerk(CLERK, MANAGER, OWNER)
@gives(Tally)
@refuses(merchants.NOT_STAFF, FORBIDDEN)
def get_today(login: Login, shop: Shop, merchant: Merchant) -> Response:
    """The shop's day

    How many were redeemed today in Shanghai, what we owe for them, and how many customers were new.
    """
    at = now()
    count, owed_fen = redemptions.tally(shop.id, at=at)
    day = history.today(shop.id, at=at)
    shown = {"date": when(at)[:10], "count": count, "owed_fen": owed_fen}
    seen = {"customers": day.customers if day else 0, "new_customers": day.new_customers if day else 0}
    return answer(shown | seen)


@routes.get("/shops/<id:shop_id>/owed")
@clerk(MANAGER, OWNER)
@gives(Owed)
@refuses(merchants.NOT_STAFF, FORBIDDEN)
def get_owed(login: Login, shop: Shop, merchant: Merchant) -> Response:
    """What we owe the merchant

    Over all its shops, from the ledger. For owners and managers.
    """
    shown = either(merchant.name, merchant.name_en)
    return answer({"merchant": shown, "owed_fen": merchants.owed_fen(merchant), "as_of": when(now())})


def _guess(login: Login, command: Callable[[], T]) -> T:
    """Run what looks a code up. Raises TOO_MANY after ten wrong ones in ten minutes by this clerk, from this device or
    address, BUSY without a counter. Many wrong ones of everybody together are an alarm."""
    subjects = (f"staff:{login.person_id}", f"device:{login.session_id}", f"address:{client_address()}")
    limits.check_all(limits.WRONG_CODE, subjects)
    try:
        return command()
    except Refusal as refusal:
        if refusal.code == redemptions.CODE_INVALID.code:
            *_, all_of_us = limits.take_all(limits.WRONG_CODE, (*subjects, "everybody"))
            if all_of_us >= ALARM_AT and all_of_us % ALARM_AT == 0:
                log.error("codes_are_guessed", wrong=all_of_us, seconds=limits.WRONG_CODE.seconds)
        raise


def _shop(shop: Shop, merchant: Merchant, role: str) -> dict[str, Any]:
    return {
        "id": str(shop.id),
        "program": programs.known_by_id(shop.program_id).code,
        "name": shop.name,
        "address": shop.address,
        "merchant": either(merchant.name, merchant.name_en),
        "role": role,
    }


def _verdict(verdict: redemptions.Verdict) -> dict[str, Any]:
    assert verdict.redeemed_at is not None
    return {
        "id": str(verdict.redemption_id),
        "title": either(verdict.title, verdict.title_en),
        "owed_fen": verdict.owed_fen,
        "quantity": verdict.quantity,
        "uses_left": verdict.uses_left,
        "redeemed_at": when(verdict.redeemed_at),
        "undo_until": when(verdict.redeemed_at + redemptions.UNDO_WITHIN),
        "undone_at": None,
        "held": None,
        "clerk": people.masked(verdict.clerk_name, verdict.clerk_pseudonym),
    }


def _redemption(row: Any) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "title": either(row.title, row.title_en),
        "owed_fen": row.owed_fen,
        "quantity": row.quantity,
        "uses_left": row.uses_left,
        "redeemed_at": when(row.redeemed_at),
        "undo_until": when(row.redeemed_at + redemptions.UNDO_WITHIN),
        "undone_at": when_or_none(row.undone_at),
        "held": _held(row),
        "clerk": people.masked(row.nickname, row.pseudonym),
    }


def _held(row: Any) -> str | None:
    if row.held_reason is None or row.released_at is not None:
        return None
    return either(*risk.REASONS[row.held_reason])
