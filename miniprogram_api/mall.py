"""The mall: what credits can become. Everybody may look; who is signed in also sees what is for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from apiflask import APIBlueprint
from flask import Response, current_app
from marshmallow import fields

from app import clock, mall, merchants, orders, programs
from app.clock import now
from app.db import transaction
from app.errors import INVALID_FIELD, NOT_FOUND
from app.funding import wallets
from app.mall import Filter, pictures
from app.mall.stock import PERSON_LIMIT
from app.people import Login
from edge import schemas
from edge.answers import answer, nothing, public_answer
from edge.guards import public
from edge.language import language, pick
from edge.paging import PageQuery, decode, page, paged
from edge.routes import asks, gives, refuses
from miniprogram_api.guards import citizen
from miniprogram_api.show import avatar, either, when, when_or_none
from miniprogram_api.wallet import SponsorShown

routes = APIBlueprint("mall", __name__, tag="Mall")
served = APIBlueprint("item_pictures", __name__, enable_openapi=False)
FOR_EVER = "public, max-age=31536000, immutable"
FARTHEST_M = 100_000


class ItemQuery(PageQuery):
    category = schemas.code(load_default=None, metadata={"description": "code of a category"})
    kind = schemas.OneOf(*mall.KINDS, load_default=None)
    q = schemas.Text(longest=40, load_default=None, metadata={"description": "words of name, text or merchant"})


class MyItemQuery(ItemQuery):
    show = schemas.OneOf(
        "all", "affordable", "favourites", load_default="all",
        metadata={"description": "`affordable`: in stock, and my credits suffice"},
    )  # fmt: skip


class NearQuery(PageQuery):
    near = schemas.Pattern(
        r"-?[0-9]{1,2}(\.[0-9]{1,8})?,-?[0-9]{1,3}(\.[0-9]{1,8})?",
        expected="纬度,经度，如 30.657,104.066|latitude,longitude such as 30.657,104.066",
        required=True,
    )
    within_m = schemas.QueryInteger(least=1, most=FARTHEST_M, load_default=5_000)


class ItemPictures(schemas.Answer):
    small = fields.String(metadata={"description": "at most 240 pixels a side"})
    medium = fields.String(metadata={"description": "at most 640"})
    large = fields.String(metadata={"description": "at most 1280"})


class ItemLine(schemas.Answer):
    id = fields.String(required=True)
    code = fields.String(required=True)
    kind = fields.String(required=True, metadata={"description": "voucher, code_pool, parcel, service or donation"})
    category = fields.String(required=True, allow_none=True)
    name = fields.String(required=True)
    picture = fields.String(required=True)
    pictures = fields.Nested(ItemPictures, required=True)
    price_credits = fields.Integer(required=True)
    price_fen = fields.Integer(required=True, metadata={"description": "the cash part, by WeChat Pay; 0 for none"})
    available = fields.Integer(required=True)
    restock_at = fields.String(required=True, allow_none=True, metadata={"description": "the next announced pieces"})
    per_person = fields.Integer(required=True, allow_none=True, metadata={"description": "most for one person"})
    merchant = fields.String(required=True, metadata={"description": "or the welfare project of a donation"})
    paid_by = fields.Nested(SponsorShown, required=True, allow_none=True)
    sale_from = fields.String(required=True, allow_none=True)
    sale_until = fields.String(required=True, allow_none=True)
    on_sale = fields.Boolean(required=True)


class ShopLine(schemas.Answer):
    name = fields.String(required=True)
    address = fields.String(required=True)


class SlotLine(schemas.Answer):
    id = fields.String(required=True)
    starts_at = fields.String(required=True)
    ends_at = fields.String(required=True)
    free = fields.Integer(required=True)


class ItemShown(ItemLine):
    text = fields.String(required=True)
    uses = fields.Integer(required=True, metadata={"description": "how often one code can be redeemed"})
    per_period = fields.Integer(required=True, allow_none=True)
    period_kind = fields.String(required=True, allow_none=True)
    valid_days = fields.Integer(required=True, metadata={"description": "a code may be used for so long"})
    on_expiry = fields.String(required=True, metadata={"description": "return or forfeit: what becomes of the credits"})
    extend_days = fields.Integer(required=True)
    no_show = fields.String(required=True, metadata={"description": "kept or spent, when a booking is missed"})
    refundable = fields.Boolean(required=True)
    provinces = fields.List(fields.String(), required=True, allow_none=True, metadata={"description": "null: anywhere"})
    shops = fields.List(fields.Nested(ShopLine), required=True, metadata={"description": "where it can be used"})
    slots = fields.List(fields.Nested(SlotLine), required=True, metadata={"description": "times to be booked"})


class Category(schemas.Answer):
    code = fields.String(required=True)
    name = fields.String(required=True)
    items = fields.Integer(required=True)


class Categories(schemas.Answer):
    items = fields.List(fields.Nested(Category), required=True)


class NearShop(schemas.Answer):
    id = fields.String(required=True)
    name = fields.String(required=True)
    address = fields.String(required=True)
    opening_hours = fields.String(required=True)
    merchant = fields.String(required=True)
    distance_m = fields.Integer(required=True)
    latitude = fields.Float(required=True)
    longitude = fields.Float(required=True)


class Waiting(schemas.Answer):
    state = fields.String(required=True, metadata={"description": "waiting or offered"})
    turn = fields.Integer(required=True, metadata={"description": "1: the next piece is mine"})
    offer_until = fields.String(required=True, allow_none=True, metadata={"description": "one piece is held for me"})


class MyItem(schemas.Answer):
    favourite = fields.Boolean(required=True)
    in_cart = fields.Integer(required=True)
    for_me = fields.Boolean(required=True, metadata={"description": "whether I am of its audience"})
    credits = fields.Integer(required=True, metadata={"description": "what I have in this program"})
    affordable = fields.Boolean(required=True)
    left_for_me = fields.Integer(required=True, allow_none=True, metadata={"description": "null: no limit"})
    waiting = fields.Nested(Waiting, required=True, allow_none=True)


@routes.get("/programs/<code:program>/items")
@public()
@asks(ItemQuery)
@gives(paged("ItemPage", ItemLine))
@refuses(NOT_FOUND)
def get_items(query: dict[str, Any], program: str) -> Response:
    """Items on sale

    With the price in credits, what is left, and who pays for it; announced ones too, with `sale_from`. What is for
    certain members only is in `…/items/for-me`.
    """
    return public_answer(("items", program, *query.values()), lambda: _shelf(program, query, Filter(**_chosen(query))))


@routes.get("/programs/<code:program>/items/for-me")
@citizen(ahead="at once")
@asks(MyItemQuery)
@gives(paged("MyItemPage", ItemLine))
@refuses(NOT_FOUND)
def get_my_items(login: Login, query: dict[str, Any], program: str) -> Response:
    """Items for me

    As `…/items`, with what is for my department, tags or level. `show=affordable` leaves what my credits buy now,
    `show=favourites` what I keep in sight.
    """
    program_id = programs.known(program).id
    who = mall.standing(program_id, login.person_id)
    chosen, key = _chosen(query), ("items", program, who, *query.values())
    if query["show"] == "affordable":
        chosen["affordable"] = wallets.spendable(login.person_id, program_id, at=now())
        key = (*key, chosen["affordable"])
    elif query["show"] == "favourites":
        chosen["favourite_of"] = login.person_id
        return answer(_shelf(program, query, Filter(**chosen), who))
    headers = {"Cache-Control": "private, max-age=2", "Vary": "Authorization, Accept-Language"}
    return public_answer(key, lambda: _shelf(program, query, Filter(**chosen), who), headers)


@routes.get("/programs/<code:program>/items/<id:item_id>")
@public()
@gives(ItemShown)
@refuses(NOT_FOUND)
def get_item(program: str, item_id: int) -> Response:
    """One item

    Also when it is sold no longer: those who hold a code want to read what it is for.
    """

    def build() -> dict[str, Any]:
        at = now()
        row = mall.item(programs.known(program).id, item_id, at=at)
        shops = merchants.shops(row.merchant_id) if row.merchant_id else []
        return {
            **_line(row, english=language() == "en"),
            "text": either(row.text_zh, row.text_en),
            **{name: getattr(row, name) for name in ("uses", "per_period", "period_kind", "valid_days", "on_expiry")},
            **{name: getattr(row, name) for name in ("extend_days", "no_show", "refundable")},
            "provinces": row.provinces and [orders.addresses.name_of(code) for code in row.provinces],
            "shops": [{"name": shop.name, "address": shop.address} for shop in shops],
            "slots": [_slot(one) for one in orders.bookings.slots(item_id, at)] if row.kind == "service" else [],
        }

    return public_answer(("item", program, item_id), build)


@routes.get("/items/<id:item_id>/mine")
@citizen()
@gives(MyItem)
@refuses(NOT_FOUND)
def get_mine(login: Login, item_id: int) -> Response:
    """What an item is to me

    Favourite, in my cart, how many I may still take, whether my credits suffice, my place in its line.
    """
    return answer(_mine(login.person_id, item_id))


@routes.put("/items/<id:item_id>/favourite")
@citizen()
@gives(MyItem)
@refuses(NOT_FOUND)
def favour(login: Login, item_id: int) -> Response:
    """Keep an item in sight"""
    with transaction():
        mall.favour(person_id=login.person_id, item_id=item_id, at=now())
    return answer(_mine(login.person_id, item_id))


@routes.delete("/items/<id:item_id>/favourite")
@citizen()
@gives(None, status=204)
@refuses(NOT_FOUND)
def unfavour(login: Login, item_id: int) -> Response:
    """Lose sight of it"""
    with transaction():
        mall.unfavour(person_id=login.person_id, item_id=item_id)
    return nothing()


@routes.post("/items/<id:item_id>/waiting")
@citizen()
@gives(MyItem)
@refuses(NOT_FOUND, mall.NOT_FOR_YOU, mall.IN_STOCK, PERSON_LIMIT)
def wait(login: Login, item_id: int) -> Response:
    """Wait for a sold-out item

    In fair turns: who got it this way before comes after those who never did. When a piece comes I am told, and it is
    held for me for 24 hours.
    """
    with transaction():
        mall.wait(person_id=login.person_id, item_id=item_id, at=now())
    return answer(_mine(login.person_id, item_id))


@routes.delete("/items/<id:item_id>/waiting")
@citizen()
@gives(None, status=204)
@refuses(NOT_FOUND)
def leave(login: Login, item_id: int) -> Response:
    """Give my place up

    A piece that was held for me goes to the next.
    """
    with transaction():
        mall.leave(person_id=login.person_id, item_id=item_id)
    return nothing()


@routes.get("/programs/<code:program>/categories")
@public()
@gives(Categories)
@refuses(NOT_FOUND)
def get_categories(program: str) -> Response:
    """The mall's categories"""

    def build() -> dict[str, Any]:
        rows = mall.categories(programs.known(program).id)
        return {
            "items": [{"code": row.code, "name": either(row.name, row.name_en), "items": row.items} for row in rows]
        }

    return public_answer(("categories", program), build)


@routes.get("/programs/<code:program>/shops")
@public()
@asks(NearQuery)
@gives(paged("NearShopPage", NearShop))
@refuses(NOT_FOUND)
def get_shops_nearby(query: dict[str, Any], program: str) -> Response:
    """Shops nearby

    Where codes can be used, nearest first. The place that is asked for is not kept.
    """
    latitude, longitude = _place(query["near"])
    after = decode(query["cursor"], 2) or (-1, 0)
    rows = mall.shops_nearby(
        programs.known(program).id, lat=latitude, lng=longitude, within_m=query["within_m"],
        after=(after[0], after[1]), limit=query["limit"] + 1,
    )  # fmt: skip
    return answer(page(rows, query["limit"], _near, lambda row: (row.distance_m, row.id)))


@served.get("/pictures/<string(maxlength=60):name>")
@public()
def serve(name: str) -> Response:
    """A picture of an item, in one size; the name is its content's, so it never changes."""
    body = pictures.read(Path(current_app.config["SETTINGS"].media_folder), name)
    headers = {"Cache-Control": FOR_EVER, "X-Content-Type-Options": "nosniff"}
    return Response(body, 200, headers, mimetype="image/jpeg")


def _chosen(query: dict[str, Any]) -> dict[str, Any]:
    return {"category": query["category"], "kind": query["kind"], "search": query["q"]}


def _shelf(program: str, query: dict[str, Any], only: Filter, who: mall.Standing = mall.EVERYBODY) -> dict[str, Any]:
    after, limit = decode(query["cursor"], 1), query["limit"]
    rows = mall.shelf(
        programs.known(program).id, after=after[0] if after else 0, limit=limit + 1, at=now(), only=only, who=who
    )
    english = language() == "en"  # asked once: a page asks for it sixty times
    return page(rows, limit, lambda row: _line(row, english=english), lambda row: (row.id,))


def _place(near: str) -> tuple[float, float]:
    latitude, longitude = (float(part) for part in near.split(","))
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        expected = pick("纬度在 ±90、经度在 ±180 之内|latitude within ±90, longitude within ±180")
        raise INVALID_FIELD(fields=[{"field": "near", "expected": expected}])
    return latitude, longitude


def _line(row: Any, *, english: bool) -> dict[str, Any]:
    sizes = {size: avatar(address) for size, address in pictures.addresses(row.picture).items()} if row.picture else {}
    paid_by = row.sponsor and {"name": (english and row.sponsor_en) or row.sponsor, "logo_url": row.logo_url}
    return {
        "id": str(row.id),
        "code": row.code,
        "kind": row.kind,
        "category": row.category,
        "name": (english and row.name_en) or row.name,
        "picture": sizes.get("medium", ""),
        "pictures": sizes,
        "price_credits": row.price_credits,
        "price_fen": row.price_fen,
        "available": row.available,
        "restock_at": row.restock_at and when(row.restock_at),
        "per_person": row.per_person,
        "merchant": (english and row.merchant_en) or row.merchant,
        "paid_by": paid_by or None,
        "sale_from": row.sale_from and when(row.sale_from),
        "sale_until": row.sale_until and when(row.sale_until),
        "on_sale": row.on_sale,
    }


def _slot(row: Any) -> dict[str, Any]:
    return {"id": str(row.id), "starts_at": when(row.starts_at), "ends_at": when(row.ends_at), "free": row.free}


def _near(row: Any) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "name": row.name,
        "address": row.address,
        "opening_hours": row.opening_hours,
        "merchant": either(row.merchant, row.merchant_en),
        "distance_m": row.distance_m,
        "latitude": row.lat_e6 / 1_000_000,
        "longitude": row.lng_e6 / 1_000_000,
    }


def _mine(person_id: int, item_id: int) -> dict[str, Any]:
    head = mall.head(item_id)
    period = "" if head.period_kind is None else clock.period(head.period_kind, clock.business_day(now())).key
    row, place = mall.mine(item_id, person_id, period=period), mall.place_of(person_id, item_id)
    credits = wallets.spendable(person_id, head.program_id, at=now())
    left = [most - (taken or 0) for most, taken in ((row.per_person, row.taken), (row.per_period, row.taken_in_period))
            if most is not None]  # fmt: skip
    return {
        "favourite": row.favourite,
        "in_cart": row.in_cart or 0,
        "for_me": mall.admits(row, mall.standing(head.program_id, person_id)),
        "credits": credits,
        "affordable": credits >= row.price_credits,
        "left_for_me": max(0, min(left)) if left else None,
        "waiting": place and {"state": place.state, "turn": place.turn, "offer_until": when_or_none(place.offer_until)},
    }
