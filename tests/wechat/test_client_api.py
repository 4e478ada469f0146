"""The adapter of the mini-program's interfaces: how many calls it makes, what it does with what comes back."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from devkit import ROOT
from tests.conftest import Slot
from tests.wechat.apihost import APPID, SECRET, TOKEN_PATH, ApiHost, errcode, ok, said
from tests.wechat.stub import Asked, Reply, dead_base
from wechat import errors
from wechat.api import Api, Interface
from wechat.login import Login
from wechat.tokens import Tokens

SEND = Interface("subscribe send", "POST", "/cgi-bin/message/subscribe/send")
READ = Interface("is_trade_managed", "POST", "/wxa/sec/order/is_trade_managed", again=True)


@pytest.fixture
def store(slot: Slot) -> Iterator[redis.Redis]:
    client: redis.Redis = redis.Redis.from_url(slot.redis_url)
    forget(client)
    yield client
    forget(client)
    client.close()


def forget(client: redis.Redis) -> None:
    for key in client.scan_iter(f"wx:{APPID}:*"):
        client.delete(key)


@pytest.fixture
def host() -> Iterator[ApiHost]:
    with ApiHost() as host:
        yield host


def test_a_call_takes_the_token_from_the_store_and_sends_json(host: ApiHost, store: redis.Redis) -> None:
    for _ in range(3):
        host.api(store).call(SEND, {"touser": "o-alice", "data": {"thing1": {"value": "点滴"}}})
    assert host.count(TOKEN_PATH) == 1
    assert "点滴".encode() in host.asked[-1].body, "Chinese is not escaped"
    assert 6880 < store.ttl(f"wx:{APPID}:token") <= 6900


def test_sixteen_cold_workers_make_one_token_call(host: ApiHost, store: redis.Redis) -> None:
    """Real processes: each has its own connections, its own memory and nothing but Redis in common."""
    work = (
        "import sys, redis\n"
        "from wechat.api import Api, Interface\n"
        "api = Api(appid=sys.argv[1], secret=sys.argv[2], base=sys.argv[3], store=redis.Redis.from_url(sys.argv[4]))\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "print(api.call(Interface('send', 'POST', '/cgi-bin/message/subscribe/send'), {'a': 1})['errmsg'])\n"
    )
    address = store.connection_pool.connection_kwargs
    url = f"unix://{address['path']}?db={address.get('db', 0)}" if "path" in address else None
    if url is None:
        url = f"redis://{address['host']}:{address['port']}/{address.get('db', 0)}"
    command = [sys.executable, "-c", work, APPID, SECRET, host.base, url]
    host.token = slowly(host)
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True) for _ in range(16)
    ]
    for worker in workers:
        assert worker.stdout is not None and worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    assert [worker.communicate(timeout=60)[0] for worker in workers] == ["ok\n"] * 16
    assert (host.count(TOKEN_PATH), host.count(SEND.path)) == (1, 16)


def slowly(host: ApiHost) -> Any:
    def token(asked: Asked) -> Reply:
        content = {"access_token": host.valid, "expires_in": 7200}
        return Reply(json.dumps(content).encode(), delay=0.3)

    return token


def test_a_token_revoked_by_another_party_costs_three_calls(host: ApiHost, store: redis.Redis) -> None:
    api = host.api(store)
    api.call(SEND, {})
    host.revoke()
    host.asked.clear()
    api.call(SEND, {})
    assert [asked.path for asked in host.asked] == [SEND.path, TOKEN_PATH, SEND.path]


def test_a_revoked_token_is_fetched_once_for_all(host: ApiHost, store: redis.Redis) -> None:
    apis = [host.api(store) for _ in range(8)]
    apis[0].call(SEND, {})
    host.revoke()
    host.token = slowly(host)
    threads = [threading.Thread(target=api.call, args=(SEND, {})) for api in apis]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert host.count(TOKEN_PATH) == 2


@pytest.mark.parametrize("code", [40001, 40014, 42001])
def test_a_token_refused_for_ever_is_no_loop(host: ApiHost, store: redis.Redis, code: int) -> None:
    host.says = lambda asked: errcode(code)
    api = host.api(store)
    host.token = lambda asked: said({"access_token": f"token-{len(host.asked)}", "expires_in": 7200})
    host.answer = lambda asked: host._tokens(asked) if asked.path == TOKEN_PATH else errcode(code)
    with pytest.raises(errors.StaleToken):
        api.call(SEND, {})
    assert [asked.path for asked in host.asked] == [TOKEN_PATH, SEND.path, TOKEN_PATH, SEND.path]
    host.asked.clear()
    with pytest.raises(errors.StaleToken) as error:
        api.call(SEND, {})
    assert len(host.asked) == 3
    assert error.value.alarm


def test_the_very_token_that_was_refused_is_not_tried_again(host: ApiHost, store: redis.Redis) -> None:
    host.answer = lambda asked: (
        said({"access_token": "same", "expires_in": 345}) if asked.path == TOKEN_PATH else errcode(42001)
    )
    with pytest.raises(errors.StaleToken):
        host.api(store).call(SEND, {})
    assert host.count(SEND.path) == 1
    assert store.ttl(f"wx:{APPID}:token") <= 30, "a token in its last minutes is kept for half a minute"


def test_a_cold_login_makes_one_call_without_token(host: ApiHost) -> None:
    host.answer = lambda asked: said({"openid": "o-alice", "session_key": "a2V5", "unionid": ""})
    found = Login(appid=APPID, secret=SECRET, base=host.base).exchange("code")
    assert (found.openid, found.unionid) == ("o-alice", None)
    (asked,) = host.asked
    assert set(asked.query) == {"appid", "secret", "js_code", "grant_type"}


def test_without_redis_it_asks_by_itself_and_remembers(host: ApiHost) -> None:
    gone: redis.Redis = redis.Redis(host="127.0.0.1", port=9, socket_connect_timeout=0.2, retry=None)
    for api in (host.api(None), host.api(gone)):
        host.asked.clear()
        api.call(SEND, {})
        api.call(SEND, {})
        assert (host.count(TOKEN_PATH), host.count(SEND.path)) == (1, 2)
        host.revoke()
        api.call(SEND, {})
        assert (host.count(TOKEN_PATH), host.count(SEND.path)) == (2, 4)


def test_redis_going_away_in_the_middle_loses_nothing(host: ApiHost, store: redis.Redis) -> None:
    class Leaving(redis.Redis):
        def set(self, *words: Any, **more: Any) -> Any:
            raise redis.ConnectionError("gone")

    leaving = Leaving(connection_pool=store.connection_pool)
    assert host.api(leaving).call(SEND, {})["errmsg"] == "ok"


def test_a_holder_that_died_does_not_hold_for_ever(
    host: ApiHost, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.set(f"wx:{APPID}:token-lock", "a worker that was killed", px=400)
    assert host.api(store).call(SEND, {})["errmsg"] == "ok"
    forget(store)
    store.set(f"wx:{APPID}:token-lock", "a worker that hangs", ex=30)
    monkeypatch.setattr("wechat.tokens.WAIT_SECONDS", 0.2)
    with pytest.raises(errors.Busy):
        host.api(store).call(SEND, {})
    assert store.get(f"wx:{APPID}:token-lock") == b"a worker that hangs", "another's lock is not released"


def test_a_lock_is_given_back(host: ApiHost, store: redis.Redis) -> None:
    host.api(store).call(SEND, {})
    assert store.exists(f"wx:{APPID}:token-lock") == 0


TOKEN_TROUBLE: list[tuple[Reply, type[errors.WeChatError]]] = [
    (Reply(drop=True), errors.WeChatUnavailable),
    (Reply(b"<html>busy</html>"), errors.WeChatUnavailable),
    (Reply(b"", 502), errors.WeChatUnavailable),
    (said({}), errors.WeChatUnavailable),
    (said({"access_token": "", "expires_in": 7200}), errors.WeChatUnavailable),
    (said({"access_token": "x" * 5000, "expires_in": 7200}), errors.WeChatUnavailable),
    (said({"access_token": "x", "expires_in": "7200"}), errors.WeChatUnavailable),
    (said([1]), errors.WeChatUnavailable),
    (errcode(-1), errors.Busy),
    (errcode(40001), errors.Misconfigured),
    (errcode(40002), errors.Misconfigured),
    (errcode(40013), errors.Misconfigured),
    (errcode(40125), errors.Misconfigured),
    (errcode(40164), errors.Misconfigured),
    (errcode(40243), errors.Misconfigured),
    (errcode(41002), errors.Misconfigured),
    (errcode(41004), errors.Misconfigured),
    (errcode(43002), errors.Misconfigured),
    (errcode(45009), errors.QuotaSpent),
    (errcode(45011), errors.RateLimited),
    (errcode(89503), errors.AddressAwaited),
    (errcode(89506), errors.AddressAwaited),
    (errcode(89507), errors.AddressAwaited),
]


@pytest.mark.parametrize(("reply", "expected"), TOKEN_TROUBLE)
def test_trouble_with_the_token_is_told_and_not_multiplied(
    host: ApiHost, store: redis.Redis, reply: Reply, expected: type[errors.WeChatError]
) -> None:
    host.token = lambda asked: reply
    api = host.api(store)
    with pytest.raises(errors.WeChatError) as error:
        api.call(SEND, {})
    assert type(error.value) is expected
    with pytest.raises(errors.WeChatError):
        api.call(SEND, {})
    assert host.count(TOKEN_PATH) == 1, "who comes in the next two seconds does not ask again"
    assert host.count(SEND.path) == 0


def test_a_slow_token_endpoint_is_given_up_in_time(
    host: ApiHost, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wechat.api.READ_SECONDS", 0.2)
    host.token = lambda asked: Reply(delay=1.5)
    began = time.monotonic()
    with pytest.raises(errors.WeChatUnavailable) as error:
        host.api(store).call(SEND, {})
    assert error.value.kind == "ReadTimeout"
    assert time.monotonic() - began < 1.0


def test_a_busy_wechat_is_asked_again_only_where_that_does_no_harm(host: ApiHost, store: redis.Redis) -> None:
    host.says = lambda asked: errcode(-1)
    for interface, calls in ((SEND, 1), (READ, 2)):
        host.asked.clear()
        with pytest.raises(errors.Busy) as error:
            host.api(store).call(interface, {})
        assert host.count(interface.path) == calls
        assert error.value.retry and error.value.rid == "65a1-0f2e-77aa"
    answers = iter([Reply(drop=True), said({"is_trade_managed": True})])
    host.says = lambda asked: next(answers)
    assert host.api(store).call(READ, {})["is_trade_managed"] is True


def test_success_needs_no_errcode_and_no_type(host: ApiHost, store: redis.Redis) -> None:
    for reply in (
        said({"a": 1}),
        said({"errcode": 0, "a": 1}, "text/plain"),
        said({"errcode": "0", "a": 1}),
        Reply(b'{"a": 1, "text": "one\ntwo"}'),
    ):
        host.says = lambda asked, reply=reply: reply
        assert host.api(store).call(READ, {})["a"] == 1
    for reply in (said([1]), said({"errcode": "x"}), said({"errcode": True}), Reply(b""), Reply(b"\xff\xfe")):
        host.says = lambda asked, reply=reply: reply
        with pytest.raises(errors.WeChatUnavailable):
            host.api(store).call(READ, {})


def test_images_and_objects_are_told_apart(host: ApiHost, store: redis.Redis) -> None:
    host.says = lambda asked: Reply(b"\x89PNG", headers={"Content-Type": "image/png"})
    assert host.api(store).call_for_bytes(SEND, {}) == b"\x89PNG"
    with pytest.raises(errors.WeChatUnavailable):
        host.api(store).call(SEND, {})
    host.says = lambda asked: Reply(b'{"errcode":41030}', headers={"Content-Type": "image/jpeg"})
    with pytest.raises(errors.BadRequest):
        host.api(store).call_for_bytes(SEND, {})
    host.says = ok
    with pytest.raises(errors.WeChatUnavailable):
        host.api(store).call_for_bytes(SEND, {})


def test_our_own_address_is_told_when_wechat_does_not_know_it(host: ApiHost, store: redis.Redis) -> None:
    host.token = lambda asked: errcode(40164, "invalid ip 203.0.113.9 ipv6 ::ffff:203.0.113.9, not in whitelist")
    with pytest.raises(errors.Misconfigured, match=r"203\.0\.113\.9"):
        host.api(store).call(SEND, {})


def test_the_peer_is_closed(store: redis.Redis) -> None:
    with pytest.raises(errors.WeChatUnavailable) as error:
        Api(appid=APPID, secret=SECRET, base=dead_base(), store=store).call(SEND, {})
    assert error.value.kind == "NewConnectionError"
    assert error.value.__cause__ is None and error.value.__context__ is None


def test_no_secret_is_in_any_error_log_or_representation(
    host: ApiHost, store: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    openid, texts = "canary-openid", []
    replies = [Reply(drop=True), Reply(b"{", cut=True), Reply(b"<html>", 500), errcode(40003, openid), errcode(40001)]
    replies += [Reply(b"", 302, {"Location": "http://127.0.0.1:9/?access_token=canary-token"})]
    for kind in ("token", "says"):
        for reply in replies:
            setattr(host, kind, lambda asked, reply=reply: reply)
            for api in (host.api(store), host.api(None), Api(appid=APPID, secret=SECRET, base=dead_base(), store=None)):
                forget(store)
                texts.append(repr(api))
                try:
                    api.call(SEND, {"touser": openid}, query={"openid": openid})
                except errors.WeChatError as error:
                    seen: BaseException | None = error
                    while seen is not None:
                        shown = traceback.format_exception(seen, chain=False)
                        texts.append("".join(shown) + repr(seen) + repr(vars(seen)))
                        seen = seen.__cause__ or seen.__context__
        host.token = None
    texts += [record.getMessage() for record in caplog.records if record.name.startswith("wechat")]
    assert len(texts) > 60
    for text in texts:
        for secret in (SECRET, "canary-token", openid, "access_token=", "http://", "/cgi-bin"):
            assert secret not in text, text


def test_wechatpys_client_goes_through_our_call(host: ApiHost, store: redis.Redis) -> None:
    api = host.api(store)
    assert host.asked == []
    client = api.wechatpy
    assert host.asked == [], "making it asks nobody"
    host.revoke()
    client.message.send_text("o-alice", "您好，已收到")
    assert host.bodies("/cgi-bin/message/custom/send") == [
        {"touser": "o-alice", "msgtype": "text", "text": {"content": "您好，已收到"}}
    ]
    client.wxa.send_subscribe_message("o-alice", "template", {"thing1": {"value": "x"}})
    assert host.count("/cgi-bin/message/subscribe/send") == 1
    host.says = lambda asked: errcode(43101)
    with pytest.raises(errors.NotSubscribed):
        client.wxa.send_subscribe_message("o-alice", "template", {})
    assert client.access_token == host.valid
    assert host.count(TOKEN_PATH) == 1 and host.count("/cgi-bin/token") == 0
    assert SECRET not in repr(vars(client))


def test_a_token_is_never_forced(host: ApiHost, store: redis.Redis) -> None:
    for _ in range(3):
        host.api(store).call(SEND, {})
        host.revoke()
    assert [body["force_refresh"] for body in host.bodies(TOKEN_PATH)] == [False] * 3


def test_two_mini_programs_have_a_token_each(store: redis.Redis) -> None:
    one = Tokens(appid="wx-one", store=store, fetch=lambda: {"access_token": "1", "expires_in": 7200})
    two = Tokens(appid="wx-two", store=store, fetch=lambda: {"access_token": "2", "expires_in": 7200})
    try:
        assert (one.get(), two.get()) == ("1", "2")
    finally:
        store.delete("wx:wx-one:token", "wx:wx-two:token")
