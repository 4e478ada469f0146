"""Signing in with a code of ``wx.login``, and out."""

from __future__ import annotations

from typing import Any

import structlog
from apiflask import APIBlueprint
from flask import Response, current_app, request
from marshmallow import fields

import courier
from app import limits, people
from app.clock import now
from app.db import transaction
from app.errors import BUSY, TOO_MANY, Kind, declare
from edge import schemas
from edge.answers import LOGIN_REQUIRED, answer, nothing
from edge.guards import client_address, public
from edge.language import language
from edge.routes import gives, refuses, takes
from miniprogram_api.guards import citizen
from miniprogram_api.show import when
from wechat import errors as wechat_errors
from wechat import login as wechat_login

routes = APIBlueprint("sign_in", __name__, tag="Sign in")
log = structlog.get_logger("sign_in")
# Wrong codes are guesses and counted narrowly. The total is wider: thousands of phones share one address of a carrier.
SIGN_IN_TOTAL = limits.Limit("sign-in-total", 240, 60)

LOGIN_CODE_INVALID = declare(
    "login_code_invalid",
    Kind.INVALID,
    zh="登录码无效、已过期或已使用，请重新登录。",
    en="The login code is wrong, older than five minutes, or used. Call wx.login again.",
)
LOGIN_BLOCKED = declare(
    "login_blocked",
    Kind.NOT_ALLOWED,
    zh="微信已限制该账号登录，请前往微信查看账号状态。",
    en="WeChat blocks logins of this account. Look at its state in WeChat.",
)

APP_UNKNOWN = declare(
    "app_unknown",
    Kind.INVALID,
    zh="未知的小程序，请检查 AppID。",
    en="This mini-program is none of ours. Check the app id.",
)


class SignIn(schemas.Request):
    code = schemas.Pattern(
        r"[\x21-\x7e]{1,128}",
        expected="应为 wx.login 返回的 code|must be the code that wx.login gave",
        required=True,
        metadata={"description": "what `wx.login` gave; works once, for five minutes"},
    )
    device = schemas.Text(longest=64, load_default="", metadata={"description": "shown in the list of logins"})
    app = schemas.Pattern(
        r"wx[0-9a-z]{6,30}",
        expected="应为小程序 AppID|must be the app id of a mini-program",
        load_default=None,
        allow_none=True,
        metadata={"description": "which of our mini-programs; also as header `X-Client-App`; the main one if left out"},
    )
    of_age = schemas.Boolean(
        load_default=None,
        allow_none=True,
        metadata={"description": "I am 14 or older; asked once, needed before joining a program"},
    )


class SignedIn(schemas.Answer):
    token = fields.String(required=True, metadata={"description": "send it as `Authorization: Bearer …`"})
    expires_at = fields.String(required=True)
    person_id = fields.String(required=True)
    is_new = fields.Boolean(required=True, metadata={"description": "the first login of this person"})
    of_age = fields.Boolean(required=True, metadata={"description": "has declared to be 14 or older; if not, ask"})
    other_account = fields.Boolean(
        required=True,
        metadata={
            "description": "WeChat knows a second account of mine here; nothing is merged, support can join them"
        },
    )


@routes.post("/sign-in")
@public(SIGN_IN_TOTAL)
@takes(SignIn, example={"code": "0a1B2c3D4e5F", "device": "iPhone 17", "of_age": True})
@gives(SignedIn)
@refuses(LOGIN_CODE_INVALID, LOGIN_BLOCKED, APP_UNKNOWN, people.PERSON_DISABLED, people.UNDER_AGE, TOO_MANY)
def sign_in(body: dict[str, Any]) -> Response:
    """Sign in

    A person is made at the first login. Every device has a login of its own.
    """
    limits.check(limits.SIGN_IN, client_address())
    if body["of_age"] is False:
        raise people.UNDER_AGE()
    identity = _ask_wechat(body["code"], body["app"] or request.headers.get("X-Client-App"))
    with transaction():
        made = people.sign_in(
            appid=identity.appid,
            openid=identity.openid,
            unionid=identity.unionid,
            session_key=identity.session_key,
            device=body["device"],
            language=language(),
            of_age=body["of_age"],
            session_days=current_app.config["SETTINGS"].session_days,
            at=now(),
        )
    people.logins.evict(made.ended)
    return answer(
        {
            "token": made.token,
            "expires_at": when(made.expires_at),
            "person_id": str(made.person_id),
            "is_new": made.is_new,
            "of_age": made.of_age,
            "other_account": made.other_account,
        }
    )


@routes.delete("/session")
@citizen()
@gives(None, status=204)
@refuses(LOGIN_REQUIRED)
def sign_out(login: people.Login) -> Response:
    """Sign out on this device

    Other devices stay logged in.
    """
    with transaction():
        ended = people.sign_out(session_id=login.session_id, person_id=login.person_id, at=now())
    people.logins.evict([ended])
    return nothing()


def _client(appid: str | None) -> wechat_login.Login:
    """Who asks WeChat for one of our mini-programs. Raises APP_UNKNOWN."""
    found = courier.find(appid)
    if found is None:
        raise APP_UNKNOWN()
    main: wechat_login.Login = current_app.extensions["wechat_login"]
    return main if found.appid == main.appid else found.login


def _ask_wechat(code: str, appid: str | None) -> wechat_login.Identity:
    """WeChat's answer, its refusals in our words. Outside any transaction."""
    client = _client(appid)
    try:
        return client.exchange(code)
    except (wechat_login.CodeInvalid, wechat_login.CodeUsed):
        limits.take(limits.SIGN_IN, client_address())
        raise LOGIN_CODE_INVALID() from None
    except wechat_login.Risky:
        raise LOGIN_BLOCKED() from None
    except wechat_errors.RateLimited as error:
        raise TOO_MANY(retry_after=error.retry_after, limit="wechat") from None
    except wechat_errors.Busy:
        raise BUSY(retry_after=3) from None
    except wechat_errors.WeChatError as error:
        log.error("wechat refuses our settings", code=error.errcode)
        raise BUSY(retry_after=60) from None
