"""Upload of shipping information, so that WeChat releases the money: a delayed job, safe to repeat."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import structlog

from app import cache, people
from app.clock import now
from app.db import forbid_in_transaction, transaction
from app.payments import shipping
from app.payments.trade import NOT_MANAGED
from till import metrics
from till.desk import Desk
from wechat import errors
from wechat.api import Api
from wechat.shipping import Logistics, Parcel, is_trade_managed, upload_shipping

log = structlog.get_logger("till")
SENT, LATER, GIVEN_UP = "sent", "later", "given_up"
A_DAY = 86_400


def upload(desk: Desk, shipment_id: int) -> None:
    """Tell WeChat how the goods of a payment reach the person."""
    forbid_in_transaction("shipping")
    with transaction():
        goods = shipping.claim(shipment_id, at=now())
    if goods is None:
        return
    outcome, problem = _tell(desk, goods)
    metrics.SHIPMENTS.labels(outcome).inc()
    at = now()
    with transaction():
        if outcome == SENT:
            shipping.sent(shipment_id, problem=problem, at=at)
        elif outcome == LATER:
            shipping.put_off(shipment_id, problem=problem or "", at=at)
        else:
            shipping.give_up(shipment_id, problem=problem or "", at=at)
    if outcome == GIVEN_UP:
        log.error("shipping_given_up", kind=problem)


def _tell(desk: Desk, goods: Any) -> tuple[str, str | None]:
    """How the upload ended, and why (wechat.md 3.10: what each code amounts to)."""
    openid = people.openid(goods.person_id, goods.appid)
    if openid is None:
        return GIVEN_UP, "payer_gone"
    try:
        api = desk.apis.get(goods.appid)
        if api is None:
            return GIVEN_UP, "app_unknown"
        if not _managed(api):
            return SENT, NOT_MANAGED
        upload_shipping(
            api,
            transaction_id=goods.transaction_id,
            logistics=Logistics(goods.logistics),
            parcels=[Parcel(goods.title, goods.tracking_no or "", goods.carrier or "")],
            openid=openid,
            at=datetime.now(UTC),  # must rise with each upload, whatever clock a test holds still
        )
    except errors.AlreadyShipped:
        return SENT, "already"
    except (errors.NotShippable, errors.OtherPayer, errors.BadRequest, ValueError) as error:
        return GIVEN_UP, type(error).__name__.lower()
    except errors.WeChatError as error:
        return LATER, type(error).__name__.lower()
    return SENT, None


def forget_managed(appid: str) -> None:
    """Ask WeChat anew at the next upload; without Redis it is asked each time anyway."""
    with suppress(*cache.REDIS_DOWN):
        cache.client().delete(_managed_key(appid))


def _managed_key(appid: str) -> str:
    return f"wechat:trade-managed:{appid}"


def _managed(api: Api) -> bool:
    """Whether our orders are under WeChat's management at all; asked once a day."""
    key = _managed_key(api.appid)
    try:
        known = cache.client().get(key)
        if known is None:
            known = b"1" if is_trade_managed(api) else b"0"
            cache.client().set(key, known, ex=A_DAY)
        return known in (b"1", "1")
    except cache.REDIS_DOWN:
        return is_trade_managed(api)
