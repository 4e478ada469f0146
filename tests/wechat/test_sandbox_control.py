"""The controls of the local WeChat: over HTTP, from a terminal, and through a restart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.wechat.sandboxes import Ear, Raw, body, client_of, keys, order, refund
from wechat.sandbox import cli, keeping
from wechat.sandbox.box import Sandbox
from wechat.sandbox.clock import beijing
from wechat.sandbox.identity import NotLocal, check_names

JSAPI = "/v3/pay/transactions/jsapi"


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(keys()[0]) as running:
        yield running


def control(box: Sandbox, what: str, content: Any = None, status: int = 200) -> Any:
    address = f"{box.api_base}/_sandbox/{what}"
    answer = requests.get(address, timeout=5) if content is None else requests.post(address, json=content, timeout=5)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_an_order_is_paid_from_the_page(box: Sandbox) -> None:
    client = client_of(box)
    prepay_id = order(box, client)
    parameters = client.call_up(appid=box.identity.appid, prepay_id=prepay_id)
    assert control(box, "callup", {"user": "alice", "parameters": parameters})["order"] == "ORDER0001"
    refused = control(box, "callup", {"user": "bob", "parameters": parameters})
    assert refused["message"] == "下单账号与支付账号不一致"
    assert [one["state"] for one in control(box, "orders")["orders"]] == ["NOTPAY"]
    assert control(box, "pay", {"out_trade_no": "ORDER0001", "user": "bob"})["errMsg"].startswith("requestPayment:fail")
    assert control(box, "pay", {"out_trade_no": "ORDER0001", "user": "alice"})["errMsg"] == "requestPayment:ok"
    assert client.query("ORDER0001").trade_state == "SUCCESS"
    box.switches.refund_end = ""
    refund(client)
    assert control(box, "refund-result", {"out_refund_no": "R1", "status": "success"})["changed"]
    shown = control(box, "orders")
    assert (shown["orders"][0]["state"], shown["refunds"][0]["status"]) == ("REFUND", "SUCCESS")
    assert "本地微信" in requests.get(box.api_base, timeout=5).content.decode()


def test_notices_faults_clock_and_journal(box: Sandbox) -> None:
    client = client_of(box)
    with Ear(status=500) as ear:
        control(box, "notice-faults", {"kind": "probe", "match": "ORDER0001"})
        order(box, client, notify_url=ear.url)
        control(box, "pay", {"out_trade_no": "ORDER0001"})
        control(box, "quiet", {"seconds": 5})
        (notice,) = control(box, "callbacks?number=ORDER0001")["callbacks"]
        assert [one["kind"] for one in notice["attempts"]] == ["probe", "genuine"]
        ear.status = 204
        assert control(box, "step", {"go": True})["due"]
        assert control(box, "callbacks")["callbacks"][0]["state"] == "delivered"
        control(box, "callbacks", {"again": notice["id"]})
        control(box, "quiet", {"seconds": 5})
        assert len(ear.heard) == 3
    now = control(box, "clock")["now"]
    assert control(box, "clock", {"advance_seconds": 3600, "scale": 60})["now"] >= now + 3600
    control(box, "clock", {"set": now}, status=422)
    journal = control(box, "journal?raw=1")
    assert {entry["host"] for entry in journal["journal"]} == {"pay", "callback"}
    assert "PRIVATE KEY" not in json.dumps(journal)


@pytest.mark.parametrize(
    ("what", "content", "status"),
    [
        ("pay", {"out_trade_no": "ORDER0001", "act": "magic"}, 422),
        ("refund-result", {"out_refund_no": "R1", "status": "success"}, 404),
        ("refund-result", {"out_refund_no": "R1", "status": "magic"}, 422),
        ("notice-faults", {"kind": "magic"}, 422),
        ("faults", {"kind": "html", "more": 1}, 422),
        ("switches", {"magic": 1}, 422),
        ("switches", {"refund_end": 5}, 422),
        ("hosts", {"break": "magic"}, 422),
        ("callbacks", {"again": "magic"}, 404),
        ("clock", {"scale": 0}, 422),
        ("nothing", {}, 404),
    ],
)
def test_what_cannot_be_done_is_said(box: Sandbox, what: str, content: Any, status: int) -> None:
    assert control(box, what, content, status)["error"]


@pytest.mark.parametrize("headers", [{"Origin": "https://example.com"}, {"Origin": "null"}, {"Host": "example.com"}])
def test_other_sites_do_not_move_it(box: Sandbox, headers: dict[str, str]) -> None:
    answer = requests.post(f"{box.api_base}/_sandbox/clock", json={"advance_seconds": 60}, headers=headers, timeout=5)
    assert answer.status_code == 403
    own = requests.get(f"{box.api_base}/_sandbox/clock", headers={"Origin": box.api_base}, timeout=5)
    assert own.status_code == 200


def test_switches_change_what_the_sources_leave_open(box: Sandbox) -> None:
    order(box, client_of(box))
    box.pay("ORDER0001")
    control(box, "switches", {"paid_code": "ORDERPAID", "signed_errors": True, "fee_rate_ppm": 0})
    closing = f"/v3/pay/transactions/out-trade-no/{'ORDER0001'}/close"
    status, said, headers = Raw(box.pay_base)("POST", closing, {"mchid": box.identity.mchid})
    assert (status, said["code"]) == (400, "ORDERPAID")
    assert headers["Wechatpay-Signature"]
    assert control(box, "switches")["fee_rate_ppm"] == 0


def test_the_terminal_does_the_same(box: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    client = client_of(box)
    order(box, client)

    def run(*words: str) -> Any:
        code = cli.act(["--at", box.api_base, *words])
        out = capsys.readouterr().out
        return code, json.loads(out) if out else None

    assert run("orders")[1]["orders"][0]["out_trade_no"] == "ORDER0001"
    assert run("wrong-password", "ORDER0001")[1]["message"] == "支付密码错误"
    assert run("pay", "ORDER0001", "--as", "bob")[0] == 1
    assert run("pay", "ORDER0001", "--as", "alice", "--after", "20m")[0] == 0
    assert client.query("ORDER0001").trade_state == "NOTPAY"
    assert run("clock", "advance", "21m")[0] == 0
    box.agenda.quiet()
    assert client.query("ORDER0001").trade_state == "SUCCESS"
    assert run("callbacks")[1]["callbacks"][0]["event_type"] == "TRANSACTION.SUCCESS"
    assert run("login", "alice")[1]["code"]
    assert run("fault", "html", "/v3/*", "--times", "2")[1]["faults"][0]["times"] == 2
    assert run("fault", "drop", "ORDER0009", "--notice")[1]["faults"][0]["match"] == "ORDER0009"
    assert run("fault", "clear")[1]["faults"] == []
    assert run("bill", "drop", "ORDER0001")[0] == 0
    assert run("journal")[0] == 0
    assert cli.act(["--at", "http://127.0.0.1:9", "orders"]) == 1


def test_orders_outlive_a_restart(box: Sandbox, tmp_path: Path) -> None:
    client = client_of(box)
    box.user("newcomer")
    order(box, client)
    order(box, client, "ORDER0002", openid=box.user("newcomer").openid)
    box.pay("ORDER0001")
    box.clock.advance(3600)
    refund(client)
    before = client.query("ORDER0001")
    keeping.keep(box, tmp_path / "book.json")
    with Sandbox(keys()[0]) as again:
        assert not keeping.recall(again, tmp_path / "missing.json")
        assert keeping.recall(again, tmp_path / "book.json")
        other = client_of(again)
        assert other.query("ORDER0001") == before
        assert again.clock.now() >= box.clock.now() - 1
        order(again, other, "ORDER0002", openid=again.user("newcomer").openid)
        again.clock.advance(10)
        again.agenda.quiet()
        assert other.query_refund("R1").status == "SUCCESS"
        assert again.book.balance_fen == box.book.balance_fen


def test_a_process_of_its_own(tmp_path: Path) -> None:
    """Keys at first start, in under two seconds with Python's own start; ended by its process id."""
    environ = {**os.environ, "DIANDI_ENV": "development"}
    start = [sys.executable, "-m", "wechat.sandbox", "--port", "0", "--state", str(tmp_path / "wechat")]
    with subprocess.Popen(start, env=environ, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        line = child.stderr.readline()
        assert line.startswith("local WeChat on http://127.0.0.1:")
        address = line.split()[3].rstrip(",")
        assert requests.get(f"{address}/_sandbox/users", timeout=5).status_code == 200
        child.terminate()
        assert child.wait(10) == 0
    settings = (tmp_path / "wechat" / "application.env").read_text()
    assert "WECHAT_PAY_PRIVATE_KEY_FILE" in settings and "WECHAT_PUSH_AES_KEY" in settings
    assert (tmp_path / "wechat" / "identity.json").stat().st_mode & 0o077 == 0
    assert (tmp_path / "wechat" / "book.json").is_file()


def test_it_opens_quickly() -> None:
    started = time.monotonic()
    with Sandbox(keys()[0]) as box:
        assert Raw(box.pay_base)("POST", JSAPI, body(box))[0] == 200
    assert time.monotonic() - started < 1


def test_never_in_production_and_never_with_real_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for names in ({"appid": "wx8888888888888888"}, {"appid": "wxlocal1", "mchid": "1900000001"}):
        with pytest.raises(NotLocal):
            check_names(**names)
    monkeypatch.setenv("DIANDI_ENV", "production")
    with pytest.raises(NotLocal):
        Sandbox(keys()[0])


def test_a_user_acts_from_the_terminal(box: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    client = client_of(box)
    order(box, client)
    box.pay("ORDER0001")
    box.user("alice").session_key = "HyVFkGl5F5OQWJZZaNzBBg=="

    def run(*words: str) -> Any:
        assert cli.act(["--at", box.api_base, *words]) == 0
        return json.loads(capsys.readouterr().out)

    assert run("popup", "alice", "local-paid")["quota"] == {"local-paid": 1}
    assert run("revoke", "alice", "12")["event"] == "user_authorization_revoke"
    assert run("event", "alice", "cancel")["event"] == "user_authorization_cancellation"
    assert run("say", "alice", "在吗")["MsgId"]
    assert run("phone", "alice")["code"]
    assert run("visit", "alice")["visited"]
    assert run("steps", "alice")["encryptedData"]
    assert run("inbox", "alice")["messages"][0]["data"]["content"] == "在吗"
    assert run("receipt", "ORDER0001") == {"confirmed": False}
    day = f"{beijing(box.clock.now()):%Y-%m-%d}"
    assert run("show-bill", day)["bill"].count("ORDER0001") == 1
    assert "`扣除交易手续费,`支出,`0.01," in run("show-bill", day, "fund")["bill"]
