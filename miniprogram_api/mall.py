"""The mall: what credits can become. Everybody may look."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response
from marshmallow import fields

from app import mall, merchants, programs
from app.clock import now
from app.errors import NOT_FOUND
from edge import schemas
from edge.answers import public_answer
from edge.guards import public
from edge.paging import PageQuery, decode, page, paged
from edge.routes import asks, gives, refuses
from miniprogram_api.show import either, when_or_none
from miniprogram_api.wallet import SponsorShown

routes = APIBlueprint("mall", __name__, tag="Mall")


class ItemLine(schemas.Answer):
    id = fields.String(required=True)
    code = fields.String(required=True)
    kind = fields.String(required=True)
    name = fields.String(required=True)
    picture = fields.String(required=True)
    price_credits = fields.Integer(required=True)
    price_fen = fields.Integer(required=True, metadata={"description": "the cash part, by WeChat Pay; 0 for none"})
    available = fields.Integer(required=True)
    per_person = fields.Integer(required=True, allow_none=True, metadata={"description": "most for one person"})
    merchant = fields.String(required=True)
    paid_by = fields.Nested(SponsorShown, required=True, allow_none=True)
    sale_until = fields.String(required=True, allow_none=True)


class ShopLine(schemas.Answer):
    name = fields.String(required=True)
    address = fields.String(required=True)


class ItemShown(ItemLine):
    text = fields.String(required=True)
    sale_from = fields.String(required=True, allow_none=True)
    on_sale = fields.Boolean(required=True)
    valid_days = fields.Integer(required=True, metadata={"description": "a code may be used for so long"})
    shops = fields.List(fields.Nested(ShopLine), required=True, metadata={"description": "where it can be used"})


@routes.get("/programs/<code:program>/items")
@public()
@asks(PageQuery)
@gives(paged("ItemPage", ItemLine))
@refuses(NOT_FOUND)
def get_items(query: dict[str, Any], program: str) -> Response:
    """Items on sale

    With the price in credits, what is left, and who pays for it.
    """
    after, limit = decode(query["cursor"], 1), query["limit"]

    def build() -> dict[str, Any]:
        program_id = programs.known(program).id
        rows = mall.shelf(program_id, after=after[0] if after else 0, limit=limit + 1, at=now())
        return page(rows, limit, _line, lambda row: (row.id,))

    return public_answer(("items", program, after, limit), build)


@routes.get("/programs/<code:program>/items/<id:item_id>")
@public()
@gives(ItemShown)
@refuses(NOT_FOUND)
def get_item(program: str, item_id: int) -> Response:
    """One item

    Also when it is sold no longer: those who hold a code want to read what it is for.
    """

    def build() -> dict[str, Any]:
        row = mall.item(programs.known(program).id, item_id, at=now())
        return {
            **_line(row),
            "text": either(row.text_zh, row.text_en),
            "sale_from": when_or_none(row.sale_from),
            "on_sale": row.on_sale,
            "valid_days": row.valid_days,
            "shops": [{"name": shop.name, "address": shop.address} for shop in merchants.shops(row.merchant_id)],
        }

    return public_answer(("item", program, item_id), build)


def _line(row: Any) -> dict[str, Any]:
    paid_by = row.sponsor and {"name": either(row.sponsor, row.sponsor_en), "logo_url": row.logo_url}
    return {
        "id": str(row.id),
        "code": row.code,
        "kind": row.kind,
        "name": either(row.name, row.name_en),
        "picture": row.picture,
        "price_credits": row.price_credits,
        "price_fen": row.price_fen,
        "available": row.available,
        "per_person": row.per_person,
        "merchant": either(row.merchant, row.merchant_en),
        "paid_by": paid_by or None,
        "sale_until": when_or_none(row.sale_until),
    }
