"""My codes: a wallet of promises. Characters are shown on a tap, never in a list; the picture goes stale by itself."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response
from marshmallow import fields, validate

from app import redemptions
from app.clock import now
from app.db import retrying, transaction
from app.errors import NOT_FOUND
from app.people import Login
from edge import schemas
from edge.answers import answer
from edge.paging import PageQuery, decode, page, paged
from edge.routes import asks, gives, refuses
from miniprogram_api.guards import citizen
from miniprogram_api.show import either, when, when_or_none

routes = APIBlueprint("codes", __name__, tag="Codes")
STATES = ("issued", "redeemed", "expired", "refunded", "void")


class CodesQuery(PageQuery):
    """``?state=issued&search=茶``"""

    state = fields.String(load_default=None, validate=validate.OneOf(STATES))
    search = schemas.Text(longest=40, load_default=None)


class CodeLine(schemas.Answer):
    id = fields.String(required=True)
    program = fields.String(required=True)
    order_id = fields.String(required=True)
    title = fields.String(required=True)
    merchant = fields.String(required=True)
    state = fields.String(required=True, metadata={"description": "issued, redeemed, expired, refunded or void"})
    valid_from = fields.String(required=True)
    valid_until = fields.String(required=True)
    how = fields.String(required=True, metadata={"description": "scan; what is delivered or handed out has no picture"})
    uses = fields.Integer(required=True)
    uses_left = fields.Integer(required=True)
    on_expiry = fields.String(
        required=True, metadata={"description": "what becomes of the credits of unused uses: return or forfeit"}
    )
    extendable = fields.Boolean(required=True, metadata={"description": "may be prolonged now, once"})
    used_at = fields.String(required=True, allow_none=True)
    used_in = fields.String(required=True, allow_none=True, metadata={"description": "the shop"})


class CodeShown(schemas.Answer):
    id = fields.String(required=True)
    code = fields.String(required=True, metadata={"description": "to be typed or scanned in the shop"})
    title = fields.String(required=True)
    valid_until = fields.String(required=True)


class PictureText(schemas.Answer):
    id = fields.String(required=True)
    text = fields.String(required=True, metadata={"description": "to be drawn as a QR code"})
    seconds_left = fields.Float(required=True, metadata={"description": "ask again then"})


class Extended(schemas.Answer):
    id = fields.String(required=True)
    valid_until = fields.String(required=True)


@routes.get("/codes")
@citizen()
@asks(CodesQuery)
@gives(paged("CodePage", CodeLine))
def get_codes(login: Login, query: dict[str, Any]) -> Response:
    """My codes

    Newest first, with their state, and when and where they were used; without their characters. `state` keeps one
    state, `search` looks into titles and merchants.
    """
    before, limit = decode(query["cursor"], 1), query["limit"]
    rows = redemptions.codes_of_person(
        login.person_id,
        before=before[0] if before else None,
        limit=limit + 1,
        at=now(),
        state=query["state"],
        search=query["search"],
    )
    return answer(page(rows, limit, code_line, lambda row: (row.id,)))


@routes.post("/codes/<id:code_id>/show")
@citizen()
@gives(CodeShown)
@refuses(
    NOT_FOUND,
    redemptions.CODE_USED,
    redemptions.CODE_EXPIRED,
    redemptions.CODE_NOT_YET,
    redemptions.CODE_REFUNDED,
)
def show_code(login: Login, code_id: int) -> Response:
    """Show a code

    Its characters, for the tap that asks for them. A code that can't be used any more says why.
    """
    code, plain = redemptions.show(code_id=code_id, person_id=login.person_id)
    redemptions.spendable(code, now())
    shown = {
        "id": str(code.id),
        "code": plain,
        "title": either(code.title, code.title_en),
        "valid_until": when(code.valid_until),
    }
    return answer(shown, headers={"Cache-Control": "no-store"})


@routes.get("/codes/<id:code_id>/picture")
@citizen(fresh=True)
@gives(PictureText)
@refuses(NOT_FOUND, redemptions.CODE_USED, redemptions.CODE_EXPIRED, redemptions.CODE_REFUNDED)
def get_picture(login: Login, code_id: int) -> Response:
    """The refreshing picture of a code

    The text to draw as a QR code, and for how many seconds it is the newest. A screenshot of it is refused a minute
    later, and after its first use.
    """
    words, seconds = redemptions.picture_of(code_id=code_id, person_id=login.person_id, at=now())
    shown = {"id": str(code_id), "text": words, "seconds_left": round(seconds, 1)}
    return answer(shown, headers={"Cache-Control": "no-store"})


@routes.post("/codes/<id:code_id>/extend")
@citizen()
@gives(Extended)
@refuses(NOT_FOUND, redemptions.NOT_EXTENDABLE)
def extend(login: Login, code_id: int) -> Response:
    """Prolong a code

    Once, where its item offers that, before its end or within seven days after it. Again is the same answer.
    """

    def command() -> Any:
        with transaction():
            return redemptions.extend(code_id=code_id, person_id=login.person_id, at=now())

    return answer({"id": str(code_id), "valid_until": when(retrying(command))})


def code_line(row: Any) -> dict[str, Any]:
    """A code as it is shown in lists."""
    return {
        "id": str(row.id),
        "program": row.program,
        "order_id": str(row.order_id),
        "title": either(row.title, row.title_en),
        "merchant": either(row.merchant, row.merchant_en),
        "state": row.state,
        "valid_from": when(row.valid_from),
        "valid_until": when(row.valid_until),
        "how": row.how,
        "uses": row.uses,
        "uses_left": row.uses_left,
        "on_expiry": row.on_expiry,
        "extendable": row.extendable,
        "used_at": when_or_none(row.redeemed_at),
        "used_in": row.shop,
    }
