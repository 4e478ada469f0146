"""Certificate mode: WeChat's certificate changes in the middle of a day, and nothing that is genuine is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.payments.conftest import Shop
from tests.wechat.sandboxes import keys
from till import certificates
from wechat.pay import KeyRing, Merchant, PayClient
from wechat.sandbox.box import Sandbox
from wechat.sandbox.identity import certificate, with_certificates

pytestmark = pytest.mark.race
FIRST, SECOND = certificate(), certificate()


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(with_certificates(keys()[0], FIRST)) as running:
        running.switches.notices_by_certificate = True
        yield running


@pytest.fixture
def older(shop: Shop, tmp_path: Path) -> Shop:
    """The shop of an older merchant, who knows WeChat by its first certificate."""
    from dataclasses import replace

    given = keys()[1]
    ring = KeyRing({FIRST.serial: FIRST.pem})
    merchant = Merchant(
        mchid=given.mchid, serial_no=given.serial, private_key_pem=given.private_key_pem, apiv3_key=given.apiv3_key,
        keys=ring, base_url=shop.box.pay_base,
    )  # fmt: skip
    shop.desk = replace(shop.desk, client=PayClient(merchant), keys=ring)
    shop.app.extensions["till"] = shop.desk
    return shop


def paid(shop: Shop, reference: str) -> str:
    order = shop.order(reference)
    shop.box.pay(shop.call_up(order))
    shop.settle()
    return shop.state(order)


def test_a_certificate_changes_in_the_middle_of_a_day(older: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(certificates, "keep_fresh", asked.append)
    assert paid(older, "before") == "paid"
    assert asked, "whoever uses the desk keeps its certificates fresh"
    older.box.identity = with_certificates(keys()[0], FIRST, SECOND)
    assert certificates.refresh(older.desk.client)
    assert paid(older, "both") == "paid"
    older.box.identity = with_certificates(keys()[0], SECOND)
    assert paid(older, "after") == "paid"
    assert older.box.journal.violations == []


def test_an_unknown_certificate_makes_us_ask_nobody(older: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "keep_fresh", lambda client: None)
    order = older.order()
    number = older.call_up(order)
    older.box.identity = with_certificates(keys()[0], FIRST, SECOND)
    older.box.pay(number)
    older.settle()
    assert older.state(order) == "paying", "not shown to be WeChat's"
    assert [one for one in older.box.journal if "certificates" in str(one.get("path"))] == []
    assert certificates.refresh(older.desk.client)
    older.box.clock.advance(20)
    older.settle()
    assert older.state(order) == "paid", "it came again, and now it can be read"


def test_certificates_that_cant_be_fetched_stay(older: Shop) -> None:
    for host in ("pay", "backup"):
        older.box.break_host(host)
    assert not certificates.refresh(older.desk.client)
    assert older.desk.keys.serials() == [FIRST.serial]
