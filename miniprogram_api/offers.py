"""What a merchant would like to sell: drafted, submitted, approved or refused with a reason; and what is low-carbon."""

from __future__ import annotations

from datetime import date, time
from typing import Any

from apiflask import APIBlueprint
from flask import Response
from marshmallow import fields

from app import green, limits, merchants, offers
from app.clock import now
from app.db import retrying, transaction
from app.errors import FORBIDDEN, INVALID_FIELD, NOT_FOUND
from app.merchants import Merchant, Shop
from app.people import Login
from app.scenes import SCENE_INVALID
from edge import schemas
from edge.answers import answer
from edge.language import pick
from edge.paging import PageQuery, decode, page, paged
from edge.routes import asks, gives, refuses, takes
from miniprogram_api.guards import citizen, clerk
from miniprogram_api.show import either, when_or_none

routes = APIBlueprint("offers", __name__, tag="Merchants")
CLERK, MANAGER, OWNER = "clerk", "manager", "owner"
SIGNS = limits.Limit("venue-sign", 30, 600)
_DAY = r"20[0-9]{2}-[0-9]{2}-[0-9]{2}"
_HOUR = schemas.Pattern(
    r"([01][0-9]|2[0-3]):[0-5][0-9]", expected="应为时刻，如 10:00|must be a time such as 10:00", load_default=None
)
EXAMPLE = {
    "name": "双人下午茶",
    "name_en": "Tea for two",
    "text_zh": "任选两杯茶和一份点心。",
    "pieces": 100,
    "price_credits": 1500,
    "settlement_fen": 2800,
    "valid_days": 60,
    "opens": "14:00",
    "closes": "17:30",
    "weekdays": [1, 2, 3, 4, 5],
    "blackout_days": ["2027-01-01"],
}


class OfferIn(schemas.Request):
    name = schemas.Text(longest=40, required=True)
    name_en = schemas.Text(longest=60, shortest=0, load_default="")
    text_zh = schemas.Text(longest=1000, shortest=0, lines=True, load_default="")
    text_en = schemas.Text(longest=2000, shortest=0, lines=True, load_default="")
    picture = schemas.Pattern(
        r"/[0-9A-Za-z/_.\-]{1,200}",
        expected="应为已上传图片的路径|must be the path of an uploaded picture",
        load_default="",
    )
    pieces = schemas.Integer(least=1, most=1_000_000, required=True)
    price_credits = schemas.Integer(least=1, most=10_000_000, required=True)
    settlement_fen = schemas.Integer(
        least=0, most=10_000_000, required=True, metadata={"description": "what I want for one code, all its uses"}
    )
    uses = schemas.Integer(least=1, most=100, load_default=1)
    per_person = schemas.Integer(least=1, most=1000, load_default=None, allow_none=True)
    valid_days = schemas.Integer(least=1, most=730, load_default=90)
    shop_ids = schemas.Items(schemas.Id(), shortest=1, longest=50, load_default=None, allow_none=True)
    weekdays = schemas.Items(
        schemas.Integer(least=1, most=7), shortest=1, longest=7, load_default=None, allow_none=True,
        metadata={"description": "1 is Monday; null: every day"},
    )  # fmt: skip
    opens = _HOUR
    closes = _HOUR
    blackout_days = schemas.Items(
        schemas.Pattern(_DAY, expected="应为日期，如 2027-01-01|must be a date such as 2027-01-01"),
        longest=60,
        load_default=list,
    )


class OfferShown(schemas.Answer):
    id = fields.String(required=True)
    name = fields.String(required=True)
    pieces = fields.Integer(required=True)
    price_credits = fields.Integer(required=True)
    settlement_fen = fields.Integer(required=True)
    uses = fields.Integer(required=True)
    valid_days = fields.Integer(required=True)
    weekdays = fields.List(fields.Integer(), required=True, allow_none=True)
    opens = fields.String(required=True, allow_none=True)
    closes = fields.String(required=True, allow_none=True)
    blackout_days = fields.List(fields.String(), required=True)
    state = fields.String(required=True, metadata={"description": "draft, submitted, approved, refused or withdrawn"})
    reason = fields.String(required=True, metadata={"description": "why it was refused"})
    item_id = fields.String(required=True, allow_none=True, metadata={"description": "in the mall, once approved"})
    submitted_at = fields.String(required=True, allow_none=True)
    decided_at = fields.String(required=True, allow_none=True)


class ProductIn(schemas.Request):
    item_id = schemas.Id(required=True)
    scenario = schemas.code(required=True)
    certificate_ref = schemas.Text(longest=80, required=True, metadata={"description": "number of the certificate"})


class ProductShown(schemas.Answer):
    id = fields.String(required=True)
    item_id = fields.String(required=True)
    scenario = fields.String(required=True)
    certificate_ref = fields.String(required=True)
    state = fields.String(required=True, metadata={"description": "submitted, approved, refused or revoked"})
    reason = fields.String(required=True)


class Products(schemas.Answer):
    items = fields.List(fields.Nested(ProductShown), required=True)


class VenueScan(schemas.Request):
    scene = schemas.Pattern(
        r"[0-9a-zA-Z\-_]{1,32}",
        expected="应为 decodeURIComponent(query.scene)|must be decodeURIComponent(query.scene)",
        required=True,
    )
    lat = schemas.Quantity(load_default=None, metadata={"description": "where I stand; judged and forgotten"})
    lng = schemas.Quantity(load_default=None)


class VenueScanned(schemas.Answer):
    venue = fields.String(required=True)
    outcome = fields.String(required=True, metadata={"description": "accepted, or duplicate: counted today already"})
    record_id = fields.String(required=True, allow_none=True)
    credits = fields.Integer(required=True)
    mg = fields.String(required=True)


@routes.get("/shops/<id:shop_id>/offers")
@clerk(MANAGER, OWNER)
@asks(PageQuery)
@gives(paged("OfferPage", OfferShown))
@refuses(merchants.NOT_STAFF, FORBIDDEN)
def get_offers(login: Login, shop: Shop, merchant: Merchant, query: dict[str, Any]) -> Response:
    """The merchant's offers, newest first"""
    before = decode(query["cursor"], 1)
    rows = offers.of_merchant(merchant.id, before=before[0] if before else None, limit=query["limit"] + 1)
    return answer(page(rows, query["limit"], _offer, lambda row: (row.id,)))


@routes.post("/shops/<id:shop_id>/offers")
@clerk(MANAGER, OWNER)
@takes(OfferIn, example=EXAMPLE)
@gives(OfferShown, status=201)
@refuses(merchants.NOT_STAFF, FORBIDDEN, NOT_FOUND, offers.MERCHANT_CANNOT_OFFER)
def post_offer(login: Login, shop: Shop, merchant: Merchant, body: dict[str, Any]) -> Response:
    """Draft an offer

    Name, text, how many, price in credits, what I want for it, and when it can be used. Nobody sees it before it is
    submitted and approved.
    """
    wanted = _fields(body)
    with transaction() as current:
        made = offers.draft(merchant=current.merge(merchant), person_id=login.person_id, fields=wanted, at=now())
        return answer(_offer(made), 201)


@routes.put("/shops/<id:shop_id>/offers/<id:offer_id>")
@clerk(MANAGER, OWNER)
@takes(OfferIn, example=EXAMPLE)
@gives(OfferShown)
@refuses(merchants.NOT_STAFF, FORBIDDEN, NOT_FOUND, offers.OFFER_SETTLED)
def put_offer(login: Login, shop: Shop, merchant: Merchant, body: dict[str, Any], offer_id: int) -> Response:
    """Change a draft, or mend a refused offer"""
    wanted = _fields(body)
    with transaction() as current:
        return answer(_offer(offers.revise(offer_id=offer_id, merchant=current.merge(merchant), fields=wanted)))


@routes.post("/shops/<id:shop_id>/offers/<id:offer_id>/submit")
@clerk(MANAGER, OWNER)
@gives(OfferShown)
@refuses(merchants.NOT_STAFF, FORBIDDEN, NOT_FOUND, offers.OFFER_SETTLED, offers.MERCHANT_CANNOT_OFFER)
def submit(login: Login, shop: Shop, merchant: Merchant, offer_id: int) -> Response:
    """Ask for approval"""
    with transaction() as current:
        return answer(_offer(offers.submit(offer_id=offer_id, merchant=current.merge(merchant), at=now())))


@routes.post("/shops/<id:shop_id>/offers/<id:offer_id>/withdraw")
@clerk(MANAGER, OWNER)
@gives(OfferShown)
@refuses(merchants.NOT_STAFF, FORBIDDEN, NOT_FOUND)
def withdraw(login: Login, shop: Shop, merchant: Merchant, offer_id: int) -> Response:
    """Take an offer back

    An approved one leaves the shelf; codes that were issued stay good.
    """
    with transaction() as current:
        return answer(_offer(offers.withdraw(offer_id=offer_id, merchant=current.merge(merchant))))


@routes.get("/shops/<id:shop_id>/green-products")
@clerk(MANAGER, OWNER)
@gives(Products)
@refuses(merchants.NOT_STAFF, FORBIDDEN)
def get_products(login: Login, shop: Shop, merchant: Merchant) -> Response:
    """The merchant's low-carbon products"""
    return answer({"items": [_product(one) for one in green.of_merchant(merchant.id)]})


@routes.post("/shops/<id:shop_id>/green-products")
@clerk(MANAGER, OWNER)
@takes(ProductIn, example={"item_id": "5", "scenario": "green-consumption", "certificate_ref": "CGP-2026-0815"})
@gives(ProductShown, status=201)
@refuses(merchants.NOT_STAFF, FORBIDDEN, NOT_FOUND, green.PRODUCT_KNOWN)
def post_product(login: Login, shop: Shop, merchant: Merchant, body: dict[str, Any]) -> Response:
    """Register a low-carbon product

    An item of ours with its certificate; once an operator approves, whoever redeems it earns by the scenario.
    """

    def command() -> dict[str, Any]:
        with transaction() as current:
            made = green.register(merchant=current.merge(merchant), person_id=login.person_id, at=now(), **body)
            return _product(made)

    return answer(retrying(command), 201)


@routes.post("/venues/scan")
@citizen()
@takes(VenueScan, example={"scene": "Zk3vX9q0T1s7Lw2uYb5Rn8Ae", "lat": "30.6570", "lng": "104.0660"})
@gives(VenueScanned)
@refuses(SCENE_INVALID, green.VENUE_REVOKED, green.VENUE_PLACE_NEEDED, green.VENUE_TOO_FAR)
def scan_sign(login: Login, body: dict[str, Any]) -> Response:
    """Scan a venue's sign

    Counts once a day and venue. A venue that checks the place needs my position; it is judged and forgotten.
    """
    limits.take(SIGNS, f"person:{login.person_id}")
    position = None
    if body["lat"] is not None and body["lng"] is not None:
        position = float(body["lat"]), float(body["lng"])

    def command() -> dict[str, Any]:
        with transaction():
            found = green.scan(token=body["scene"], person_id=login.person_id, at=now(), position=position)
            return {
                "venue": either(found.venue.name, found.venue.name_en),
                "outcome": found.taken.outcome,
                "record_id": str(found.taken.record_id) if found.taken.record_id else None,
                "credits": found.taken.credits,
                "mg": str(found.taken.mg),
            }

    return answer(retrying(command))


def _fields(body: dict[str, Any]) -> dict[str, Any]:
    """What was sent, as the domain takes it: days and hours as such, both hours or none."""
    if (body["opens"] is None) != (body["closes"] is None) or (body["opens"] or 0) == (body["closes"] or 1):
        raise INVALID_FIELD(fields={"opens": pick("起止时刻应同时填写且不相同|give both hours, and different ones")})
    found = dict(body)
    for name in ("opens", "closes"):
        found[name] = None if body[name] is None else time.fromisoformat(body[name])
    try:
        found["blackout_days"] = sorted({date.fromisoformat(day) for day in body["blackout_days"]})
    except ValueError as error:
        wrong = {"blackout_days": pick("有不存在的日期|one of these days does not exist")}
        raise INVALID_FIELD(fields=wrong) from error
    return found


def _offer(one: offers.Offer) -> dict[str, Any]:
    return {
        "id": str(one.id),
        "name": either(one.name, one.name_en),
        **{name: getattr(one, name) for name in ("pieces", "price_credits", "settlement_fen", "uses", "valid_days")},
        "weekdays": one.weekdays,
        "opens": None if one.opens is None else one.opens.isoformat("minutes"),
        "closes": None if one.closes is None else one.closes.isoformat("minutes"),
        "blackout_days": [day.isoformat() for day in one.blackout_days or ()],
        "state": one.state,
        "reason": one.reason,
        "item_id": None if one.item_id is None else str(one.item_id),
        "submitted_at": when_or_none(one.submitted_at),
        "decided_at": when_or_none(one.decided_at),
    }


def _product(one: green.Product) -> dict[str, Any]:
    names = ("scenario", "certificate_ref", "state", "reason")
    return {"id": str(one.id), "item_id": str(one.item_id), **{name: getattr(one, name) for name in names}}
