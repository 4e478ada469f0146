"""Each interface of the mini-program: what is sent, what comes back, and what every published error code means."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.wechat.apihost import APPID, TOKEN_PATH, ApiHost, errcode, ok, said
from tests.wechat.stub import Asked, Reply
from wechat import errors
from wechat.api import Api
from wechat.codes import link_known, unlimited_code, url_link, url_scheme
from wechat.login import Login
from wechat.messages import answer_customer, fitted, send_subscribed
from wechat.phone import phone_number
from wechat.safety import COMMENT, IMAGE, PASS, PROFILE, check_media, check_text
from wechat.sessions import reset_session, session_holds
from wechat.shipping import Logistics, OrderState, Parcel, is_trade_managed, shipped_order, upload_shipping

AT = datetime(2026, 11, 25, 2, 0, tzinfo=UTC)
OPENID = "o-alice"


@pytest.fixture
def host() -> Iterator[ApiHost]:
    with ApiHost() as host:
        yield host


@pytest.fixture
def api(host: ApiHost) -> Api:
    return host.api()


def last(host: ApiHost) -> Asked:
    return host.asked[-1]


def send(api: Api) -> Any:
    return send_subscribed(api, openid=OPENID, template_id="T1", data={"thing1": "环保袋"}, page="pages/o?id=1")


def code(api: Api) -> Any:
    return unlimited_code(api, scene="k=abc", page="pages/index")


def link(api: Api) -> Any:
    return url_link(api, page="pages/index", query="a=1", expires_at=AT + timedelta(days=7), at=AT)


def scheme(api: Api) -> Any:
    return url_scheme(api, page="pages/index", query="a=1", expires_at=AT + timedelta(days=7), at=AT)


def text(api: Api) -> Any:
    return check_text(api, content="你好", openid=OPENID, scene=COMMENT)


def media(api: Api) -> Any:
    return check_media(api, url="https://api.example/m/1", media_type=IMAGE, scene=COMMENT, openid=OPENID)


def ship(api: Api) -> None:
    parcels = [Parcel("环保帆布袋")]
    upload_shipping(api, transaction_id="4200001", logistics=Logistics.PICK_UP, parcels=parcels, openid=OPENID, at=AT)


def phone(api: Api) -> Any:
    return phone_number(api, code="c", openid=OPENID)


def reset(api: Api) -> Any:
    return reset_session(api, openid=OPENID, session_key="a2V5")


def holds(api: Api) -> Any:
    return session_holds(api, openid=OPENID, session_key="a2V5")


def customer(api: Api) -> None:
    answer_customer(api, openid=OPENID, text="您好")


def token(api: Api) -> Any:
    return api.tokens.get()


E = errors
ALL: list[tuple[Callable[[Api], Any], dict[int, type[errors.WeChatError]]]] = [
    (send, {
        43101: E.NotSubscribed, 43107: E.Banned, 43108: E.Together, 45168: E.Sensitive, 40037: E.BadRequest,
        47003: E.BadRequest, 40003: E.BadRequest, 45009: E.QuotaSpent, 45011: E.RateLimited, -1: E.Busy,
    }),
    (code, {
        40129: E.BadRequest, 40169: E.BadRequest, 41030: E.BadRequest, 40097: E.BadRequest, 85096: E.BadRequest,
        45009: E.QuotaSpent, -1: E.Busy,
    }),
    (link, {
        40002: E.Banned, 40013: E.Banned, 85408: E.Banned, 85407: E.Banned, 40165: E.BadRequest, 40212: E.BadRequest,
        85079: E.BadRequest, 85401: E.BadRequest, 85402: E.BadRequest, 85403: E.BadRequest, 85406: E.QuotaSpent,
        44990: E.RateLimited, 44993: E.QuotaSpent, 85499: E.BadRequest, 85001: E.BadRequest,
    }),
    (scheme, {40002: E.Banned, 40013: E.Banned, 85401: E.BadRequest, 44990: E.RateLimited, 44993: E.QuotaSpent}),
    (text, {
        61010: E.NotHereLately, 40003: E.BadRequest, 43104: E.BadRequest, 40129: E.BadRequest, 44002: E.BadRequest,
        47001: E.BadRequest, 44991: E.RateLimited, 45009: E.QuotaSpent, -1: E.Busy,
    }),
    (media, {
        40004: E.BadRequest, 87020: E.AskedBefore, 61010: E.NotHereLately, 43104: E.BadRequest, 40003: E.BadRequest,
        44991: E.RateLimited, 45009: E.QuotaSpent,
    }),
    (ship, {
        10060001: E.PaymentUnknown, 10060002: E.AlreadyShipped, 10060003: E.AlreadyShipped, 10060004: E.NotShippable,
        **dict.fromkeys(range(10060005, 10060010), E.BadRequest), 10060014: E.BadRequest, 10060020: E.BadRequest,
        10060024: E.BadRequest, 10060025: E.BadRequest, 10060026: E.BadRequest, 10060028: E.BadRequest,
        10060029: E.BadRequest, 10060030: E.BadRequest, 10060032: E.BadRequest, 268485194: E.BadRequest,
        268485228: E.BadRequest, 10060012: E.Busy, 10060019: E.Busy, -1: E.Busy, 10060031: E.OtherPayer,
    }),
    (phone, {40029: E.CodeInvalid, 40013: E.Misconfigured, 45011: E.RateLimited, -1: E.Busy}),
    (reset, {
        87009: E.SessionGone, 87007: E.SessionGone, 87008: E.BadRequest, 40097: E.BadRequest, 45011: E.RateLimited,
        -1: E.Busy,
    }),
    (holds, {40097: E.BadRequest, 87008: E.BadRequest}),
    (customer, {45015: E.TooLate, 45047: E.TooLate, 40003: E.BadRequest}),
    (is_trade_managed, {40013: E.Misconfigured, 40097: E.BadRequest, 44990: E.RateLimited}),
    (send, {
        40001: E.StaleToken, 40014: E.StaleToken, 42001: E.StaleToken, 40125: E.Misconfigured, 40164: E.Misconfigured,
        40243: E.Misconfigured, 41001: E.Misconfigured, 41002: E.Misconfigured, 41004: E.Misconfigured,
        43002: E.Misconfigured, 48001: E.Misconfigured, 50004: E.Banned, 50007: E.Banned, 89503: E.AddressAwaited,
        89506: E.AddressAwaited, 89507: E.AddressAwaited, 123456: E.Misconfigured,
    }),
]  # fmt: skip
CASES = [(call, number, kind) for call, kinds in ALL for number, kind in kinds.items()]
ALARMS = (E.Misconfigured, E.QuotaSpent, E.StaleToken, E.OtherPayer)
RETRIES = (E.Busy, E.RateLimited, E.PaymentUnknown)


@pytest.mark.parametrize(
    ("call", "number", "kind"), CASES, ids=[f"{call.__name__}-{number}" for call, number, _ in CASES]
)
def test_every_code_has_its_behaviour(
    host: ApiHost, api: Api, call: Callable[[Api], Any], number: int, kind: type[errors.WeChatError]
) -> None:
    host.says = lambda asked: errcode(number)
    with pytest.raises(errors.WeChatError) as error:
        call(api)
    found = error.value
    assert type(found) is kind
    assert found.alarm is issubclass(kind, ALARMS)
    assert found.retry is issubclass(kind, RETRIES)
    if kind is not errors.StaleToken:  # our own: the fresh token is the one that was refused
        assert (found.errcode, found.rid) == (number, "65a1-0f2e-77aa")
    calls = [asked for asked in host.asked if asked.path != TOKEN_PATH]
    once_more = kind is errors.Busy and call not in (send, media, phone, reset, customer)
    assert len(calls) == (2 if once_more else 1)
    assert OPENID not in str(found)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (40029, E.CodeInvalid), (40163, E.CodeUsed), (40226, E.Risky), (45011, E.RateLimited), (45009, E.RateLimited),
        (40013, E.Misconfigured), (40125, E.Misconfigured), (40164, E.Misconfigured), (40243, E.Misconfigured),
        (40001, E.Misconfigured), (42001, E.Misconfigured), (89507, E.AddressAwaited), (-1, E.Busy),
        (77777, E.Misconfigured),
    ],
)  # fmt: skip
def test_every_code_of_login(host: ApiHost, number: int, kind: type[errors.WeChatError]) -> None:
    host.answer = lambda asked: errcode(number)
    with pytest.raises(errors.WeChatError) as error:
        Login(appid=APPID, secret="s", base=host.base).exchange("code")
    assert type(error.value) is kind
    assert len(host.asked) == (2 if number == -1 else 1)


def test_every_code_of_the_table_is_tried() -> None:
    tried = {number for _, number, _ in CASES} | {40163, 40226}  # those two belong to login
    assert set(errors.KINDS) - tried == set()


def test_a_wait_is_named_where_it_is_known(host: ApiHost, api: Api) -> None:
    for number, seconds in ((89506, 86_400), (89507, 3_600), (89503, 0)):
        host.says = lambda asked, number=number: errcode(number)
        with pytest.raises(errors.AddressAwaited) as error:
            send(api)
        assert error.value.wait_seconds == seconds


# --- what is sent, what comes back --------------------------------------------------------------------------------


def test_a_session_holds_or_not(host: ApiHost, api: Api) -> None:
    assert holds(api) is True
    asked = last(host)
    assert (asked.method, asked.path, asked.body) == ("GET", "/wxa/checksession", b"")
    assert asked.query["sig_method"] == "hmac_sha256" and len(asked.query["signature"]) == 64
    for number in (87009, 87007):
        host.says = lambda asked, number=number: errcode(number)
        assert holds(api) is False


def test_a_session_key_is_replaced(host: ApiHost, api: Api) -> None:
    host.says = lambda asked: said({"openid": OPENID, "session_key": "bmV3"})
    assert reset(api) == "bmV3"
    for answer in ({"openid": OPENID}, {"openid": "o-bob", "session_key": "bmV3"}):
        host.says = lambda asked, answer=answer: said(answer)
        with pytest.raises(errors.WeChatUnavailable):
            reset(api)


def test_a_phone_number_has_our_watermark(host: ApiHost, api: Api) -> None:
    info = {
        "phoneNumber": "+8613800138000",
        "purePhoneNumber": "13800138000",
        "countryCode": "86",
        "watermark": {"timestamp": 1795000000, "appid": APPID},
    }
    host.says = lambda asked: said({"errcode": 0, "phone_info": info})
    found = phone(api)
    assert (found.country, found.number, found.masked) == ("86", "13800138000", "138******00")
    assert "13800138000" not in repr(found)
    assert host.bodies("/wxa/business/getuserphonenumber") == [{"code": "c", "openid": OPENID}]
    other: list[tuple[Any, type[errors.WeChatError]]] = [
        ({**info, "watermark": {"appid": "wxother"}}, errors.Misconfigured),
        ({**info, "watermark": None}, errors.Misconfigured),
        ({**info, "purePhoneNumber": "138-0013"}, errors.WeChatUnavailable),
        ({**info, "countryCode": ""}, errors.WeChatUnavailable),
        (None, errors.WeChatUnavailable),
    ]
    for answer, kind in other:
        host.says = lambda asked, answer=answer: said({"errcode": 0, "phone_info": answer})
        with pytest.raises(kind):
            phone(api)


def test_a_message_says_in_which_version_it_opens(host: ApiHost, api: Api) -> None:
    host.says = lambda asked: said({"errcode": 0, "msgid": 99})
    assert send(api) == "99"
    host.says = ok
    assert send_subscribed(api, openid=OPENID, template_id="T1", data={}, state="trial") == ""
    first, second = host.bodies("/cgi-bin/message/subscribe/send")
    assert first == {
        "touser": OPENID,
        "template_id": "T1",
        "page": "pages/o?id=1",
        "data": {"thing1": {"value": "环保袋"}},
        "miniprogram_state": "formal",
        "lang": "zh_CN",
    }
    assert second["miniprogram_state"] == "trial" and "page" not in second
    with pytest.raises(ValueError):
        send_subscribed(api, openid=OPENID, template_id="T1", data={}, state="release")


def test_values_are_made_to_fit() -> None:
    long = fitted(
        {"thing1": "一" * 30, "thing2": "two\nlines\t", "amount3": "¥12.50元", "time4": "2026年11月25日 10:00"}
    )
    assert long == {
        "thing1": "一" * 19 + "…",
        "thing2": "two lines",
        "amount3": "¥12.50元",
        "time4": "2026年11月25日 10:00",
    }
    good = {
        "number1": "12.5", "letter2": "ABC", "symbol3": "!?", "character_string4": "DD-2026/1", "date5": "2026-11-25",
        "phone_number6": "+86 138-0013-8000", "car_number7": "川A12345", "name8": "王小明", "phrase9": "已支付",
        "enum1": "a", "amount2": "12.5", "time3": "10:00~11:00",
    }  # fmt: skip
    assert fitted(good) == good
    for key, value in (
        ("number1", "twelve"), ("number1", "1" * 33), ("letter1", "a1"), ("phrase1", "超过五个汉字"), ("phrase1", "ab"),
        ("amount1", "12345678901"), ("name1", "一" * 11), ("phone_number1", "1" * 18), ("car_number1", "川A12345678"),
        ("time1", "soon"), ("thing1", "  \n"), ("thing", "x"), ("unknown1", "x"), ("symbol1", "abc"),
        ("character_string1", "有汉字"), ("enum1", "x" * 21),
    ):  # fmt: skip
        with pytest.raises(ValueError):
            fitted({key: value})


def test_a_customer_is_answered(host: ApiHost, api: Api) -> None:
    customer(api)
    assert host.bodies("/cgi-bin/message/custom/send")[0]["text"] == {"content": "您好"}
    for wrong in ("", "x" * 601):
        with pytest.raises(ValueError):
            answer_customer(api, openid=OPENID, text=wrong)


def test_a_code_is_an_image(host: ApiHost, api: Api) -> None:
    host.says = lambda asked: Reply(b"\x89PNG-bytes", headers={"Content-Type": "image/png"})
    assert code(api) == b"\x89PNG-bytes"
    unlimited_code(api, scene="a!#$&'()*+,/:;=?@-._~", version="develop", check_path=False, width=280)
    assert host.bodies("/wxa/getwxacodeunlimit") == [
        {"scene": "k=abc", "check_path": True, "env_version": "release", "width": 430, "page": "pages/index"},
        {"scene": "a!#$&'()*+,/:;=?@-._~", "check_path": False, "env_version": "develop", "width": 280},
    ]
    before = len(host.asked)
    for change in (
        {"scene": ""}, {"scene": "x" * 33}, {"scene": "50%"}, {"scene": "中文"}, {"scene": "a b"}, {"page": "/pages/i"},
        {"page": "pages/i?a=1"}, {"width": 279}, {"width": 1281}, {"version": "formal"},
    ):  # fmt: skip
        with pytest.raises(ValueError):
            unlimited_code(api, **{"scene": "ok", **change})
    assert len(host.asked) == before


def test_a_link_is_looked_up(host: ApiHost, api: Api) -> None:
    info = {"appid": APPID, "path": "pages/index", "query": "a=1", "create_time": 1764036000, "expire_time": 0}
    both = {"url_link_info": info, "scheme_info": {**info, "expire_time": 1764036060}}
    host.says = lambda asked: said({"errcode": 0, **both})
    found = link_known(api, "https://wxaurl.cn/x")
    assert (found.page, found.query, found.version, found.expires_at) == ("pages/index", "a=1", "release", None)
    assert link_known(api, "weixin://dl/x").expires_at == datetime(2025, 11, 25, 2, 1, tzinfo=UTC)
    assert host.bodies("/wxa/query_urllink") == [{"url_link": "https://wxaurl.cn/x"}]
    assert host.bodies("/wxa/queryscheme") == [{"scheme": "weixin://dl/x"}]
    host.says = ok
    with pytest.raises(errors.WeChatUnavailable):
        link_known(api, "https://wxaurl.cn/x")


def test_links_live_as_long_as_they_are_told(host: ApiHost, api: Api) -> None:
    host.says = lambda asked: said({"errcode": 0, "url_link": "https://wxaurl.cn/x", "openlink": "weixin://dl/x"})
    assert (link(api), scheme(api)) == ("https://wxaurl.cn/x", "weixin://dl/x")
    expires = int((AT + timedelta(days=7)).timestamp())
    assert host.bodies("/wxa/generate_urllink") == [
        {
            "path": "pages/index",
            "query": "a=1",
            "env_version": "release",
            "expire_type": 0,
            "expire_time": expires,
        }
    ]
    assert host.bodies("/wxa/generatescheme")[0]["jump_wxa"]["path"] == "pages/index"
    for life in (timedelta(seconds=59), timedelta(days=30, seconds=1), -timedelta(days=1)):
        with pytest.raises(ValueError):
            url_link(api, page="pages/index", query="", expires_at=AT + life, at=AT)
    for query in ("中文", "x" * 1025, "a b"):
        with pytest.raises(ValueError):
            url_scheme(api, page="pages/index", query=query, expires_at=AT + timedelta(days=1), at=AT)
    host.says = ok
    with pytest.raises(errors.WeChatUnavailable):
        link(api)


def test_a_text_is_judged_by_version_two(host: ApiHost, api: Api) -> None:
    result = {"errcode": 0, "result": {"suggest": "pass", "label": 100}, "trace_id": "t-1", "detail": []}
    host.says = lambda asked: said(result)
    found = text(api)
    assert (found.suggest, found.label_name, found.trace_id) == (PASS, "normal", "t-1")
    check_text(api, content="环保达人", openid=OPENID, scene=PROFILE, nickname="点点", signature="低碳")
    first, second = host.bodies("/wxa/msg_sec_check")
    assert first == {"content": "你好", "version": 2, "scene": 2, "openid": OPENID}
    assert (second["nickname"], second["signature"]) == ("点点", "低碳")
    for answer in ({"suggest": "fine", "label": 100}, {"label": 100}, None, {"suggest": "pass", "label": "x"}):
        host.says = lambda asked, answer=answer: said({**result, "result": answer})
        with pytest.raises(errors.WeChatUnavailable):
            text(api)
    host.says = lambda asked: said({"errcode": 0, "errmsg": "ok"})
    with pytest.raises(errors.WeChatUnavailable):
        text(api)


def test_texts_that_are_not_sent(host: ApiHost, api: Api) -> None:
    host.says = lambda asked: said({"result": {"suggest": "pass", "label": 100}, "trace_id": "t"})
    assert check_text(api, content="x" * 2500, openid=OPENID, scene=COMMENT).suggest == PASS
    for content, scene, signature in (
        ("x" * 2501, 2, ""),
        ("", 2, ""),
        (" \n", 2, ""),
        ("x", 5, ""),
        ("x", 2, "motto"),
    ):
        with pytest.raises(ValueError):
            check_text(api, content=content, openid=OPENID, scene=scene, signature=signature)
    assert len(host.bodies("/wxa/msg_sec_check")) == 1


def test_an_image_is_asked_about(host: ApiHost, api: Api) -> None:
    host.says = lambda asked: said({"errcode": 0, "trace_id": "t-9"})
    assert media(api) == "t-9"
    assert host.bodies("/wxa/media_check_async") == [
        {"media_url": "https://api.example/m/1", "media_type": 2, "version": 2, "scene": 2, "openid": OPENID}
    ]
    with pytest.raises(ValueError):
        check_media(api, url="https://x", media_type=3, scene=1, openid=OPENID)
    host.says = ok
    with pytest.raises(errors.WeChatUnavailable):
        media(api)


def test_goods_are_reported_as_sent(host: ApiHost, api: Api) -> None:
    ship(api)
    express = [Parcel("帆布袋", f"SF{number}", "SF", "138****8000") for number in range(2)]
    upload_shipping(
        api,
        transaction_id="42",
        logistics=Logistics.EXPRESS,
        parcels=express,
        openid=OPENID,
        at=AT,
        all_delivered=False,
    )
    first, second = host.bodies("/wxa/sec/order/upload_shipping_info")
    assert first == {
        "order_key": {"order_number_type": 2, "transaction_id": "4200001"},
        "logistics_type": 4,
        "delivery_mode": 1,
        "shipping_list": [{"item_desc": "环保帆布袋"}],
        "upload_time": "2026-11-25T10:00:00.000+08:00",
        "payer": {"openid": OPENID},
    }
    assert (second["delivery_mode"], second["is_all_delivered"], second["logistics_type"]) == (2, False, 1)
    assert second["shipping_list"][1] == {
        "item_desc": "帆布袋",
        "tracking_no": "SF1",
        "express_company": "SF",
        "contact": {"receiver_contact": "138****8000"},
    }
    host.says = lambda asked: errcode(10060023)
    ship(api)


def test_parcels_that_are_not_sent(host: ApiHost, api: Api) -> None:
    good = Parcel("x", "1", "YTO")
    wrong: list[tuple[Logistics, list[Parcel]]] = [
        (Logistics.EXPRESS, []), (Logistics.EXPRESS, [good] * 16), (Logistics.PICK_UP, [Parcel("x")] * 2),
        (Logistics.EXPRESS, [Parcel("x")]), (Logistics.EXPRESS, [Parcel("x", "1", "SF")]),
        (Logistics.VIRTUAL, [Parcel("")]), (Logistics.VIRTUAL, [Parcel("x" * 121)]),
    ]  # fmt: skip
    for logistics, parcels in wrong:
        with pytest.raises(ValueError):
            upload_shipping(api, transaction_id="1", logistics=logistics, parcels=parcels, openid=OPENID, at=AT)
    assert host.asked == []


def test_an_order_is_looked_up_where_shipping_knows_it(host: ApiHost, api: Api) -> None:
    order: dict[str, Any] = {
        "transaction_id": "42",
        "order_state": 2,
        "in_complaint": False,
        "paid_amount": 1200,
        "openid": OPENID,
        "shipping": {"finish_shipping": True, "finish_shipping_count": 1},
    }
    host.says = lambda asked: said({"errcode": 0, "order": order})
    found = shipped_order(api, transaction_id="42")
    assert (found.state, found.finished, found.finished_count, found.paid_fen) == (OrderState.SHIPPED, True, 1, 1200)
    for answer in (None, {}, {**order, "transaction_id": "43"}, {**order, "paid_amount": "1200"}):
        host.says = lambda asked, answer=answer: said({"errcode": 0, "order": answer})
        with pytest.raises(errors.WeChatUnavailable):
            shipped_order(api, transaction_id="42")
    host.says = lambda asked: said({"errcode": 0, "order": {"order_state": 1}})
    assert not shipped_order(api, transaction_id="42").finished


def test_management_of_orders_is_a_yes_or_a_no(host: ApiHost, api: Api) -> None:
    host.says = lambda asked: said({"errcode": 0, "is_trade_managed": False})
    assert is_trade_managed(api) is False
    assert host.bodies("/wxa/sec/order/is_trade_managed") == [{"appid": APPID}]
    host.says = ok
    with pytest.raises(errors.WeChatUnavailable):
        is_trade_managed(api)
