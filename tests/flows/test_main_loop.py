"""The main loop over HTTP, in the demo: an act arrives, becomes grams, credits, a rank, goods, a gift, proof."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from app import config
from demo.places import DEMO_VIN, PARTNER_KEY
from demo.seed import seed
from devkit import ROOT
from tests.edges.conftest import Phone
from tests.flows.conftest import NOW, Citizen, deliver
from wechat.sandbox.server import Server


@pytest.fixture
def demo(settings: config.Settings, db_session: Session, still: datetime, wechat: Server) -> None:
    seed(settings, at=NOW - timedelta(days=10))


def push(client: FlaskClient, body: dict[str, Any]) -> Any:
    """What the monitoring platform of electric cars sends, signed as the docs say."""
    key_id, secret = PARTNER_KEY
    raw = json.dumps(body).encode()
    timestamp, nonce = str(int(NOW.timestamp())), secrets.token_hex(8)
    signed = "\n".join(("POST", "/open/v1/records", timestamp, nonce, hashlib.sha256(raw).hexdigest()))
    headers = {
        "X-App-Id": "demo-ev",
        "X-Key-Id": key_id,
        "X-Timestamp": timestamp,
        "X-Nonce": nonce,
        "X-Signature": hmac.new(secret.encode(), signed.encode(), hashlib.sha256).hexdigest(),
        "Content-Type": "application/json",
    }
    answer = client.post("/open/v1/records", data=raw, headers=headers)
    assert answer.status_code in (200, 201), answer.text
    return answer.json


def nev(day: int, km: str) -> dict[str, Any]:
    return {
        "record_id": f"NEV-202611{day:02d}-000001",
        "scenario": "nev-mileage",
        "vin": DEMO_VIN,
        "facts": {"distance_km": km},
        "occurred_at": f"2026-11-{day:02d}T00:00:00+08:00",
        "ended_at": f"2026-11-{day:02d}T23:59:59+08:00",
    }


def test_from_an_act_to_a_bowl_of_tea_a_gift_and_a_proof(
    demo: None, client: FlaskClient, app: Any, phone_of: Callable[[str], Phone], tmp_path: Path
) -> None:
    alice = Citizen(phone_of("alice"), 0)
    home = alice.get("/home")
    assert home["total"] == {"mg": "0", "credits": 0} and home["next_step"]["code"] == "record_act"

    pushed = push(client, nev(24, "32.3"))
    assert (pushed["outcome"], pushed["state"]) == ("accepted", "counted")
    assert push(client, nev(24, "32.3"))["outcome"] == "duplicate"
    push(client, nev(23, "61.7"))
    deliver()

    mine = alice.get("/records")["items"]
    grams = sum(int(one["mg"]) for one in mine)
    assert [one["award_state"] for one in mine] == ["paid", "paid"] and int(pushed["mg"]) == int(mine[1]["mg"]) > 0
    (wallet,) = alice.get("/wallet")["items"]
    credits = wallet["credits"]
    assert wallet["mg"] == str(grams) and credits == sum(one["credits"] for one in mine) > 310
    place = alice.get("/programs/rongcheng/boards/person/grams/week/me")
    assert place["me"] == {"rank": 1, "score": str(grams), "movement": None}

    (tea,) = [one for one in alice.get("/programs/rongcheng/items")["items"] if one["code"] == "tea"]
    assert tea["paid_by"]["name"] == "蓉城绿色银行"
    wanted = {"item_id": tea["id"], "quantity": 1, "client_ref": "tea-1", "price_credits": tea["price_credits"]}
    order = alice.post("/orders", wanted)
    assert alice.post("/orders", wanted, 200) == order
    code = alice.post(f"/codes/{order['codes'][0]['id']}/show", status=200)["code"]

    chen = Citizen(phone_of("chen"), 0)
    shop = chen.get("/shops")["items"][0]["id"]
    assert chen.post(f"/shops/{shop}/preview", {"code": code}, 200)["buyer"] == "爱**"
    scanned = chen.post(f"/shops/{shop}/redemptions", {"code": code, "scan_id": "scan-1"})
    assert scanned["owed_fen"] == 580
    today = chen.get(f"/shops/{shop}/today")
    assert {name: today[name] for name in ("date", "count", "owed_fen")} == {
        "date": "2026-11-25", "count": 1, "owed_fen": 580,
    }  # fmt: skip
    owed = app.test_cli_runner().invoke(args=["merchants", "owed", "teahouse", "--program", "rongcheng", "--json"])
    assert json.loads(owed.stdout)[0]["owed_fen"] == 4 * 580, "three of last month, and this one"
    assert alice.get("/orders")["items"][0]["state"] == "fulfilled"

    (cause,) = alice.get("/programs/rongcheng/welfare")["items"]
    gift = alice.post("/gifts", {"project_id": cause["id"], "credits": 10, "client_ref": "gift-1"})
    assert gift["fen"] == 20 and gift["certificate_no"].startswith("G20261125-")
    lines = alice.get("/wallet/rongcheng/statement")["items"]
    assert [line["link"]["kind"] for line in lines] == ["gift", "order", "record", "record"]
    assert sum(line["credits"] for line in lines) == lines[0]["balance"] == credits - 310

    record_id = mine[0]["id"]
    opened = alice.get(f"/records/{record_id}")
    assert opened["awards"][0]["sponsor"]["name"] == "蓉城绿色银行" and opened["methodology"]["formula"]
    assert verified(alice.get(f"/records/{record_id}/file"), tmp_path) == 0
    forged = alice.get(f"/records/{record_id}/file")
    forged["result"]["counted_mg"] = str(int(forged["result"]["counted_mg"]) + 1)
    assert verified(forged, tmp_path) == 1


def verified(document: Any, folder: Path) -> int:
    """The exit code of the script that strangers run."""
    file = folder / "credit.json"
    file.write_text(json.dumps(document), "utf-8")
    script = [sys.executable, str(ROOT / "scripts" / "verify_credit.py"), str(file)]
    return subprocess.run(script, capture_output=True, timeout=30).returncode
