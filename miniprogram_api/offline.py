"""A till without a network, and a shop's figures: keys, signed lists, days, the lines as a file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from apiflask import APIBlueprint
from flask import Response
from marshmallow import fields

from app import clock, limits, merchants, people
from app.clock import now
from app.db import retrying, transaction
from app.errors import FORBIDDEN, INVALID_FIELD
from app.merchants import Merchant, Shop
from app.people import Login
from app.redemptions import history, offline
from app.settlement import sheets
from edge import schemas
from edge.answers import answer
from edge.language import pick
from edge.paging import PageQuery, decode, page, paged
from edge.routes import asks, gives, refuses, takes
from miniprogram_api.guards import clerk
from miniprogram_api.show import either, when

routes = APIBlueprint("offline", __name__, tag="Shops")
CLERK, MANAGER, OWNER = "clerk", "manager", "owner"
FILES = limits.Limit("shop-file", 10, 3_600)
DEVICES = limits.Limit("shop-device", 5, 3_600)
LONGEST = timedelta(days=366)
_DAY = schemas.Pattern(
    r"20[0-9]{2}-[0-9]{2}-[0-9]{2}", expected="应为日期，如 2026-11-25|must be a date such as 2026-11-25", required=True
)


class Device(schemas.Answer):
    device_id = fields.String(required=True)
    key = fields.String(required=True, metadata={"description": "shown this once; kept on the device"})
    expires_at = fields.String(required=True)


class LineIn(schemas.Request):
    seq = schemas.Integer(least=1, most=1_000_000, required=True)
    code = schemas.Text(longest=80, required=True, metadata={"description": "the picture's text"})
    quantity = schemas.Integer(least=1, most=100, load_default=1)
    seen_at = schemas.Moment(required=True)


class ListIn(schemas.Request):
    device_id = schemas.Id(required=True)
    lines = schemas.Items(schemas.Inner(LineIn), shortest=1, longest=offline.MOST_LINES, required=True)
    signature = schemas.Pattern(
        r"[0-9a-fA-F]{64}", expected="应为 64 位十六进制签名|must be 64 hexadecimal digits", required=True
    )


class LineAnswer(schemas.Answer):
    seq = fields.Integer(required=True)
    outcome = fields.String(required=True, metadata={"description": "redeemed, dispute, or why not"})
    redemption_id = fields.String(metadata={"description": "when it was redeemed"})
    gap = fields.List(fields.Integer(), metadata={"description": "numbers missing before this line: from, to"})


class ListAnswer(schemas.Answer):
    lines = fields.List(fields.Nested(LineAnswer), required=True)


class DayLine(schemas.Answer):
    date = fields.String(required=True)
    count = fields.Integer(required=True)
    owed_fen = fields.Integer(required=True)
    undone = fields.Integer(required=True)
    customers = fields.Integer(required=True)
    new_customers = fields.Integer(required=True, metadata={"description": "never before at this merchant"})


class FileQuery(schemas.Request):
    first = _DAY
    last = _DAY


@routes.post("/shops/<id:shop_id>/devices")
@clerk(CLERK, MANAGER, OWNER)
@gives(Device, status=201)
@refuses(merchants.NOT_STAFF, FORBIDDEN)
def post_device(login: Login, shop: Shop, merchant: Merchant) -> Response:
    """A key for scanning without a network

    While online; good for a week, for this clerk in this shop.
    """
    limits.take(DEVICES, f"person:{login.person_id}")
    shop_id = shop.id
    with transaction():
        made, key = offline.device(shop_id=shop_id, person_id=login.person_id, at=now())
        shown = {"device_id": str(made.id), "key": key, "expires_at": when(made.ends_at)}
    return answer(shown, 201, headers={"Cache-Control": "no-store"})


@routes.post("/shops/<id:shop_id>/offline")
@clerk(CLERK, MANAGER, OWNER)
@takes(
    ListIn,
    example={
        "device_id": "1",
        "lines": [{"seq": 1, "code": "DD" + "A" * 47, "quantity": 1, "seen_at": "2026-11-25T10:00:00+08:00"}],
        "signature": "0" * 64,
    },
)
@gives(ListAnswer)
@refuses(merchants.NOT_STAFF, FORBIDDEN, offline.DEVICE_ENDED, offline.LIST_FORGED)
def post_list(login: Login, shop: Shop, merchant: Merchant, body: dict[str, Any]) -> Response:
    """Hand in what was scanned without a network

    Each line is judged in its order: only refreshing pictures inside their step, not older than 48 hours, so many a
    day. Arrival decides: who comes second goes to dispute. The same list again is the same answer. The signature is
    HMAC-SHA-256 with the device's key over `diandi-offline/1`, the device and the lines (see docs/merchants.md).
    """
    shop_id = shop.id
    lines = [offline.Line(**line) for line in body["lines"]]

    def command() -> list[dict[str, Any]]:
        with transaction():
            return offline.upload(
                device_id=body["device_id"],
                shop_id=shop_id,
                person_id=login.person_id,
                lines=lines,
                signed=body["signature"],
                at=now(),
            )

    return answer({"lines": retrying(command)})


@routes.get("/shops/<id:shop_id>/days")
@clerk(MANAGER, OWNER)
@asks(PageQuery)
@gives(paged("DayPage", DayLine))
@refuses(merchants.NOT_STAFF, FORBIDDEN)
def get_days(login: Login, shop: Shop, merchant: Merchant, query: dict[str, Any]) -> Response:
    """The shop's history by day

    Newest first, with new and returning customers.
    """
    at = now()
    before = decode(query["cursor"], 1)
    until = clock.day_start(date.fromordinal(before[0])) if before else at + timedelta(days=1)
    rows = history.days(shop.id, before=until, since=until - LONGEST, limit=query["limit"] + 1)
    return answer(page(rows, query["limit"], day_line, lambda row: (row.day.toordinal(),)))


@routes.get("/shops/<id:shop_id>/redemptions/file")
@clerk(MANAGER, OWNER)
@asks(FileQuery)
@gives({"type": "string", "format": "binary"}, mimetype="text/csv")
@refuses(merchants.NOT_STAFF, FORBIDDEN)
def get_file(login: Login, shop: Shop, merchant: Merchant, query: dict[str, Any]) -> Response:
    """The shop's redemptions as CSV

    From the first to the last day, both included, at most a year; no cell is a formula.
    """
    first, last = _days(query)
    limits.take(FILES, f"person:{login.person_id}")
    head = ["time", "redemption", "title", "quantity", "owed_fen", "clerk", "undone_at", "held"]
    name = f"redemptions-{shop.id}-{first}-{last}.csv"
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "private, no-store",
        "X-Content-Type-Options": "nosniff",
    }
    out = io.StringIO(newline="")
    sheets.write_csv(out, head, _rows(shop.id, first, last))
    return Response(out.getvalue().encode(), 200, headers, content_type="text/csv; charset=utf-8")


def day_line(row: Any) -> dict[str, Any]:
    """A day of a shop as it is shown."""
    names = ("count", "owed_fen", "undone", "customers", "new_customers")
    return {"date": row.day.isoformat(), **{name: getattr(row, name) for name in names}}


def _days(query: dict[str, Any]) -> tuple[date, date]:
    try:
        first, last = date.fromisoformat(query["first"]), date.fromisoformat(query["last"])
    except ValueError as error:
        raise INVALID_FIELD(fields={"first": pick("日期不存在|there is no such day")}) from error
    if not first <= last <= first + LONGEST:
        raise INVALID_FIELD(fields={"last": pick("应不早于 first 且不超过一年|from `first` on, at most a year")})
    return first, last


def _rows(shop_id: int, first: date, last: date) -> Iterator[list[Any]]:
    for row in history.lines(shop_id, first=first, last=last):
        held = row.held_reason if row.held_reason and row.released_at is None else ""
        yield [
            when(row.redeemed_at),
            str(row.id),
            either(row.title, row.title_en),
            row.quantity,
            row.owed_fen + row.cash_fen,
            people.masked(row.nickname, row.pseudonym),
            when(row.undone_at) if row.undone_at else "",
            held,
        ]
