"""My wallets, one per program, and the full statement of each."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response
from marshmallow import fields

from app import orders, programs, welfare
from app.clock import now
from app.errors import NOT_FOUND
from app.funding import wallets
from app.ledger import statement
from app.people import Login
from edge import schemas
from edge.answers import answer
from edge.paging import PageQuery, decode, page, paged
from edge.routes import asks, gives, refuses
from miniprogram_api.guards import citizen
from miniprogram_api.show import either, when

routes = APIBlueprint("wallet", __name__, tag="Wallet")


class SponsorShown(schemas.Answer):
    name = fields.String(required=True)
    logo_url = fields.String(required=True)


class Lot(schemas.Answer):
    expires_at = fields.String(required=True)
    credits = fields.Integer(required=True)
    paid_by = fields.Nested(SponsorShown, required=True)


class WalletShown(schemas.Answer):
    program = fields.String(required=True)
    name = fields.String(required=True)
    credits = fields.Integer(required=True, metadata={"description": "can be spent now"})
    pending_credits = fields.Integer(required=True, metadata={"description": "earned, waiting for the budget"})
    held_credits = fields.Integer(required=True, metadata={"description": "kept for orders that are not paid yet"})
    carry_micro = fields.Integer(
        required=True, metadata={"description": "millionths of a credit, carried to the next whole one"}
    )
    debt_credits = fields.Integer(required=True, metadata={"description": "owed; later credits pay it first"})
    mg = fields.String(required=True, metadata={"description": "milligrams of CO2e avoided so far"})
    lots = fields.List(fields.Nested(Lot), required=True, metadata={"description": "first to expire first"})


class Wallets(schemas.Answer):
    items = fields.List(fields.Nested(WalletShown), required=True)


class Link(schemas.Answer):
    kind = fields.String(required=True, metadata={"description": "record, order or gift"})
    id = fields.String(required=True)


class StatementLine(schemas.Answer):
    seq = fields.String(required=True, metadata={"description": "counts from 1 without a gap"})
    posted_at = fields.String(required=True)
    credits = fields.Integer(required=True, metadata={"description": "signed"})
    balance = fields.Integer(required=True, metadata={"description": "after this line"})
    reason = fields.String(required=True)
    text = fields.String(required=True)
    source_ref = fields.String(required=True)
    transfer_id = fields.String(required=True)
    link = fields.Nested(Link, required=True, allow_none=True)


@routes.get("/wallet")
@citizen()
@gives(Wallets)
def get_wallet(login: Login) -> Response:
    """What I have

    Per program, in my order: credits, what waits, what is carried or owed, grams, and what expires when.
    """
    at = now()
    return answer({"items": shown(wallets.of_person(login.person_id, at=at), wallets.lots_of(login.person_id, at=at))})


@routes.get("/wallet/<code:program>/statement")
@citizen()
@asks(PageQuery)
@gives(paged("StatementPage", StatementLine))
@refuses(NOT_FOUND)
def get_statement(login: Login, query: dict[str, Any], program: str) -> Response:
    """My statement

    Every movement of my credits in a program, newest first, with the balance after it and what it came from.
    """
    before = decode(query["cursor"], 1)
    account_id = wallets.credits_account(login.person_id, programs.known(program).id)
    rows = statement.statement(account_id, before=before[0] if before else None, limit=query["limit"] + 1)
    links = _links(login.person_id, rows)
    return answer(page(rows, query["limit"], lambda row: _line(row, links), lambda row: (row.seq,)))


def shown(rows: list[Any], lots: list[Any]) -> list[dict[str, Any]]:
    """Wallets with their lots, for the page of the wallet and the home page."""
    by_wallet: dict[int, list[dict[str, Any]]] = {}
    for lot in lots:
        paid_by = {"name": either(lot.sponsor, lot.sponsor_en), "logo_url": lot.logo_url}
        line = {"expires_at": when(lot.expires_at), "credits": lot.credits, "paid_by": paid_by}
        by_wallet.setdefault(lot.wallet_id, []).append(line)
    return [
        {
            "program": row.code,
            "name": either(row.name, row.name_en),
            "credits": row.available,
            "pending_credits": row.pending,
            "held_credits": row.held,
            "carry_micro": row.carry_micro,
            "debt_credits": row.debt_credits,
            "mg": str(row.mg),
            "lots": by_wallet.get(row.id, []),
        }
        for row in rows
    ]


def _links(person_id: int, rows: list[statement.Line]) -> dict[int, dict[str, str]]:
    """What the movements of a page came from, by transfer: a record by its reference, orders and gifts by theirs."""
    found = {}
    for row in rows:
        kind, _, rest = row.source_ref.partition(":")
        if kind == "record" and rest.isdigit():
            found[row.transfer_id] = {"kind": "record", "id": rest}
    spent = [row.transfer_id for row in rows if row.amount < 0 and row.transfer_id not in found]
    if spent:
        for kind, ids in (
            ("order", orders.of_transfers(person_id, spent)),
            ("gift", welfare.gifts_of_transfers(person_id, spent)),
        ):
            found |= {transfer: {"kind": kind, "id": str(made)} for transfer, made in ids.items()}
    return found


def _line(row: statement.Line, links: dict[int, dict[str, str]]) -> dict[str, Any]:
    return {
        "seq": str(row.seq),
        "posted_at": when(row.posted_at),
        "credits": row.amount,
        "balance": row.balance_after,
        "reason": row.reason,
        "text": either(*statement.words(row.reason)),
        "source_ref": row.source_ref,
        "transfer_id": str(row.transfer_id),
        "link": links.get(row.transfer_id),
    }
