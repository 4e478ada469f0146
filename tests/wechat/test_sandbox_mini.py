"""The mini-program's side of the local WeChat, asked by our own calls and by hand."""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from tests.wechat.sandboxes import client_of, keys, order, refund
from wechat import codes, errors, messages, open_data, phone, safety, sessions, shipping
from wechat.api import Api, Interface
from wechat.login import Login
from wechat.push import Push as Opener
from wechat.push import PushRefused
from wechat.sandbox.box import Sandbox
from wechat.sandbox.faults import Fault
from wechat.sandbox.mini.push import FORGED, PushFault
from wechat.sandbox.wire import Answer, Host, Request
from wechat.shipping import Logistics, OrderState, Parcel

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 100


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(keys()[0]) as running:
        yield running


@pytest.fixture
def api(box: Sandbox) -> Api:
    return Api(appid=box.identity.appid, secret=box.identity.secret, base=box.api_base, store=None)


@pytest.fixture
def alice(box: Sandbox) -> str:
    """She has just opened the mini-program."""
    box.state.new_code("alice")
    return box.user("alice").openid


def call(box: Sandbox, path: str, content: Any = None, *, token: str | None = None, **query: str) -> Any:
    """By hand, with a good token unless another is given."""
    if token is None:
        token = stable(box)["access_token"]
    address = f"{box.api_base}{path}"
    if content is None:
        return requests.get(address, params={"access_token": token, **query}, timeout=5).json()
    return requests.post(address, params={"access_token": token, **query}, json=content, timeout=5).json()


def stable(box: Sandbox, **changes: Any) -> Any:
    wanted = {
        "grant_type": "client_credential",
        "appid": box.identity.appid,
        "secret": box.identity.secret,
        "force_refresh": False,
        **changes,
    }
    return requests.post(f"{box.api_base}/cgi-bin/stable_token", json=wanted, timeout=5).json()


def violations(box: Sandbox) -> list[str]:
    return [one["violation"] for one in box.journal.violations]


# -- tokens


def test_a_stable_token_is_the_same_for_all_and_renews_itself(box: Sandbox) -> None:
    """S9."""
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(stable(box))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first = answers[0]["access_token"]
    assert {one["access_token"] for one in answers} == {first}
    assert len(first) <= 512 and 7190 <= answers[0]["expires_in"] <= 7200
    box.clock.advance(6000)
    assert stable(box)["access_token"] == first and stable(box)["expires_in"] <= 1200
    box.clock.advance(1000)
    second = stable(box)["access_token"]
    assert second != first
    managed = "/wxa/sec/order/is_trade_managed"
    assert call(box, managed, {"appid": box.identity.appid}, token=first)["errcode"] == 0
    box.clock.advance(200)
    assert call(box, managed, {"appid": box.identity.appid}, token=first)["errcode"] == 42001
    assert violations(box) == []


def test_forcing_is_bounded_and_kills_the_old_one(box: Sandbox) -> None:
    first = stable(box)["access_token"]
    assert stable(box, force_refresh=True)["access_token"] != first
    assert call(box, "/wxa/getwxacodeunlimit", {"scene": "a"}, token=first)["errcode"] == 40001
    assert stable(box, force_refresh=True)["errcode"] == 45011
    for _ in range(19):
        box.clock.advance(31)
        stable(box, force_refresh=True)
    box.clock.advance(31)
    assert stable(box, force_refresh=True)["errcode"] == 45009
    assert "force_refresh" in violations(box)[0]


@pytest.mark.parametrize(
    ("changes", "errcode"),
    [
        ({"grant_type": "authorization_code"}, 40002),
        ({"appid": ""}, 41002),
        ({"secret": ""}, 41004),
        ({"appid": "wxlocal000000000009"}, 40013),
        ({"secret": "wrong"}, 40125),
        ({"force_refresh": "yes"}, 47001),
    ],
)
def test_who_may_not_have_a_token(box: Sandbox, changes: dict[str, Any], errcode: int) -> None:
    assert stable(box, **changes)["errcode"] == errcode


def test_more_reasons_to_have_no_token(box: Sandbox) -> None:
    assert requests.get(f"{box.api_base}/cgi-bin/stable_token", timeout=5).json()["errcode"] == 43002
    box.mini.tokens.white_list = ("10.0.0.1",)
    assert stable(box)["errcode"] == 40164
    box.mini.tokens.white_list = ()
    box.mini.tokens.secret_frozen = True
    assert stable(box)["errcode"] == 40243


def test_the_old_token_interface_works_but_is_a_violation(box: Sandbox) -> None:
    """S13."""
    wanted = {"grant_type": "client_credential", "appid": box.identity.appid, "secret": box.identity.secret}
    tokens = [
        requests.get(f"{box.api_base}/cgi-bin/token", params=wanted, timeout=5).json()["access_token"] for _ in range(2)
    ]
    assert tokens[0] != tokens[1] and stable(box)["access_token"] not in tokens
    assert call(box, "/wxa/getwxacodeunlimit", {"scene": ""}, token=tokens[0])["errcode"] == 40169
    box.clock.advance(301)
    assert call(box, "/wxa/getwxacodeunlimit", {"scene": ""}, token=tokens[0])["errcode"] == 42001
    assert len(violations(box)) == 2


def test_what_a_token_is_needed_for(box: Sandbox) -> None:
    assert call(box, "/wxa/msg_sec_check", {"a": 1}, token="")["errcode"] == 41001
    assert call(box, "/wxa/msg_sec_check", {"a": 1}, token="made-up")["errcode"] == 40001
    assert call(box, "/wxa/msg_sec_check")["errcode"] == 43002
    assert requests.post(f"{box.api_base}/wxa/checksession", timeout=5).json()["errcode"] == 43001


def test_our_adapter_survives_a_revoked_token(box: Sandbox, api: Api) -> None:
    assert shipping.is_trade_managed(api)
    box.mini.tokens.revoke()
    assert shipping.is_trade_managed(api)
    box.state.faults.append(Fault("/wxa/sec/order/*", "bad_token", 5))
    with pytest.raises(errors.StaleToken):
        shipping.is_trade_managed(api)
    assert violations(box) == []


# -- people


def test_sessions_are_checked_and_reset(box: Sandbox, api: Api) -> None:
    login = Login(appid=box.identity.appid, secret=box.identity.secret, base=box.api_base)
    one = login.exchange(str(box.state.new_code("alice")))
    assert sessions.session_holds(api, openid=one.openid, session_key=one.session_key)
    assert not sessions.session_holds(api, openid=one.openid, session_key="HyVFkGl5F5OQWJZZaNzBBg==")
    new = sessions.reset_session(api, openid=one.openid, session_key=one.session_key)
    assert new != one.session_key
    assert not sessions.session_holds(api, openid=one.openid, session_key=one.session_key)
    until = box.user("alice").session_until
    box.clock.set(until + 1)
    with pytest.raises(errors.SessionGone):
        sessions.reset_session(api, openid=one.openid, session_key=new)
    signature = hmac.new(new.encode(), b"", hashlib.sha256).hexdigest()
    path, good = "/wxa/resetusersessionkey", {"openid": one.openid, "signature": signature, "sig_method": "hmac_sha256"}
    assert call(box, path, **{**good, "sig_method": "md5"})["errcode"] == 87008
    assert call(box, path, **{**good, "signature": ""})["errcode"] == 40097


def test_a_session_key_may_stay_and_a_unionid_may_come(box: Sandbox) -> None:
    login = Login(appid=box.identity.appid, secret=box.identity.secret, base=box.api_base)
    box.state.keep_session_key = box.state.with_unionid = True
    first, second = (login.exchange(str(box.state.new_code("alice"))) for _ in range(2))
    assert first.session_key == second.session_key
    assert first.unionid == second.unionid == box.user("alice").unionid


def test_a_phone_number_for_its_own_code(box: Sandbox, api: Api) -> None:
    alice, bob = box.user("alice"), box.user("bob")

    def code(name: str = "alice") -> str:
        return str(box.state.new_code(name, "phone"))

    assert phone.phone_number(api, code=code(), openid=alice.openid).number.endswith(alice.phone)
    used = code()
    phone.phone_number(api, code=used, openid=alice.openid)
    late = code()
    for wrong, openid in ((used, alice.openid), (code(), bob.openid), (str(box.state.new_code("alice")), alice.openid)):
        with pytest.raises(errors.CodeInvalid):
            phone.phone_number(api, code=wrong, openid=openid)
    box.clock.advance(301)
    with pytest.raises(errors.CodeInvalid):
        phone.phone_number(api, code=late, openid=alice.openid)
    assert box.state.phone_charges == 4
    assert violations(box) == []
    call(box, "/wxa/business/getuserphonenumber", {"code": code()})
    assert "openid is missing" in violations(box)[0]


def test_steps_of_31_days_open_with_the_session_key(box: Sandbox) -> None:
    login = Login(appid=box.identity.appid, secret=box.identity.secret, base=box.api_base)
    session = login.exchange(str(box.state.new_code("erin")))
    day = (datetime.fromtimestamp(box.clock.now(), UTC) + timedelta(hours=8)).date()

    def given(**changes: Any) -> dict[str, Any]:
        content = {"user": "erin", "steps": {str(day): 12345}, **changes}
        sealed = requests.post(f"{box.api_base}/_sandbox/werun", json=content, timeout=5).json()
        return open_data.open_data(
            session_key=session.session_key,
            encrypted_data=sealed["encryptedData"],
            iv=sealed["iv"],
            appid=box.identity.appid,
            now=box.clock.now(),
        )

    days = open_data.steps_of(given())
    assert len(days) == 31 and (days[-1].day, days[-1].steps) == (day, 12345)
    for spoiled in ({"appid": "wxlocal000000000009"}, {"age_seconds": 3600}):
        with pytest.raises(open_data.OpenDataRefused):
            given(**spoiled)
    login.exchange(str(box.state.new_code("erin")))
    with pytest.raises(open_data.OpenDataRefused):
        given()


# -- messages


def popup(box: Sandbox, user: str = "alice", template: str = "local-order-paid", answer: str = "accept") -> Any:
    content = {"user": user, "template": template, "answer": answer}
    return requests.post(f"{box.api_base}/_sandbox/popups", json=content, timeout=5).json()


def test_one_accepted_popup_is_one_message(box: Sandbox, api: Api, alice: str) -> None:
    """S11."""
    box.mini.messages.templates["local-order-paid"] = ("thing1", "amount2")

    def send(**changes: Any) -> str:
        wanted: dict[str, Any] = {
            "openid": alice,
            "template_id": "local-order-paid",
            "data": {"thing1": "竹纤维餐具", "amount2": "12.90元"},
            "page": "pages/order/show?id=1",
            **changes,
        }
        return messages.send_subscribed(api, **wanted)

    with pytest.raises(errors.NotSubscribed):
        send()
    popup(box)
    assert send()
    with pytest.raises(errors.NotSubscribed):
        send()
    popup(box)
    for wrong in (
        {"data": {"thing1": "x" * 21, "amount2": "1元"}},
        {"data": {"thing1": "x"}},
        {"data": {"thing1": "x", "amount2": "free"}},
        {"data": {"thing1": "x", "magic2": "1"}},
        {"template_id": "unknown"},
        {"openid": "oNobody"},
    ):
        with pytest.raises(errors.BadRequest):
            send(**wrong)
    with pytest.raises(errors.Sensitive):
        send(data={"thing1": "代开发票", "amount2": "1元"})
    box.mini.messages.banned.add("local-order-paid")
    with pytest.raises(errors.Banned):
        send()
    shown = requests.get(f"{box.api_base}/_sandbox/inbox?user=alice", timeout=5).json()["messages"]
    assert [one["data"]["thing1"]["value"] for one in shown] == ["竹纤维餐具"]


def test_two_messages_to_one_user_at_once(box: Sandbox, api: Api, alice: str) -> None:
    popup(box), popup(box)
    box.mini.switches.send_seconds = 0.2
    outcomes: list[str] = []

    def send() -> None:
        try:
            messages.send_subscribed(
                api, openid=alice, template_id="local-order-paid", data={"thing1": "x"}, page="pages/a/b"
            )
            outcomes.append("sent")
        except errors.Together:
            outcomes.append("together")

    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["sent", "together"]


def test_customer_service_answers_who_wrote(box: Sandbox, api: Api, alice: str) -> None:
    with pytest.raises(errors.TooLate):
        messages.answer_customer(api, openid=alice, text="您好")
    requests.post(f"{box.api_base}/_sandbox/say", json={"user": "alice", "text": "在吗"}, timeout=5)
    messages.answer_customer(api, openid=alice, text="您好")
    box.clock.advance(49 * 3600)
    with pytest.raises(errors.TooLate):
        messages.answer_customer(api, openid=alice, text="您好")
    assert [one["kind"] for one in box.mini.messages.inbox] == ["said", "service"]


# -- codes and links


def test_a_code_can_be_drawn_and_says_what_was_asked(box: Sandbox, api: Api) -> None:
    image = codes.unlimited_code(api, scene="t=abc", page="pages/shop/show", version="trial", check_path=False)
    assert image.startswith(b"\x89PNG")
    (said,) = box.mini.codes.drawn
    assert said == f"wxlocal:{box.identity.appid}?env=trial&page=pages/shop/show&scene=t=abc"


@pytest.mark.parametrize(
    ("content", "errcode"),
    [
        ({"scene": ""}, 40169),
        ({"scene": "x" * 33}, 40169),
        ({"scene": 5}, 40169),
        ({"scene": "中文"}, 40129),
        ({"scene": "a%20"}, 40129),
        ({"scene": "a", "page": "/pages/a/b"}, 41030),
        ({"scene": "a", "page": "pages/a/b?x=1"}, 41030),
        ({"scene": "a", "page": "pages/not/there"}, 41030),
        ({"scene": "a", "width": 100}, 40097),
        ({"scene": "a", "env_version": "beta"}, 40097),
        ({"scene": "a", "scancode_time": 1}, 85096),
    ],
)
def test_codes_that_are_not_drawn(box: Sandbox, content: dict[str, Any], errcode: int) -> None:
    box.mini.codes.pages["release"] = ("pages/index/index",)
    assert call(box, "/wxa/getwxacodeunlimit", content)["errcode"] == errcode


def test_links_live_for_a_minute_to_thirty_days(box: Sandbox, api: Api) -> None:
    now = datetime.fromtimestamp(box.clock.now(), UTC)
    made = codes.url_link(api, page="pages/a/b", query="id=1", expires_at=now + timedelta(days=2), at=now)
    found = call(box, "/wxa/query_urllink", {"url_link": made})["url_link_info"]
    assert (found["path"], found["query"]) == ("pages/a/b", "id=1")
    made = codes.url_scheme(api, page="pages/a/b", query="id=1", expires_at=now + timedelta(days=2), at=now)
    assert call(box, "/wxa/queryscheme", {"scheme": made})["scheme_info"]["query"] == "id=1"
    assert call(box, "/wxa/query_urllink", {"url_link": "x"})["errcode"] == 85403
    link = "/wxa/generate_urllink"
    soon, far = int(box.clock.now()) + 10, int(box.clock.now()) + 31 * 86400
    for content, errcode in (
        ({"expire_time": soon}, 85401),
        ({"expire_time": far}, 85401),
        ({"expire_type": 1, "expire_interval": 31}, 85401),
        ({"path": "pages/a/b?x=1"}, 40165),
        ({"query": "中文"}, 40212),
        ({"query": "x" * 1025}, 40212),
        ({"env_version": "beta"}, 85402),
    ):
        assert call(box, link, content)["errcode"] == errcode
    box.mini.codes.released = False
    assert call(box, link, {})["errcode"] == 85079


# -- safety


def test_texts_are_judged_while_the_writer_is_here(box: Sandbox, api: Api, alice: str) -> None:
    """S11."""
    for text, suggest in (("今天骑车上班", "pass"), ("你是傻瓜", "review"), ("加微信领红包", "risky")):
        assert safety.check_text(api, content=text, openid=alice, scene=2).suggest == suggest
    assert violations(box) == []
    box.clock.advance(2 * 3600 + 1)
    with pytest.raises(errors.NotHereLately):
        safety.check_text(api, content="你好", openid=alice, scene=2)
    path, good = "/wxa/msg_sec_check", {"content": "x", "version": 2, "scene": 2, "openid": alice}
    for change, errcode in (
        ({"content": ""}, 44002),
        ({"content": "字" * 2501}, 47001),
        ({"scene": 5}, 40129),
        ({"signature": "x"}, 40097),
        ({"openid": "oNobody"}, 40003),
    ):
        assert call(box, path, {**good, **change})["errcode"] == errcode
    assert violations(box) == []
    assert call(box, path, {"content": "x"})["errcode"] == 47001
    assert "version 2" in violations(box)[0]


def test_media_is_really_fetched(box: Sandbox, api: Api, alice: str) -> None:
    files = {"/good.png": PNG, "/bad.png": PNG, "/none.png": b"hello", "/huge.png": PNG + b"0" * 10 * 1024 * 1024}

    def serve(request: Request) -> Answer:
        return Answer(200, files[request.path]) if request.path in files else Answer(404)

    host = Host(0, serve)
    host.start()
    box.mini.safety.verdicts["bad.png"] = ("risky", 20002)
    outcomes = {}
    for name in (*files, "/missing.png"):
        trace = safety.check_media(api, url=host.base + name, media_type=safety.IMAGE, scene=4, openid=alice)
        with pytest.raises(errors.AskedBefore):
            safety.check_media(api, url=host.base + name, media_type=safety.IMAGE, scene=4, openid=alice)
        assert not [one for one in box.mini.push.sent if one.message.get("trace_id") == trace]
        box.clock.advance(3)
        box.agenda.quiet()
        event = box.mini.push.sent[-1].message
        assert event["trace_id"] == trace
        verdict = safety.media_verdict(event, appid=box.identity.appid)
        assert verdict is not None
        outcomes[name] = verdict.errcode or verdict.suggest
    host.stop()
    failed = dict.fromkeys(("/none.png", "/huge.png", "/missing.png"), -1008)
    assert outcomes == {"/good.png": "pass", "/bad.png": "risky", **failed}
    box.mini.switches.media_event_first = True
    trace = safety.check_media(api, url=host.base + "/x.png", media_type=safety.IMAGE, scene=4, openid=alice)
    assert box.mini.push.sent[-1].message["trace_id"] == trace


# -- shipping


def ship(api: Api, box: Sandbox, number: str, at: float, **changes: Any) -> None:
    found = box.order(number)
    assert found is not None
    wanted: dict[str, Any] = {
        "transaction_id": found.transaction_id or "4200",
        "logistics": Logistics.PICK_UP,
        "parcels": [Parcel("竹纤维餐具")],
        "openid": found.openid,
        "at": datetime.fromtimestamp(at, UTC),
        **changes,
    }
    shipping.upload_shipping(api, **wanted)


def test_shipping_from_frozen_to_settled(box: Sandbox, api: Api) -> None:
    """S11: unknown for the first ten seconds."""
    client = client_of(box)
    order(box, client)
    box.pay("ORDER0001")
    with pytest.raises(errors.PaymentUnknown):
        ship(api, box, "ORDER0001", box.clock.now())
    box.clock.advance(11)
    now = box.clock.now()
    for wrong, error in (
        ({"openid": box.user("bob").openid}, errors.OtherPayer),
        ({"parcels": [Parcel("竹纤维餐具")], "logistics": Logistics.EXPRESS}, (errors.BadRequest, ValueError)),
    ):
        with pytest.raises(error):  # type: ignore[arg-type]
            ship(api, box, "ORDER0001", now, **wrong)
    found = box.order("ORDER0001")
    assert found is not None
    assert shipping.shipped_order(api, transaction_id=found.transaction_id).state == OrderState.TO_BE_SHIPPED
    ship(api, box, "ORDER0001", now)
    ship(api, box, "ORDER0001", now + 1)
    assert "10060023" in list(box.journal)[-1]["outcome"]  # unchanged, which our call takes for done
    shown = shipping.shipped_order(api, transaction_id=found.transaction_id)
    assert (shown.state, shown.finished_count, shown.paid_fen) == (OrderState.SHIPPED, 1, 100)
    ship(api, box, "ORDER0001", now + 2, parcels=[Parcel("另一件")])
    with pytest.raises(errors.AlreadyShipped):
        ship(api, box, "ORDER0001", now + 3, parcels=[Parcel("第三件")])
    box.clock.advance(2 * 86400 + 60)
    assert box.agenda.quiet()
    assert shipping.shipped_order(api, transaction_id=found.transaction_id).state == OrderState.COMPLETED
    names = [one.name for one in box.mini.push.sent]
    assert names.count("trade_manage_order_settlement") >= 2
    assert box.mini.push.sent[-1].message["confirm_receive_method"] == 2
    with pytest.raises(errors.AlreadyShipped):
        ship(api, box, "ORDER0001", box.clock.now())


SHIPPINGS: list[tuple[dict[str, Any], int]] = [
    ({"order_key": None}, 10060014),
    ({"order_key": {"order_number_type": 1, "mchid": "1999000001"}}, 268485194),
    ({"order_key": {"order_number_type": 2}}, 268485195),
    ({"order_key": {"order_number_type": 1, "mchid": "1999000001", "out_trade_no": "ORDER0009"}}, 10060001),
    ({"logistics_type": 5}, 10060005),
    ({"delivery_mode": 3}, 268485224),
    ({"delivery_mode": 2, "is_all_delivered": True}, 10060006),
    ({"logistics_type": 1, "delivery_mode": 2}, 10060007),
    ({"shipping_list": [{"item_desc": ""}]}, 10060008),
    ({"shipping_list": [{"item_desc": "x" * 121}]}, 10060009),
    ({"shipping_list": []}, 10060020),
    ({"shipping_list": [{"item_desc": "x"}, {"item_desc": "y"}]}, 10060024),
    ({"logistics_type": 1}, 10060025),
    ({"logistics_type": 1, "shipping_list": [{"item_desc": "x", "express_company": "STO"}]}, 10060026),
    (
        {"logistics_type": 1, "shipping_list": [{"item_desc": "x", "express_company": "SF", "tracking_no": "1"}]},
        10060014,
    ),
    ({"upload_time": "2026-11-25T10:00:00+08:00"}, 268485216),
    ({"payer": {}}, 268485228),
]


@pytest.mark.parametrize(("changes", "errcode"), SHIPPINGS)
def test_wrong_shippings_are_refused_one_by_one(box: Sandbox, changes: dict[str, Any], errcode: int) -> None:
    order(box, client_of(box))
    box.pay("ORDER0001")
    box.clock.advance(11)
    good = {
        "order_key": {"order_number_type": 1, "mchid": box.identity.mchid, "out_trade_no": "ORDER0001"},
        "logistics_type": 4,
        "delivery_mode": 1,
        "shipping_list": [{"item_desc": "竹纤维餐具"}],
        "upload_time": "2026-11-25T10:00:00.120+08:00",
        "payer": {"openid": box.user("alice").openid},
    }
    path = "/wxa/sec/order/upload_shipping_info"
    assert call(box, path, {**good, **changes})["errcode"] == errcode
    assert call(box, path, good)["errcode"] == 0


def test_parcels_go_one_by_one_until_all_are_sent(box: Sandbox, api: Api) -> None:
    order(box, client_of(box))
    box.pay("ORDER0001")
    box.clock.advance(11)
    parcels = [Parcel("餐具", "1", "STO"), Parcel("袋子", "2", "STO")]
    now = box.clock.now()
    ship(api, box, "ORDER0001", now, logistics=Logistics.EXPRESS, parcels=parcels, all_delivered=False)
    found = box.order("ORDER0001")
    assert found is not None
    assert shipping.shipped_order(api, transaction_id=found.transaction_id).state == OrderState.TO_BE_SHIPPED
    parcels.append(Parcel("花盆", "3", "SF", "138****1234"))
    ship(api, box, "ORDER0001", now + 1, logistics=Logistics.EXPRESS, parcels=parcels)
    assert shipping.shipped_order(api, transaction_id=found.transaction_id).state == OrderState.SHIPPED
    for received, errcode in ((1, 10060030), (int(box.clock.now()) + 60, 0), (int(box.clock.now()) + 60, 10060029)):
        content = {"transaction_id": found.transaction_id, "received_time": received}
        assert call(box, "/wxa/sec/order/notify_confirm_receive", content)["errcode"] == errcode


def test_refunded_orders_are_not_shipped_and_late_ones_are_reminded(box: Sandbox, api: Api) -> None:
    client = client_of(box)
    for number in ("ORDER0001", "ORDER0002"):
        order(box, client, number)
        box.pay(number)
    refund(client, "R1", 100)
    box.clock.advance(11)
    with pytest.raises(errors.NotShippable):
        ship(api, box, "ORDER0001", box.clock.now())
    box.clock.advance(48 * 3600)
    assert box.agenda.quiet()
    reminded = [one.message for one in box.mini.push.sent if one.name == "trade_manage_remind_shipping"]
    assert [one["merchant_trade_no"] for one in reminded] == ["ORDER0002"]
    ship(api, box, "ORDER0002", box.clock.now())
    done = requests.post(f"{box.api_base}/_sandbox/receipts", json={"out_trade_no": "ORDER0002"}, timeout=5).json()
    assert done == {"confirmed": True}
    assert box.mini.push.sent[-1].message["confirm_receive_method"] == 1


# -- push


class Reader:
    """An application that reads pushes as Diandi does."""

    def __init__(self, box: Sandbox) -> None:
        self.opener = Opener(token=box.identity.push_token, aes_key=box.identity.push_aes_key, appid=box.identity.appid)
        self.heard: list[Any] = []
        self.refused: list[str] = []
        self.answer = b"success"
        self.host = Host(0, self._serve)

    def _serve(self, request: Request) -> Answer:
        query = {name: values[0] for name, values in request.query.items()}
        try:
            if request.method == "GET":
                return Answer(200, self.opener.echo(query).encode())
            self.heard.append(self.opener.opened(query, request.body))
        except PushRefused as refused:
            self.refused.append(refused.reason)
            return Answer(403)
        return Answer(200, self.answer)


@pytest.fixture
def reader(box: Sandbox) -> Iterator[Reader]:
    made = Reader(box)
    made.host.start()
    box.mini.push.url = f"{made.host.base}/push"
    yield made
    made.host.stop()


@pytest.mark.parametrize("form", ["json", "xml"])
def test_popups_are_pushed_in_both_forms(box: Sandbox, reader: Reader, form: str) -> None:
    box.mini.push.format = form
    assert box.mini.push.verify()
    content = {"user": "alice", "templates": ["local-a", "local-b"]}
    requests.post(f"{box.api_base}/_sandbox/popups", json=content, timeout=5)
    popup(box)
    box.mini.push.numbers_as_text = True
    popup(box)
    assert box.agenda.quiet()
    by_size = sorted(len(event.entries) for event in reader.heard)
    assert by_size == [1, 1, 2]
    assert {event.kind for event in reader.heard} == {"subscribe_msg_popup_event"}
    assert violations(box) == []


@pytest.mark.parametrize("kind", FORGED)
def test_forged_pushes_are_refused_and_the_right_one_follows(box: Sandbox, reader: Reader, kind: str) -> None:
    box.mini.push.faults.append(PushFault(kind))
    popup(box)
    assert box.agenda.quiet()
    (pushed,) = box.mini.push.sent
    assert [name for name, _, _ in pushed.attempts] == [kind, "genuine"]
    if kind != "stale":
        assert len(reader.refused) == 1 and violations(box) == []
    assert reader.heard


def test_pushes_come_three_times_at_most(box: Sandbox, reader: Reader) -> None:
    reader.answer = b"what?"
    popup(box)
    for _ in range(5):
        box.agenda.quiet()
        box.clock.advance(6)
    box.agenda.quiet()
    assert len(reader.heard) == 3
    assert "neither success" in violations(box)[0]
    reader.answer = b"success"
    for kind, count in (("parallel", 3), ("duplicate", 2), ("unknown_event", 2), ("drop", 0)):
        reader.heard.clear()
        box.mini.push.faults.append(PushFault(kind))
        popup(box)
        assert box.agenda.quiet()
        assert len(reader.heard) == count, kind
    box.clock.advance(6)
    assert box.agenda.quiet() and len(reader.heard) == 1


def test_held_pushes_come_in_the_other_order(box: Sandbox, reader: Reader) -> None:
    box.mini.push.faults.append(PushFault("hold", times=2))
    popup(box)
    requests.post(f"{box.api_base}/_sandbox/unsubscribe", json={"user": "alice", "template": "local-a"}, timeout=5)
    box.agenda.quiet()
    assert reader.heard == []
    assert box.mini.push.release() == 2
    assert [event.kind for event in reader.heard] == ["subscribe_msg_change_event", "subscribe_msg_popup_event"]


@pytest.mark.parametrize("kind", ["modified", "revoke", "cancel", "controlled", "remind_api"])
def test_events_by_command(box: Sandbox, reader: Reader, kind: str) -> None:
    content = {"user": "alice", "kind": kind}
    assert requests.post(f"{box.api_base}/_sandbox/events", json=content, timeout=5).json()["event"]
    assert box.agenda.quiet() and len(reader.heard) == 1


def test_each_errcode_can_be_planted(box: Sandbox, api: Api, alice: str) -> None:
    box.state.faults.append(Fault("/wxa/msg_sec_check", "errcode", errcode=44991))
    answer = requests.post(f"{box.api_base}/wxa/msg_sec_check", json={}, timeout=5).json()
    assert answer["errcode"] == 44991 and "rid: " in answer["errmsg"]
    box.state.faults.append(Fault("/wxa/*", "delay_after", seconds=0.2))
    started = time.monotonic()
    safety.check_text(api, content="你好", openid=alice, scene=2)
    assert time.monotonic() - started >= 0.2


def test_unknown_paths_and_fields(box: Sandbox) -> None:
    assert requests.get(f"{box.api_base}/cgi-bin/nothing", timeout=5).status_code == 404
    interface = Interface("code", "POST", "/wxa/getwxacodeunlimit")
    assert interface.path
    content = {"scene": "a", "colour": "red"}
    token = stable(box)["access_token"]
    requests.post(f"{box.api_base}{interface.path}", params={"access_token": token}, json=content, timeout=5)
    assert violations(box) == ["field colour is not documented"]


def test_several_mini_programs_of_one_company(box: Sandbox, api: Api) -> None:
    """Openids and tokens differ, the unionid and the merchant are one."""
    other = "wxlocal000000000002"
    content = {"appid": other, "secret": "another-secret"}
    assert requests.post(f"{box.api_base}/_sandbox/apps", json=content, timeout=5).json()["apps"][1] == other
    assert (
        requests.post(f"{box.api_base}/_sandbox/apps", json={**content, "appid": "wx1"}, timeout=5).status_code == 422
    )
    box.state.with_unionid = box.apps[other].state.with_unionid = True
    people = []
    for appid, secret in ((box.identity.appid, box.identity.secret), (other, "another-secret")):
        given = requests.post(f"{box.api_base}/_sandbox/codes", json={"user": "alice", "app": appid}, timeout=5).json()
        people.append(Login(appid=appid, secret=secret, base=box.api_base).exchange(given["code"]))
    assert people[0].openid != people[1].openid and people[0].unionid == people[1].unionid
    second = Api(appid=other, secret="another-secret", base=box.api_base, store=None)
    assert shipping.is_trade_managed(api) and shipping.is_trade_managed(second)
    assert safety.check_text(second, content="你好", openid=people[1].openid, scene=2).suggest == "pass"
    with pytest.raises(errors.BadRequest):
        safety.check_text(second, content="你好", openid=people[0].openid, scene=2)
    client = client_of(box)
    prepay_id = order(box, client, appid=other, openid=people[1].openid)
    parameters = client.call_up(appid=other, prepay_id=prepay_id)
    assert box.call_up(parameters, people[1].openid).order == "ORDER0001"
    box.pay("ORDER0001")
    assert client.query("ORDER0001").appid == other
    assert violations(box) == []
