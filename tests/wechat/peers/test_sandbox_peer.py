"""Proof by strangers: npm's wechatpay-axios-plugin against the local WeChat, and its notices against Diandi.

The plug-in verifies every good answer (headers, five minutes, serial, signature) and makes notices of its own; what it
takes and makes was written by somebody who has never seen our code. Steps as in the reference, section 9.1.
"""

from __future__ import annotations

import base64
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from tests.payments.conftest import Shop
from tests.wechat.peers.conftest import Peer
from tests.wechat.sandboxes import body, client_of, keys
from wechat.pay.keys import load_private_key, sign
from wechat.pay.signing import request_message
from wechat.sandbox.box import Sandbox
from wechat.sandbox.faults import SIGNING, Fault
from wechat.sandbox.identity import certificate, public_pem, with_certificates
from wechat.sandbox.pay import shapes

JSAPI = "v3/pay/transactions/jsapi"
ORDER = "v3/pay/transactions/out-trade-no/ORDER0001"
pytestmark = pytest.mark.xdist_group("peers")


def ordered(peer: Peer, box: Sandbox, number: str = "ORDER0001") -> dict[str, Any]:
    said = peer.call("post", JSAPI, body(box, number, description="竹纤维餐具 ×1"))
    assert said["ok"], said
    return dict(said["data"])


def refund_body(box: Sandbox, number: str = "R1") -> dict[str, Any]:
    amount = {"refund": 40, "total": 100, "currency": "CNY"}
    return {"out_trade_no": "ORDER0001", "out_refund_no": number, "reason": "买错了", "amount": amount}


def test_step_1_everything_that_a_merchant_does(peer: Peer, box: Sandbox) -> None:
    assert ordered(peer, box)["prepay_id"]
    params = {"mchid": box.identity.mchid}
    assert peer.call("get", ORDER, params=params)["data"]["trade_state"] == "NOTPAY"
    ordered(peer, box, "ORDER0002")
    closed = peer.call("post", ORDER.replace("0001", "0002") + "/close", params)
    assert (closed["ok"], closed["status"]) == (True, 204)
    box.pay("ORDER0001")
    paid = peer.call("get", ORDER, params=params)["data"]
    assert (paid["trade_state"], paid["amount"]["total"]) == ("SUCCESS", 100)
    by_id = peer.call("get", f"v3/pay/transactions/id/{paid['transaction_id']}", params=params)
    assert by_id["data"] == paid
    assert peer.call("post", "v3/refund/domestic/refunds", refund_body(box))["data"]["status"] == "PROCESSING"
    box.clock.advance(6)
    assert box.agenda.quiet()
    assert peer.call("get", "v3/refund/domestic/refunds/R1")["data"]["status"] == "SUCCESS"
    unknown = peer.call("get", ORDER.replace("0001", "0009"), params=params)
    assert (unknown["ok"], unknown["status"], unknown["data"]["code"]) == (False, 404, "ORDER_NOT_EXIST")
    assert box.journal.violations == []


def test_step_1_certificates_and_answers_signed_by_them(peer: Peer, box: Sandbox) -> None:
    assert peer.call("get", "v3/certificates")["data"]["code"] == "RESOURCE_NOT_EXISTS"
    old, new = box.identity.certificates[0], certificate()
    box.identity = with_certificates(box.identity, old, new)
    known = {one.serial: public_pem(one.key.public_key()) for one in (old, new)}
    peer.open(box, **known)
    listed = peer.call("get", "v3/certificates")["data"]["data"]
    assert [one["serial_no"] for one in listed] == [old.serial, new.serial]
    for one, kept in zip(listed, (old, new), strict=True):
        sealed = one["encrypt_certificate"]
        said = peer.ask(
            "decrypt",
            ciphertext=sealed["ciphertext"],
            key=box.identity.apiv3_key,
            nonce=sealed["nonce"],
            associated=sealed["associated_data"],
        )
        assert said["plain"] == kept.pem
    for serial in (old.serial, new.serial):
        assert peer.call("post", JSAPI, body(box, "ORDER" + serial[:8]), headers={"Wechatpay-Serial": serial})["ok"]


def test_step_1_bills_are_read_and_their_hash_holds(peer: Peer, box: Sandbox) -> None:
    ordered(peer, box)
    box.pay("ORDER0001")
    peer.call("post", "v3/refund/domestic/refunds", refund_body(box))
    day = (datetime.fromtimestamp(box.clock.now(), UTC) + timedelta(hours=8)).date()
    box.clock.advance(2 * 86400)
    for kind, rows in (("tradebill", 2), ("fundflowbill", 2)):
        offer = peer.call("get", f"v3/bill/{kind}", params={"bill_date": str(day)})["data"]
        path = offer["download_url"].removeprefix(box.pay_base + "/")
        file = peer.call("get", path.partition("?")[0], params={"token": path.partition("token=")[2]})
        content = base64.b64encode(("\ufeff" + file["data"].lstrip("\ufeff")).encode()).decode()
        read = peer.ask("bill", text=content)
        assert read["sha1"] == offer["hash_value"]
        assert len(read["rows"]) >= rows
        assert client_of(box).trade_bill(day)


@pytest.mark.parametrize("kind", SIGNING)
def test_step_2_the_stranger_refuses_badly_signed_answers(peer: Peer, box: Sandbox, kind: str) -> None:
    box.state.faults.append(Fault("/v3/*", kind))
    said = peer.call("post", JSAPI, body(box, description="竹纤维餐具 ×1"))
    assert not said["ok"] and said["code"].startswith("EV3_RES_HEADER")
    assert ordered(peer, box)["prepay_id"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_step_3_our_signature_is_the_strangers(peer: Peer, method: str) -> None:
    private, content = keys()[1].private_key_pem, "" if method == "GET" else '{"description":"竹纤维餐具"}'
    uri, at, nonce = "/v3/pay/transactions/out-trade-no/A|B*C?mchid=1999000001", "1554208460", "5" * 32
    said = peer.ask("signRequest", method=method, uri=uri, timestamp=at, nonce=nonce, body=content, privateKey=private)
    ours = request_message(method, uri, int(at), nonce, content.encode())
    assert ours.decode() == said["message"]
    assert sign(load_private_key(private), ours) == said["signature"]


def test_step_6_our_pay_sign_is_the_strangers(peer: Peer, box: Sandbox) -> None:
    made = client_of(box).call_up(appid=box.identity.appid, prepay_id="wx123")
    parts = [box.identity.appid, made["timeStamp"], made["nonceStr"], made["package"]]
    assert peer.ask("paySign", parts=parts, privateKey=keys()[1].private_key_pem)["signature"] == made["paySign"]


# -- notices of the stranger's making, against Diandi


def waiting(shop: Shop) -> tuple[str, dict[str, Any]]:
    """An order that waits for its money, and what WeChat would tell when it came. Nothing is paid at WeChat yet."""
    placed = shop.order()
    number = shop.call_up(placed)
    found = shop.box.order(number)
    assert found is not None
    resource = {
        **shapes.transaction(shop.box.book, found),
        "transaction_id": "4200" + "7" * 24,
        "trade_type": "JSAPI",
        "trade_state": "SUCCESS",
        "trade_state_desc": "支付成功",
        "bank_type": "OTHERS",
        "success_time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    resource["amount"] |= {"payer_total": found.total_fen, "payer_currency": "CNY"}
    return placed, resource


def tell(peer: Peer, shop: Shop, resource: dict[str, Any], **changes: Any) -> int:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = shop.box.identity.platform_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    given: dict[str, Any] = {
        "url": f"{shop.base}/wechat/pay/notices",
        "id": str(uuid.uuid4()),
        "event": "TRANSACTION.SUCCESS",
        "kind": "transaction",
        "resource": resource,
        "key": shop.box.identity.apiv3_key,
        "serial": shop.box.identity.public_key_id,
        "privateKey": key,
        **changes,
    }
    return int(peer.ask("notice", **given)["status"])


def test_step_4_a_strangers_notice_pays_the_order(peer: Peer, shop: Shop) -> None:
    placed, resource = waiting(shop)
    known = str(uuid.uuid4())
    assert tell(peer, shop, resource, id=known) in (200, 204)
    assert shop.state(placed) in ("paid", "fulfilled", "completed")
    assert tell(peer, shop, resource, id=known) in (200, 204)
    assert tell(peer, shop, resource) in (200, 204)
    assert shop.sql("select count(*) from payments where state = 'paid'")[0][0] == 1


@pytest.mark.parametrize("spoil", ["stale", "tampered", "reserialised", "unknown_serial", "probe", "wrong_key"])
def test_step_5_a_spoiled_notice_changes_nothing(peer: Peer, shop: Shop, spoil: str) -> None:
    placed, resource = waiting(shop)
    before = shop.state(placed)
    changes: dict[str, Any] = {"spoil": spoil}
    if spoil == "stale":
        changes = {"age": 301}
    if spoil == "wrong_key":
        changes = {"key": "0" * 32}
    assert tell(peer, shop, resource, **changes) >= 400
    assert shop.state(placed) == before
    assert tell(peer, shop, {**resource, "amount": {**resource["amount"], "total": 1}}) >= 400
    assert shop.state(placed) == before
    assert requests.get(f"{shop.base}/wechat/pay/notices", timeout=5).status_code >= 400
    assert tell(peer, shop, resource) in (200, 204)
    assert shop.state(placed) != before
