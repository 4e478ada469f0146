"""Encryption against wechatpy's, and everything malformed that it takes and we must not."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from hypothesis import given
from hypothesis import strategies as st
from wechatpy.crypto import WeChatCrypto, WeChatWxaCrypto
from wechatpy.utils import WeChatSigner

from wechat.open_data import OpenDataRefused, fingerprint, open_data, raw_data_signed, steps_of
from wechat.push import Event, Push, PushRefused, is_container_check, revoked_kinds, subscription_news
from wechat.safety import media_verdict

TOKEN, AES_KEY, APPID = "canary-push-token", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", "wxlocal000000000001"
SESSION_KEY, IV = base64.b64encode(b"k" * 16).decode(), base64.b64encode(b"v" * 16).decode()
NOW = 1763568000
QUERY = {"timestamp": "1763568000", "nonce": "42", "encrypt_type": "aes"}


def push(**other: Any) -> Push:
    return Push(**{"token": TOKEN, "aes_key": AES_KEY, "appid": APPID, **other})


def signed(encrypt: str) -> dict[str, str]:
    signer = WeChatSigner()
    signer.add_data(TOKEN, QUERY["timestamp"], QUERY["nonce"], encrypt)
    return {**QUERY, "msg_signature": signer.signature, "signature": "also sent"}


def sealed(whole: bytes) -> str:
    """Encrypted as it is, padding and all."""
    key = base64.b64decode(AES_KEY + "=")
    encryptor = Cipher(AES(key), CBC(key[:16])).encryptor()
    return base64.b64encode(encryptor.update(whole) + encryptor.finalize()).decode()


def envelope(message: bytes, appid: str = APPID, length: int | None = None) -> bytes:
    """The whole plaintext with its padding."""
    whole = b"r" * 16 + (len(message) if length is None else length).to_bytes(4) + message + appid.encode()
    count = 32 - len(whole) % 32
    return whole + bytes([count]) * count


def opened(message: Any, *, xml: bool = False) -> Event:
    """A message through secure mode; the envelope in JSON or in XML."""
    text = message if isinstance(message, str) else json.dumps(message, ensure_ascii=False)
    encrypt = sealed(envelope(text.encode()))
    body = f"<xml><Encrypt><![CDATA[{encrypt}]]></Encrypt></xml>" if xml else json.dumps({"Encrypt": encrypt})
    return push().opened(signed(encrypt), body.encode())


def refused(encrypt: str) -> str:
    with pytest.raises(PushRefused) as error:
        push().opened(signed(encrypt), json.dumps({"Encrypt": encrypt}).encode())
    return error.value.reason


TEXT = {"MsgType": "text", "FromUserName": "o-alice", "CreateTime": NOW, "Content": "您好", "MsgId": 7}


@given(st.text(min_size=1, max_size=200))
def test_wechatpy_reads_what_we_encrypt_and_we_read_what_it_encrypts(content: str) -> None:
    theirs = WeChatCrypto(TOKEN, AES_KEY, APPID)
    answer = push().answer(content, timestamp=NOW, nonce="42")
    assert theirs.decrypt_message(answer, answer["MsgSignature"], str(NOW), "42") == content
    message = {**TEXT, "Content": content}
    xml = theirs.encrypt_message(json.dumps(message), "42", str(NOW))
    encrypt = xml.partition("<Encrypt><![CDATA[")[2].partition("]]>")[0]
    assert push().opened(signed(encrypt), xml.encode()).data == message


def test_both_formats_say_the_same_and_have_the_same_key() -> None:
    popup = {
        "ToUserName": "gh_1",
        "FromUserName": "o-alice",
        "CreateTime": NOW,
        "MsgType": "event",
        "Event": "subscribe_msg_popup_event",
    }
    entry = {"TemplateId": "T1", "SubscribeStatusString": "accept", "PopupScene": "1"}
    as_object, as_array = opened({**popup, "List": entry}), opened({**popup, "List": [entry]})
    inner = "".join(f"<{name}><![CDATA[{value}]]></{name}>" for name, value in popup.items())
    listed = "".join(f"<{name}>{value}</{name}>" for name, value in entry.items())
    nested = f"<SubscribeMsgPopupEvent><List>{listed}</List></SubscribeMsgPopupEvent>"
    as_xml = opened(f"<xml>{inner}{nested}</xml>", xml=True)
    assert as_object.entries == as_array.entries == as_xml.entries == [entry]
    assert as_object.key == as_array.key == as_xml.key
    assert as_xml.created_at == datetime.fromtimestamp(NOW, UTC)
    (news,) = subscription_news(as_xml)
    assert (news.template_id, news.status, news.scene) == ("T1", "accept", 1)
    two = opened(f"<xml>{inner}{nested.replace('</List>', f'</List><List>{listed}</List>')}</xml>", xml=True)
    assert two.entries == [entry, entry]


def test_keys_tell_messages_apart() -> None:
    base = {"MsgType": "event", "FromUserName": "o-alice", "CreateTime": NOW, "Event": "user_authorization_revoke"}
    different = [
        base,
        {**base, "CreateTime": NOW + 1},
        {**base, "FromUserName": "o-bob"},
        {**base, "OpenID": "o-alice", "RevokeInfo": "8"},
        {**base, "OpenID": "o-alice", "RevokeInfo": "12"},
        {**base, "Event": "wxa_media_check", "trace_id": "1"},
        {**base, "Event": "wxa_media_check", "trace_id": "2"},
        {**base, "Event": "trade_manage_remind_shipping", "transaction_id": "1"},
        {**base, "List": {"TemplateId": "T1", "MsgID": "1"}},
        {**base, "List": {"TemplateId": "T1", "MsgID": "2"}},
        TEXT,
        {**TEXT, "MsgId": 8},
    ]
    keys = [opened(message).key for message in different]
    assert len(set(keys)) == len(different)
    assert keys == [opened(message).key for message in different]
    assert opened({**TEXT, "MsgId": "7"}).key == opened(TEXT).key, "numbers may come as text"


def test_delivery_news_and_revocations() -> None:
    base = {"MsgType": "event", "FromUserName": "o-alice", "CreateTime": str(NOW)}
    sent = {"TemplateId": "T1", "MsgID": "9", "ErrorCode": "0", "ErrorStatus": "success"}
    (news,) = subscription_news(opened({**base, "Event": "subscribe_msg_sent_event", "List": sent}))
    assert (news.message_id, news.errcode, news.status) == ("9", 0, "success")
    odd = opened({**base, "Event": "subscribe_msg_sent_event", "List": [{"MsgID": "1"}, "x", None]})
    assert subscription_news(odd) == []
    for told, kinds in (("12", ["steps"]), (8, ["phone"]), ("6,8", ["profile", "phone"]), ("99", []), ("", [])):
        event = opened({**base, "Event": "user_authorization_revoke", "RevokeInfo": told})
        assert revoked_kinds(event) == kinds


def test_media_verdicts_in_both_formats() -> None:
    said = {
        "MsgType": "event",
        "Event": "wxa_media_check",
        "appid": APPID,
        "trace_id": "t-1",
        "version": 2,
        "errcode": 0,
        "result": {"suggest": "risky", "label": 20002},
    }
    found = media_verdict(opened(said).data, appid=APPID)
    assert found is not None
    assert (found.suggest, found.label_name, found.trace_id) == ("risky", "pornography", "t-1")
    xml = (
        f"<xml><MsgType>event</MsgType><Event>wxa_media_check</Event><appid>{APPID}</appid><trace_id>t-1</trace_id>"
        "<errcode>0</errcode><result><suggest>risky</suggest><label>20002</label></result></xml>"
    )
    assert media_verdict(opened(xml, xml=True).data, appid=APPID) == found
    failed = media_verdict({**said, "errcode": "-1008", "result": {}}, appid=APPID)
    assert failed is not None and (failed.errcode, failed.suggest) == (-1008, "")
    for change in ({"appid": "wx-other"}, {"trace_id": ""}, {"result": {"suggest": "fine"}}, {"errcode": "x"}):
        assert media_verdict({**said, **change}, appid=APPID) is None


def test_pushes_that_wechatpy_would_take() -> None:
    message = json.dumps(TEXT).encode()
    good = envelope(message)
    assert refused(sealed(good[:-1] + b"\x00")) == "padding"
    assert refused(sealed(good[:-1] + b"\x21")) == "padding"
    assert refused(sealed(envelope(message)[:-2] + b"\x01\x02")) == "padding"
    assert refused(sealed(envelope(message, appid="wxother"))) == "other_app"
    assert refused(sealed(envelope(message, appid=""))) == "other_app"
    assert refused(sealed(envelope(message, length=2**31))) == "length"
    assert refused(sealed(envelope(message, length=3))) == "other_app"
    assert refused(sealed(bytes([32]) * 32)) == "length"
    assert refused(sealed(envelope(b"[]"))) == "content"
    assert refused(sealed(envelope(b"\xff"))) == "content"
    assert refused(sealed(envelope(b'{"MsgType":"event"}'))) == "content"
    assert refused(sealed(good)[:-5]) == "encoding"
    assert refused(base64.b64encode(base64.b64decode(sealed(good))[:-3]).decode()) == "length"


def test_only_the_right_signature_counts() -> None:
    encrypt = sealed(envelope(json.dumps(TEXT).encode()))
    body = json.dumps({"Encrypt": encrypt}).encode()
    plain = hashlib.sha1("".join(sorted([TOKEN, QUERY["timestamp"], QUERY["nonce"]])).encode()).hexdigest()
    for change in (
        {"msg_signature": plain},
        {"msg_signature": ""},
        {"msg_signature": "签名"},
        {"nonce": "43"},
        {"timestamp": "1763568001"},
    ):
        with pytest.raises(PushRefused, match="signature"):
            push().opened({**signed(encrypt), "signature": plain, **change}, body)
    with pytest.raises(PushRefused, match="signature"):
        push(plain=True).opened({"signature": "x"}, body)
    for mode in ("", "raw", "rot13"):
        with pytest.raises(PushRefused, match="mode"):
            push().opened({**signed(encrypt), "signature": plain, "encrypt_type": mode}, body)


def test_plain_mode_in_both_formats() -> None:
    query = {"timestamp": "1", "nonce": "2"}
    query["signature"] = hashlib.sha1("".join(sorted([TOKEN, "1", "2"])).encode()).hexdigest()
    xml = "<xml><MsgType>text</MsgType><Content><![CDATA[<您好>]]></Content><MsgId>7</MsgId></xml>"
    assert push(plain=True).opened(query, xml.encode()).data["Content"] == "<您好>"
    assert push(plain=True).opened(query, json.dumps(TEXT).encode()).key == "msg:7"


@pytest.mark.parametrize(
    "xml",
    [
        '<!DOCTYPE x [<!ENTITY a "b">]><xml><MsgType>text</MsgType></xml>',
        '<!DOCTYPE x SYSTEM "file:///etc/passwd"><xml><MsgType>text</MsgType></xml>',
        "<!DOCTYPE xml><xml><MsgType>text</MsgType></xml>",
        "<xml><MsgType>&undefined;</MsgType></xml>",
        "<xml>" * 40 + "</xml>" * 40,
        "<xml>" + "<a/>" * 6000 + "</xml>",
        "<xml><MsgType>text</xml>",
        "<xml>text</xml>",
        "<",
    ],
)
def test_xml_that_no_message_is(xml: str) -> None:
    assert refused(sealed(envelope(xml.encode()))) == "content"


def test_a_huge_push_is_not_even_read() -> None:
    with pytest.raises(PushRefused, match="too_large"):
        push().opened(QUERY, b"x" * 300_000)


def test_the_console_of_cloud_hosting_is_answered_and_nothing_else() -> None:
    assert is_container_check(b'{"action":"CheckContainerPath"}')
    assert is_container_check(b"<xml><action><![CDATA[CheckContainerPath]]></action></xml>")
    for other in (b'{"action":"Other"}', b"[]", b"", b"x" * 2000, json.dumps(TEXT).encode()):
        assert not is_container_check(other)


def test_wrong_keys_are_refused_at_the_start() -> None:
    for change in ({"aes_key": "short"}, {"token": ""}, {"aes_key": "!" * 43}):
        with pytest.raises(ValueError):
            push(**change)


# --- open data --------------------------------------------------------------------------------------------------


def closed(content: Any, *, key: bytes = b"k" * 16, padding: bytes | None = None) -> str:
    plain = content if isinstance(content, bytes) else json.dumps(content, ensure_ascii=False).encode()
    count = 16 - len(plain) % 16
    encryptor = Cipher(AES(key), CBC(b"v" * 16)).encryptor()
    whole = plain + (bytes([count]) * count if padding is None else padding)
    return base64.b64encode(encryptor.update(whole) + encryptor.finalize()).decode()


def werun(*days: tuple[Any, Any], **mark: Any) -> dict[str, Any]:
    listed = [{"timestamp": at, "step": steps} for at, steps in days]
    return {"stepInfoList": listed, "watermark": {"timestamp": NOW, "appid": APPID, **mark}}


def unlocked(data: str, **change: Any) -> dict[str, Any]:
    given = {"session_key": SESSION_KEY, "encrypted_data": data, "iv": IV, "appid": APPID, "now": NOW, **change}
    return open_data(**given)


def reason(data: str, **change: Any) -> str:
    with pytest.raises(OpenDataRefused) as error:
        unlocked(data, **change)
    return error.value.reason


@given(st.dictionaries(st.text(max_size=20), st.one_of(st.text(max_size=40), st.integers(), st.booleans()), max_size=5))
def test_wechatpy_opens_the_same(content: dict[str, Any]) -> None:
    data = closed({**content, "watermark": {"timestamp": NOW, "appid": APPID}})
    assert unlocked(data) == WeChatWxaCrypto(SESSION_KEY, IV, APPID).decrypt_message(data)


def test_open_data_is_refused_with_a_word() -> None:
    good = werun((1763481600, 4100))
    data = closed(good)
    assert unlocked(data) == good
    assert reason("***") == "encoding"
    assert reason(data[:-1]) == "encoding"
    assert reason("") == "length"
    assert reason("A" * 70_000) == "length"
    assert reason(data, iv=base64.b64encode(b"short").decode()) == "key_length"
    assert reason(data, session_key=base64.b64encode(b"k" * 32).decode()) == "key_length"
    assert reason(data, session_key=base64.b64encode(b"K" * 16).decode()) in ("padding", "content")
    assert reason(data, iv=base64.b64encode(b"V" * 16).decode()) == "content"
    assert reason(closed(b"x" * 16, padding=b"\x00" * 16)) == "padding"
    assert reason(closed(b"x" * 15, padding=b"\x11")) == "padding"
    assert reason(closed(b"x" * 14, padding=b"\x01\x02")) == "padding"
    assert reason(closed([1])) == "content"
    assert reason(closed(b"\xff\xfe")) == "content"
    assert reason(closed({"stepInfoList": []})) == "watermark"
    assert reason(closed({"watermark": {"appid": APPID, "timestamp": str(NOW)}})) == "watermark"
    assert reason(closed(werun(appid="wxother"))) == "other_app"
    for now, ok in ((NOW + 600, True), (NOW + 601, False), (NOW - 60, True), (NOW - 61, False)):
        assert (unlocked(data, now=now) == good) if ok else (reason(data, now=now) == "stale")


def test_steps_by_day_of_beijing() -> None:
    # 1763481600 is 2025-11-19 00:00 in Beijing, 16:00 of the day before in London.
    days = steps_of(werun((1763568000, 10), (1763481600, 4100), (1763481600, 4200), (1763485200, 4150)))
    assert [(day.day, day.steps, day.exact) for day in days] == [
        (date(2025, 11, 19), 4200, True),
        (date(2025, 11, 20), 10, True),
    ]
    (odd,) = steps_of(werun((1763485200, 7)))
    assert (odd.day, odd.exact, odd.read_at) == (date(2025, 11, 19), False, datetime.fromtimestamp(NOW, UTC))
    assert steps_of(werun((1763481600, -5)))[0].steps == -5, "absurd values are the domain's matter"
    for wrong in (("1763481600", 1), (1763481600, 1.5), (1763481600, True), (0, 1), (1763481600, None), (2**40, 1)):
        with pytest.raises(OpenDataRefused, match="steps"):
            steps_of(werun(wrong))
    for listed in (None, {}, [1], [{}], [{"timestamp": 1763481600, "step": 1}] * 100):
        with pytest.raises(OpenDataRefused, match="steps"):
            steps_of({**werun(), "stepInfoList": listed})


def test_a_piece_is_known_again_and_raw_data_is_checked() -> None:
    assert fingerprint("a") == fingerprint("a") != fingerprint("b")
    signature = hashlib.sha1(('{"nickName":"点滴"}' + SESSION_KEY).encode()).hexdigest()
    assert raw_data_signed('{"nickName":"点滴"}', session_key=SESSION_KEY, signature=signature)
    assert not raw_data_signed('{"nickName": "点滴"}', session_key=SESSION_KEY, signature=signature)
    assert not raw_data_signed("", session_key=SESSION_KEY, signature="签名")
