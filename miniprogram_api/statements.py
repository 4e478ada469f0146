"""The owner's side of settlement: statements with their lines as pages and files, disputes, where we pay to."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import IO, Any

from apiflask import APIBlueprint
from flask import Response
from marshmallow import fields

from app import limits, settlement
from app.clock import now
from app.db import retrying, transaction
from app.errors import FORBIDDEN, INVALID_FIELD, NOT_FOUND, STATE_CONFLICT
from app.merchants import NOT_STAFF, Merchant, Shop
from app.people import Login
from edge import schemas
from edge.answers import answer
from edge.paging import PageQuery, decode, page, paged
from edge.routes import asks, gives, refuses, takes
from miniprogram_api.guards import clerk
from miniprogram_api.show import when, when_or_none

routes = APIBlueprint("statements", __name__, tag="Shops")
OWNER = "owner"
BLOCK = 1 << 16
FILES = limits.Limit("statement-file", 10, 3_600)


class StatementShown(schemas.Answer):
    id = fields.String(required=True)
    period = fields.String(required=True, metadata={"description": "such as 2026-11, or final"})
    starts_at = fields.String(required=True, allow_none=True)
    ends_at = fields.String(required=True, metadata={"description": "exclusive"})
    lines = fields.Integer(required=True)
    redeemed_fen = fields.Integer(required=True)
    corrected_fen = fields.Integer(required=True, metadata={"description": "of what was taken back; not above 0"})
    carried_fen = fields.Integer(required=True, metadata={"description": "from the statement before; not above 0"})
    total_fen = fields.Integer(required=True)
    content_hash = fields.String(required=True, metadata={"description": "SHA-256 over every line"})
    state = fields.String(required=True, metadata={"description": "issued, approved, paid or carried"})
    dispute_until = fields.String(required=True, allow_none=True)
    open_disputes = fields.Integer(required=True)
    accepted_at = fields.String(required=True, allow_none=True)
    paid_at = fields.String(required=True, allow_none=True)
    bank_reference = fields.String(required=True, allow_none=True)
    account = fields.String(required=True, allow_none=True, metadata={"description": "masked"})
    invoice_no = fields.String(required=True, allow_none=True)


class LineShown(schemas.Answer):
    line = fields.Integer(required=True)
    kind = fields.String(required=True, metadata={"description": "redeem, undo (by the shop) or correct (by us)"})
    redemption_id = fields.String(required=True)
    code_id = fields.String(required=True)
    order_id = fields.String(required=True)
    shop = fields.String(required=True)
    title = fields.String(required=True)
    quantity = fields.Integer(required=True)
    at = fields.String(required=True)
    owed_fen = fields.Integer(required=True, metadata={"description": "paid by sponsors"})
    cash_fen = fields.Integer(required=True, metadata={"description": "paid by the customer through WeChat Pay"})
    amount_fen = fields.Integer(required=True)
    corrects = fields.String(required=True, allow_none=True, metadata={"description": "statement/line taken back"})
    dispute = fields.String(required=True, allow_none=True, metadata={"description": "its newest dispute's state"})
    answer = fields.String(required=True, allow_none=True)


class FileQuery(schemas.Request):
    format = schemas.OneOf("csv", "xlsx", load_default="csv")


class DisputeIn(schemas.Request):
    line = schemas.Integer(least=1, load_default=None, allow_none=True, metadata={"description": "none: the whole"})
    words = schemas.Text(longest=500, lines=True, required=True)


class DisputeShown(schemas.Answer):
    id = fields.String(required=True)
    line = fields.Integer(required=True, allow_none=True)
    words = fields.String(required=True)
    state = fields.String(required=True)


class AccountIn(schemas.Request):
    holder = schemas.Text(longest=60, required=True, metadata={"description": "as the bank has it"})
    bank = schemas.Text(longest=60, required=True)
    number = schemas.Text(longest=40, required=True, metadata={"description": "8 to 30 digits; kept encrypted"})


class PayoutAccountShown(schemas.Answer):
    id = fields.String(required=True)
    bank = fields.String(required=True)
    account = fields.String(required=True, metadata={"description": "masked"})
    state = fields.String(required=True, metadata={"description": "asked, active, ended or refused"})
    usable_from = fields.String(required=True, allow_none=True)


class PayoutAccounts(schemas.Answer):
    items = fields.List(fields.Nested(PayoutAccountShown), required=True)


class InvoicingIn(schemas.Request):
    title = schemas.Text(longest=100, required=True)
    tax_no = schemas.Text(longest=20, required=True)


class InvoicingShown(schemas.Answer):
    title = fields.String(required=True)
    tax_no = fields.String(required=True)


@routes.get("/shops/<id:shop_id>/statements")
@clerk(OWNER)
@asks(PageQuery)
@gives(paged("StatementPages", StatementShown))
@refuses(NOT_STAFF, FORBIDDEN)
def get_statements(login: Login, shop: Shop, merchant: Merchant, query: dict[str, Any]) -> Response:
    """The merchant's statements

    Newest first, over all its shops, from the day they are issued. For owners.
    """
    before = decode(query["cursor"], 1)
    rows = settlement.of_merchant(merchant.id, before=before[0] if before else None, limit=query["limit"] + 1)
    return answer(page(rows, query["limit"], _statement, lambda row: (row.id,)))


@routes.get("/shops/<id:shop_id>/statements/<id:statement_id>/lines")
@clerk(OWNER)
@asks(PageQuery)
@gives(paged("StatementLines", LineShown))
@refuses(NOT_STAFF, FORBIDDEN, NOT_FOUND)
def get_lines(login: Login, shop: Shop, merchant: Merchant, query: dict[str, Any], statement_id: int) -> Response:
    """A statement's lines

    Each names the redemption, the code, the order and the time; what was taken back names the line that it corrects.
    """
    settlement.one_of_merchant(merchant.id, statement_id)
    after = decode(query["cursor"], 1)
    rows = settlement.lines(statement_id, after=after[0] if after else 0, limit=query["limit"] + 1)
    return answer(page(rows, query["limit"], _line, lambda row: (row.line_no,)))


@routes.get("/shops/<id:shop_id>/statements/<id:statement_id>/file")
@clerk(OWNER)
@asks(FileQuery)
@gives({"type": "string", "format": "binary"}, mimetype="text/csv")
@refuses(NOT_STAFF, FORBIDDEN, NOT_FOUND)
def get_file(login: Login, shop: Shop, merchant: Merchant, query: dict[str, Any], statement_id: int) -> Response:
    """A statement as a file

    CSV or XLSX, the same bytes each time; no cell is a formula.
    """
    shown, form = settlement.one_of_merchant(merchant.id, statement_id), query["format"]
    limits.take(FILES, str(login.person_id))
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the last block is sent
    settlement.write(settlement.get(statement_id), file, form=form)
    size = file.tell()
    headers = {
        "Content-Disposition": f'attachment; filename="statement-{shown.period}-{statement_id}.{form}"',
        "Content-Length": str(size),
        "Cache-Control": "private, no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(_blocks(file), 200, headers, content_type=settlement.FORMATS[form])


@routes.post("/shops/<id:shop_id>/statements/<id:statement_id>/disputes")
@clerk(OWNER)
@takes(DisputeIn, example={"line": 1, "words": "当天是两份，请核对"})
@gives(DisputeShown, status=201)
@refuses(NOT_STAFF, FORBIDDEN, NOT_FOUND, settlement.DISPUTE_OVER)
def post_dispute(login: Login, shop: Shop, merchant: Merchant, body: dict[str, Any], statement_id: int) -> Response:
    """Disagree with a line, or the whole

    Within seven days of its issue; nothing is approved before it is answered.
    """
    merchant_id, at = merchant.id, now()

    def command() -> dict[str, Any]:
        with transaction():
            settlement.one_of_merchant(merchant_id, statement_id)
            made = settlement.dispute(
                statement_id=statement_id, line_no=body["line"], person_id=login.person_id, words=body["words"], at=at
            )
            return {"id": str(made.id), "line": made.line_no, "words": made.words, "state": made.state}

    return answer(retrying(command), 201)


@routes.post("/shops/<id:shop_id>/statements/<id:statement_id>/accept")
@clerk(OWNER)
@gives(StatementShown)
@refuses(NOT_STAFF, FORBIDDEN, NOT_FOUND, STATE_CONFLICT, settlement.STATEMENT_DISPUTED)
def post_accept(login: Login, shop: Shop, merchant: Merchant, statement_id: int) -> Response:
    """Agree with a statement before the seven days are over

    So that it can be approved and paid sooner.
    """
    merchant_id, at = merchant.id, now()

    def command() -> dict[str, Any]:
        with transaction():
            settlement.one_of_merchant(merchant_id, statement_id)
            settlement.accept(statement_id=statement_id, person_id=login.person_id, at=at)
            return _statement(settlement.one_of_merchant(merchant_id, statement_id))

    return answer(retrying(command))


@routes.get("/shops/<id:shop_id>/payout-accounts")
@clerk(OWNER)
@gives(PayoutAccounts)
@refuses(NOT_STAFF, FORBIDDEN)
def get_accounts(login: Login, shop: Shop, merchant: Merchant) -> Response:
    """Where the merchant is paid

    Newest first, masked.
    """
    return answer({"items": [_account(one) for one in settlement.accounts_of(merchant.id)]})


@routes.post("/shops/<id:shop_id>/payout-accounts")
@clerk(OWNER)
@takes(AccountIn, example={"holder": "王小店", "bank": "工商银行成都分行", "number": "6222000011112222333"})
@gives(PayoutAccountShown, status=201)
@refuses(NOT_STAFF, FORBIDDEN, INVALID_FIELD, STATE_CONFLICT)
def post_account(login: Login, shop: Shop, merchant: Merchant, body: dict[str, Any]) -> Response:
    """Ask for another payout account

    A person of ours approves it; it is usable 24 hours later. All owners are told at once.
    """
    with transaction():
        made = settlement.ask_account(
            merchant=merchant, asked_by=f"person:{login.person_id}", reason="owner", at=now(), **body
        )
        shown = _account(made)
    return answer(shown, 201)


@routes.put("/shops/<id:shop_id>/invoicing")
@clerk(OWNER)
@takes(InvoicingIn, example={"title": "成都小店有限公司", "tax_no": "91510100MA6C12340X"})
@gives(InvoicingShown)
@refuses(NOT_STAFF, FORBIDDEN, INVALID_FIELD)
def put_invoicing(login: Login, shop: Shop, merchant: Merchant, body: dict[str, Any]) -> Response:
    """Title and tax number for the merchant's invoices"""
    with transaction():
        by = f"person:{login.person_id}"
        kept = settlement.set_invoicing(merchant_id=merchant.id, by=by, at=now(), **body)
        shown = {"title": kept.title, "tax_no": kept.tax_no}
    return answer(shown)


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        file.seek(0)
        while block := file.read(BLOCK):
            yield block


def _statement(row: Any) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "period": row.period,
        "starts_at": when_or_none(row.starts_at),
        "ends_at": when(row.ends_at),
        "lines": row.lines,
        "redeemed_fen": row.redeemed_fen,
        "corrected_fen": row.corrected_fen,
        "carried_fen": row.carried_in_fen,
        "total_fen": row.total_fen,
        "content_hash": bytes(row.content_hash).hex(),
        "state": row.state,
        "dispute_until": when_or_none(row.dispute_until),
        "open_disputes": row.open_disputes,
        "accepted_at": when_or_none(row.accepted_at),
        "paid_at": when_or_none(row.paid_at),
        "bank_reference": row.bank_reference,
        "account": row.account,
        "invoice_no": row.invoice_no,
    }


def _line(row: Any) -> dict[str, Any]:
    corrects = f"{row.corrects_statement_id}/{row.corrects_line_no}" if row.corrects_line_no else None
    return {
        "line": row.line_no,
        "kind": row.kind,
        "redemption_id": str(row.redemption_id),
        "code_id": str(row.code_id),
        "order_id": str(row.order_id),
        "shop": row.shop,
        "title": row.title,
        "quantity": row.quantity,
        "at": when(row.happened_at),
        "owed_fen": row.owed_fen,
        "cash_fen": row.cash_fen,
        "amount_fen": row.amount_fen,
        "corrects": corrects,
        "dispute": row.dispute_state,
        "answer": row.dispute_answer,
    }


def _account(one: settlement.PayoutAccount) -> dict[str, Any]:
    return {
        "id": str(one.id),
        "bank": one.bank,
        "account": one.masked,
        "state": one.state,
        "usable_from": when_or_none(one.usable_from),
    }
