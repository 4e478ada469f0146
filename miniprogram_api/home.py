"""The home page, in one answer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from apiflask import APIBlueprint
from flask import Response
from marshmallow import fields

from app import clock, home, programs
from app.clock import now
from app.funding import wallets
from app.people import Login
from edge import schemas
from edge.answers import answer
from edge.routes import gives
from miniprogram_api import me, wallet
from miniprogram_api.guards import citizen
from miniprogram_api.show import either, when, when_or_none

routes = APIBlueprint("home", __name__, tag="Home")
EXPIRES_SOON = timedelta(days=30)


class Today(schemas.Answer):
    date = fields.String(required=True, metadata={"description": "the day in Shanghai"})
    mg = fields.String(required=True, metadata={"description": "milligrams of CO2e avoided by today's acts"})
    credits = fields.Integer(required=True, metadata={"description": "paid for today's acts"})
    pending_credits = fields.Integer(required=True)
    acts = fields.Integer(required=True)


class Total(schemas.Answer):
    mg = fields.String(required=True, metadata={"description": "over all programs, no act twice"})
    credits = fields.Integer(required=True, metadata={"description": "can be spent now, over all programs"})


class WaitingShown(schemas.Answer):
    kind = fields.String(
        required=True, metadata={"description": "review, budget, day (it still grows), appeal, code (to be used)"}
    )
    program = fields.String(required=True)
    count = fields.Integer(required=True)
    credits = fields.Integer(required=True)
    since = fields.String(required=True)
    until = fields.String(required=True, allow_none=True, metadata={"description": "null when nobody can promise"})


class NextStep(schemas.Answer):
    code = fields.String(required=True)
    text = fields.String(required=True)


class Home(schemas.Answer):
    today = fields.Nested(Today, required=True)
    total = fields.Nested(Total, required=True)
    wallets = fields.List(fields.Nested(wallet.WalletShown), required=True)
    pending = fields.List(fields.Nested(WaitingShown), required=True)
    expiring_credits = fields.Integer(required=True, metadata={"description": "within 30 days"})
    unread_notices = fields.Integer(required=True)
    programs = fields.List(fields.Nested(me.MyProgram), required=True)
    next_step = fields.Nested(NextStep, required=True)


@routes.get("/home")
@citizen()
@gives(Home)
def get_home(login: Login) -> Response:
    """The home page

    Today's grams and credits, what I have, what waits and until when, what expires soon, and the next step.
    """
    at, person = now(), login.person_id
    today, waits = home.today(person, day=clock.business_day(at)), home.waiting(person, at=at)
    rows, lots = wallets.of_person(person, at=at), wallets.lots_of(person, at=at)
    mine = programs.memberships_shown(person)
    expiring = sum(lot.credits for lot in lots if lot.expires_at <= at + EXPIRES_SOON)
    available = sum(row.available for row in rows)
    step = home.next_step(programs=len(mine), waiting=waits, today=today, available=available, expiring=expiring)
    return answer(
        {
            "today": {
                "date": clock.business_day(at).isoformat(),
                "mg": str(today.mg),
                "credits": today.credits,
                "pending_credits": today.pending_credits,
                "acts": today.acts,
            },
            "total": {"mg": str(sum(row.mg for row in rows)), "credits": available},
            "wallets": wallet.shown(rows, lots),
            "pending": [_waiting(one) for one in waits],
            "expiring_credits": expiring,
            "unread_notices": today.unread_notices,
            "programs": [me.program_line(row) for row in mine],
            "next_step": {"code": step.code, "text": either(step.zh, step.en)},
        }
    )


def _waiting(one: home.Waiting) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "program": one.program,
        "count": one.count,
        "credits": one.credits,
        "since": when(one.since),
        "until": when_or_none(one.until),
    }
