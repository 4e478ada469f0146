"""Merchants help themselves: becoming one, who works where, a shop's settings, pausing, leaving."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response
from marshmallow import fields

from app import limits, merchants, offers, people, programs
from app.clock import now
from app.db import retrying, transaction
from app.errors import FORBIDDEN, INVALID_FIELD, NOT_FOUND
from app.merchants import Merchant, Shop, applying, running, staffing
from app.people import Login
from edge import schemas
from edge.answers import answer, nothing
from edge.language import pick
from edge.routes import gives, refuses, takes
from miniprogram_api.guards import citizen, clerk
from miniprogram_api.show import either, when, when_or_none

routes = APIBlueprint("business", __name__, tag="Merchants")
CLERK, MANAGER, OWNER = "clerk", "manager", "owner"
APPLYING = limits.Limit("merchant-application", 5, 86_400)
JOINING = limits.Limit("staff-invitation", 20, 600)
_PHONE = schemas.Pattern(r"\+?[0-9][0-9 -]{5,19}", expected="应为电话号码|must be a phone number", required=True)


class ShopIn(schemas.Request):
    name = schemas.Text(longest=40, required=True)
    address = schemas.Text(longest=120, required=True)
    opening_hours = schemas.Text(longest=80, shortest=0, load_default="")
    lat_e6 = schemas.Integer(least=-90_000_000, most=90_000_000, load_default=None, allow_none=True)
    lng_e6 = schemas.Integer(least=-180_000_000, most=180_000_000, load_default=None, allow_none=True)


class ApplicationIn(schemas.Request):
    program = schemas.code(required=True)
    name = schemas.Text(longest=60, required=True)
    name_en = schemas.Text(longest=60, shortest=0, load_default="")
    licence_no = schemas.Pattern(
        r"[0-9A-Za-z]{18}",
        expected="应为 18 位统一社会信用代码|must be the 18 characters of the licence",
        required=True,
    )
    phone = _PHONE
    shops = schemas.Items(schemas.Inner(ShopIn), shortest=1, longest=50, required=True)


class ApplicationShown(schemas.Answer):
    id = fields.String(required=True)
    name = fields.String(required=True)
    state = fields.String(required=True, metadata={"description": "submitted, approved, refused or withdrawn"})
    reason = fields.String(required=True, metadata={"description": "why it was refused"})
    asked_at = fields.String(required=True)
    decided_at = fields.String(required=True, allow_none=True)


class Applications(schemas.Answer):
    items = fields.List(fields.Nested(ApplicationShown), required=True)


class InvitationIn(schemas.Request):
    role = schemas.OneOf(CLERK, MANAGER, OWNER, required=True)


class InvitationShown(schemas.Answer):
    token = fields.String(required=True, metadata={"description": "shown this once: as a QR code, or told"})
    role = fields.String(required=True)
    expires_at = fields.String(required=True)


class JoinIn(schemas.Request):
    token = schemas.Pattern(r"[0-9A-Za-z_-]{22}", expected="应为邀请码|must be an invitation", required=True)


class Hired(schemas.Answer):
    shop_id = fields.String(required=True)
    role = fields.String(required=True)


class StaffShown(schemas.Answer):
    person_id = fields.String(required=True)
    name = fields.String(required=True, metadata={"description": "masked"})
    role = fields.String(required=True)
    since = fields.String(required=True)


class StaffList(schemas.Answer):
    items = fields.List(fields.Nested(StaffShown), required=True)


class SettingsIn(schemas.Request):
    address = schemas.Text(longest=120)
    opening_hours = schemas.Text(longest=80, shortest=0)
    phone = schemas.Text(longest=20, shortest=0)
    daily_quota = schemas.Integer(
        least=1, most=100_000, allow_none=True, metadata={"description": "redemptions a day; null: no limit"}
    )
    lat_e6 = schemas.Integer(least=-90_000_000, most=90_000_000, metadata={"description": "millionths of a degree"})
    lng_e6 = schemas.Integer(least=-180_000_000, most=180_000_000)


class ShopSettings(schemas.Answer):
    id = fields.String(required=True)
    name = fields.String(required=True)
    address = fields.String(required=True)
    opening_hours = fields.String(required=True)
    phone = fields.String(required=True)
    daily_quota = fields.Integer(required=True, allow_none=True)
    lat_e6 = fields.Integer(required=True, allow_none=True)
    lng_e6 = fields.Integer(required=True, allow_none=True)
    state = fields.String(required=True, metadata={"description": "open, paused or closed"})
    pause_reason = fields.String(required=True, allow_none=True)
    merchant_state = fields.String(required=True, metadata={"description": "active, paused, leaving or left"})


class PauseIn(schemas.Request):
    reason = schemas.Text(longest=80, required=True)


@routes.post("/merchants/applications")
@citizen()
@takes(
    ApplicationIn,
    example={
        "program": "rongcheng",
        "name": "蓉城茶馆",
        "licence_no": "91350100M000100Y43",
        "phone": "13800138000",
        "shops": [{"name": "宽窄巷子店", "address": "青羊区宽巷子 1 号", "lat_e6": 30663500, "lng_e6": 104055600}],
    },
)
@gives(ApplicationShown, status=201)
@refuses(NOT_FOUND, merchants.LICENCE_WRONG, merchants.LICENCE_KNOWN)
def apply(login: Login, body: dict[str, Any]) -> Response:
    """Ask to become a merchant

    With the business licence and the shops. An operator approves or says why not; until then the same licence may be
    sent again with better words. Whoever asked is the owner.
    """
    limits.take(APPLYING, f"person:{login.person_id}")

    def command() -> dict[str, Any]:
        with transaction():
            made = applying.apply(
                program_id=programs.by_code(body["program"]).id,
                person_id=login.person_id,
                at=now(),
                **{name: body[name] for name in ("name", "name_en", "licence_no", "phone", "shops")},
            )
            return _application(made)

    return answer(retrying(command), 201)


@routes.get("/merchants/applications")
@citizen()
@gives(Applications)
def get_applications(login: Login) -> Response:
    """What I asked for, and what became of it"""
    return answer({"items": [_application(one) for one in applying.applications_of(login.person_id)]})


@routes.post("/shops/join")
@citizen()
@takes(JoinIn, example={"token": "Zk3vX9q0T1s7Lw2uYb5Rn8"})
@gives(Hired, status=201)
@refuses(merchants.STAFF_INVITATION_INVALID, merchants.LAST_OWNER)
def join(login: Login, body: dict[str, Any]) -> Response:
    """Take a job in a shop

    By the invitation that an owner or manager shows: good once, for a day.
    """
    limits.take(JOINING, f"person:{login.person_id}")

    def command() -> dict[str, str]:
        with transaction():
            made = staffing.accept(token=body["token"], person_id=login.person_id, at=now())
            return {"shop_id": str(made.shop_id), "role": made.role}

    return answer(retrying(command), 201)


@routes.post("/shops/<id:shop_id>/invitations")
@clerk(MANAGER, OWNER)
@takes(InvitationIn, example={"role": "clerk"})
@gives(InvitationShown, status=201)
@refuses(merchants.NOT_STAFF, FORBIDDEN)
def invite(login: Login, shop: Shop, merchant: Merchant, body: dict[str, Any]) -> Response:
    """Invite somebody to work here

    Owners invite everybody, managers clerks. The code is shown this once.
    """
    shop_id, role = shop.id, _role(login, shop.id)
    with transaction():
        token, ends = staffing.invite(
            shop_id=shop_id, role=body["role"], by_person=login.person_id, by_role=role, at=now()
        )
    shown = {"token": token, "role": body["role"], "expires_at": when(ends)}
    return answer(shown, 201, headers={"Cache-Control": "no-store"})


@routes.get("/shops/<id:shop_id>/staff")
@clerk(MANAGER, OWNER)
@gives(StaffList)
@refuses(merchants.NOT_STAFF, FORBIDDEN)
def get_staff(login: Login, shop: Shop, merchant: Merchant) -> Response:
    """Who works here"""
    shown = [
        {
            "person_id": str(row.person_id),
            "name": people.masked(row.nickname, row.pseudonym),
            "role": row.role,
            "since": when(row.active_from),
        }
        for row in staffing.staff_of(shop.id)
    ]
    return answer({"items": shown})


@routes.delete("/shops/<id:shop_id>/staff/<id:person_id>")
@clerk(MANAGER, OWNER)
@gives(None, status=204)
@refuses(merchants.NOT_STAFF, FORBIDDEN, NOT_FOUND, merchants.LAST_OWNER)
def dismiss(login: Login, shop: Shop, merchant: Merchant, person_id: int) -> Response:
    """End somebody's work

    At once: the next scan is refused. A shop keeps one owner.
    """
    shop_id, role = shop.id, _role(login, shop.id)

    def command() -> None:
        with transaction():
            staffing.dismiss_by(shop_id=shop_id, person_id=person_id, by_person=login.person_id, by_role=role, at=now())

    retrying(command)
    return nothing()


@routes.put("/shops/<id:shop_id>/settings")
@clerk(MANAGER, OWNER)
@takes(SettingsIn, example={"opening_hours": "10:00-22:00", "daily_quota": 100})
@gives(ShopSettings)
@refuses(merchants.NOT_STAFF, FORBIDDEN)
def put_settings(login: Login, shop: Shop, merchant: Merchant, body: dict[str, Any]) -> Response:
    """A shop's address, hours, place and daily number

    What is left out stays.
    """
    shop_id = shop.id
    if ("lat_e6" in body) != ("lng_e6" in body):
        raise INVALID_FIELD(fields={"lat_e6": pick("经纬度应一起提交|send both of lat_e6 and lng_e6")})
    with transaction():
        running.change_shop(shop_id=shop_id, changes=body, by=f"person:{login.person_id}", at=now())
    return _settings(shop, merchant)


@routes.get("/shops/<id:shop_id>/settings")
@clerk(CLERK, MANAGER, OWNER)
@gives(ShopSettings)
@refuses(merchants.NOT_STAFF, FORBIDDEN)
def get_settings(login: Login, shop: Shop, merchant: Merchant) -> Response:
    """A shop's settings and whether it is paused"""
    return _settings(shop, merchant)


@routes.post("/shops/<id:shop_id>/pause")
@clerk(MANAGER, OWNER)
@takes(PauseIn, example={"reason": "盘点，下午两点恢复"})
@gives(ShopSettings)
@refuses(merchants.NOT_STAFF, FORBIDDEN)
def pause(login: Login, shop: Shop, merchant: Merchant, body: dict[str, Any]) -> Response:
    """Pause redeeming

    From this moment on; who has looked at a code before is told at the confirmation.
    """
    shop_id = shop.id
    with transaction():
        running.pause_shop(shop_id=shop_id, reason=body["reason"], by=f"person:{login.person_id}", at=now())
    return _settings(shop, merchant)


@routes.post("/shops/<id:shop_id>/resume")
@clerk(MANAGER, OWNER)
@gives(ShopSettings)
@refuses(merchants.NOT_STAFF, FORBIDDEN, merchants.PAUSED_BY_OPERATOR)
def resume(login: Login, shop: Shop, merchant: Merchant) -> Response:
    """Redeem again

    What an operator paused only an operator resumes.
    """
    shop_id = shop.id
    with transaction():
        running.resume_shop(shop_id=shop_id, by=f"person:{login.person_id}", at=now())
    return _settings(shop, merchant)


@routes.post("/shops/<id:shop_id>/leave")
@clerk(OWNER)
@gives(ShopSettings)
@refuses(merchants.NOT_STAFF, FORBIDDEN, merchants.PAUSED_BY_OPERATOR)
def leave(login: Login, shop: Shop, merchant: Merchant) -> Response:
    """Leave the program

    For the whole merchant: nothing new is sold; codes that were promised run out, or an operator moves them to another
    merchant of the group. Then comes the final statement.
    """
    merchant_id = merchant.id

    def command() -> None:
        with transaction() as current:
            found = current.get_one(Merchant, merchant_id, with_for_update=True, populate_existing=True)
            running.leave(merchant=found, by=f"person:{login.person_id}", at=now())
            offers.withdraw_all(merchant_id=merchant_id)

    retrying(command)
    return _settings(shop, merchant)


def _role(login: Login, shop_id: int) -> str:
    role, _ = merchants.role_in_shop(shop_id=shop_id, person_id=login.person_id, session_id=login.session_id, at=now())
    if role is None:
        raise merchants.NOT_STAFF()
    return role


def _settings(shop: Shop, merchant: Merchant) -> Response:
    with transaction() as current:
        current.refresh(shop)
        current.refresh(merchant)
        names = (
            "name",
            "address",
            "opening_hours",
            "phone",
            "daily_quota",
            "lat_e6",
            "lng_e6",
            "state",
            "pause_reason",
        )
        shown = {"id": str(shop.id), **{name: getattr(shop, name) for name in names}}
        if shop.pause_reason is None and merchant.state == "paused":
            shown["pause_reason"] = merchant.pause_reason
        return answer(shown | {"merchant_state": merchant.state})


def _application(one: merchants.Application) -> dict[str, Any]:
    return {
        "id": str(one.id),
        "name": either(one.name, one.name_en),
        "state": one.state,
        "reason": one.reason,
        "asked_at": when(one.asked_at),
        "decided_at": when_or_none(one.decided_at),
    }
