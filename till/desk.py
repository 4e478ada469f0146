"""The desk: the client of our merchant and what it needs, made once at the start from the settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flask import Flask, current_app

from app import cache, payments
from app.config import Settings
from till import certificates
from wechat.api import Api
from wechat.pay import KeyRing, Merchant, PayClient, within

NOTICES = "/wechat/pay/notices"
# Numbers begin with their environment, so that a test and production can never meet at one merchant.
PREFIXES = {"production": "P", "development": "D", "test": "T"}
EXTENSION = "till"
PERSON_WAITS_SECONDS = 4.5


@dataclass(frozen=True, slots=True)
class Desk:
    """Our merchant at WeChat Pay. Its secrets stay inside the client."""

    client: PayClient
    keys: KeyRing
    terms: payments.Terms
    apis: Mapping[str, Api]
    bills: Path

    @property
    def mchid(self) -> str:
        return self.terms.mchid

    def terms_of(self, appid: str | None) -> payments.Terms:
        """The terms of a program's own mini-program, which must be bound to our merchant; the main one for None."""
        return self.terms if appid is None else replace(self.terms, appid=appid)


def make(settings: Settings) -> Desk | None:
    """The desk of these settings; None where they name no merchant. Raises ValueError for keys that don't fit."""
    pay = settings.pay
    if pay is None:
        return None
    keys = KeyRing({pay.public_key_id: Path(pay.public_key_file).read_text()})
    merchant = Merchant(
        mchid=pay.mchid,
        serial_no=pay.serial,
        private_key_pem=Path(pay.private_key_file).read_text(),
        apiv3_key=pay.apiv3_key,
        keys=keys,
        base_url=pay.base,
        backup_url=pay.backup or None,
    )
    terms = payments.Terms(
        appid=settings.wechat_appid,
        mchid=pay.mchid,
        notify_url=f"{pay.notify_base}{NOTICES}",
        prefix=PREFIXES[settings.environment],
    )
    apis = {
        app.appid: Api(appid=app.appid, secret=app.secret, base=settings.wechat_api_base, store=cache.client())
        for app in settings.apps
    }
    return Desk(PayClient(merchant), keys, terms, apis, settings.bills_folder)


def register(app: Flask, settings: Settings) -> None:
    """Put the desk on the application, or note that there is none."""
    app.extensions[EXTENSION] = make(settings)


@contextmanager
def hurried() -> Iterator[None]:
    """A person waits for the calls in this block: together they end within :data:`PERSON_WAITS_SECONDS`.

    What is still unknown then is asked by a job, which may wait longer.
    """
    with within(PERSON_WAITS_SECONDS):
        yield


def find() -> Desk | None:
    """This application's desk, if it has one. Its certificates, where it has those, are kept fresh from now on."""
    found: Any = current_app.extensions.get(EXTENSION)
    if not isinstance(found, Desk):
        return None
    if found.keys.public_key_id is None:
        certificates.keep_fresh(found.client)
    return found


def get() -> Desk:
    """This application's desk. Raises CASH_CLOSED where there is none."""
    desk = find()
    if desk is None:
        raise payments.CASH_CLOSED()
    return desk
