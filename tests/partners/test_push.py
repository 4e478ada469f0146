"""Partner push: the published vectors, and everything that can be wrong with a signed call."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from app import clock, sources
from app.db import connection, session, transaction
from tests import world
from tests.world import World

SECRET = "0123456789abcdef0123456789abcdef"
ACCOUNT = "5d41402abc4b2a76b9719d911017c592"
NOW = datetime.fromtimestamp(1795136400, UTC)  # 2026-11-20 09:00:00 +08:00
METRO = (
    b'{"record_id":"RIDE-20261120-000001","type":"metro","account_hash":"5d41402abc4b2a76b9719d911017c592","line":"1",'
    b'"in_station":"S01","out_station":"S09","in_time":"2026-11-20T08:01:00+08:00",'
    b'"out_time":"2026-11-20T08:25:00+08:00","fare_cents":400,"distance_m":10000}'
)


@dataclass
class Partner:
    """A partner with a key, as its own server sees us."""

    client: FlaskClient
    app_id: str
    world: World

    def push(self, path: str, body: bytes | dict[str, Any], **changes: str) -> TestResponse:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        timestamp = changes.get("timestamp", "1795136400")
        nonce = changes.get("nonce", secrets.token_hex(8))
        signed_path = changes.get("signed_path", path.partition("?")[0])
        built = "\n".join(("POST", signed_path, timestamp, nonce, hashlib.sha256(raw).hexdigest()))
        signature = hmac.new(SECRET.encode(), built.encode(), hashlib.sha256).hexdigest()
        headers = {
            "X-App-Id": changes.get("app_id", self.app_id),
            "X-Key-Id": changes.get("key_id", "k1"),
            "X-Timestamp": timestamp,
            "X-Nonce": nonce,
            "X-Signature": changes.get("signature", signature),
            "Content-Type": "application/json",
        }
        return self.client.post(path, data=changes.get("sent", raw) or raw, headers=headers)


@pytest.fixture
def partner(client: FlaskClient, db_session: Any) -> Any:
    with clock.frozen(NOW):
        with transaction():
            made = world.build(at=NOW)
            source = session().get_one(sources.Source, made.sources["partner"])
            sources.issue_key(source=source, at=NOW, secret=SECRET, key_id="k1")
            since = clock.day_start(clock.business_day(NOW))
            sources.bind_account(source_id=source.id, person_id=made.people[0], account=ACCOUNT, at=since)
            app_id = source.app_id or ""
        yield Partner(client, app_id, made)


def code(answer: TestResponse) -> str:
    return str((answer.json or {})["error"]["code"])


def count(table: str) -> int:
    return int(connection().execute(text(f"select count(*) from {table}")).scalar_one())


def test_the_published_vector_of_a_metro_ride_is_accepted(partner: Partner) -> None:
    signature = "b62224c0461e8398cc9a4e2d6b362f73a35f455fed5bc2dabae87e89ffa5842a"
    answer = partner.push("/open/v1/rides", METRO, nonce="n-00000001", signature=signature)
    assert answer.status_code == 200, answer.json
    assert answer.json == {
        "record_id": "RIDE-20261120-000001",
        "outcome": "accepted",
        "id": (answer.json or {})["id"],
        "state": "counted",
        "reason": None,
        "mg": "1032560",
        "test": False,
    }


def test_the_published_vector_of_a_bike_ride_is_accepted(partner: Partner) -> None:
    body = (
        b'{"record_id":"BIKE-20261120-000001","type":"bike","account_hash":"5d41402abc4b2a76b9719d911017c592",'
        b'"e_bike":false,"city":"510100","start_time":"2026-11-20T08:30:00+08:00",'
        b'"end_time":"2026-11-20T08:46:00+08:00","distance_m":3200}'
    )
    signature = "e94b25187f3c7cb35dc91aecc58e6c2240bf1026d690c60376f3a6c382cbb974"
    answer = partner.push("/open/v1/bikes", body, nonce="n-00000002", signature=signature)
    assert (answer.json or {})["state"] == "counted"
    assert int((answer.json or {})["mg"]) > 0


def test_replays_and_repeats(partner: Partner) -> None:
    """P3 refused by its nonce, P4 the same record again, P5 stale, P6 changed body under the old signature."""
    assert partner.push("/open/v1/rides", METRO, nonce="n-00000001").status_code == 200
    replayed = partner.push("/open/v1/rides", METRO, nonce="n-00000001")
    assert (replayed.status_code, code(replayed)) == (401, "nonce_reused")
    signature = "e89bfdc98ffdc048373de429fe323d02bf8590b49c0b0e800689934a085f7961"
    again = partner.push("/open/v1/rides", METRO, nonce="n-00000003", timestamp="1795136460", signature=signature)
    assert (again.json or {})["outcome"] == "duplicate"
    with clock.frozen(datetime.fromtimestamp(1795136701, UTC)):
        stale = partner.push("/open/v1/rides", METRO, nonce="n-00000004")
    assert (stale.status_code, code(stale)) == (401, "stale_timestamp")
    changed = METRO.replace(b"10000}", b"90000}")
    forged = partner.push(
        "/open/v1/rides",
        changed,
        nonce="n-5",
        signature="b62224c0461e8398cc9a4e2d6b362f73a35f455fed5bc2dabae87e89ffa5842a",
    )
    assert (forged.status_code, code(forged)) == (401, "bad_signature")
    assert count("records") == 1


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"app_id": "app-nobody"}, "unknown_key"),
        ({"key_id": "k9"}, "unknown_key"),
        ({"signature": "ü" * 64}, "bad_signature"),
        ({"signature": ""}, "bad_signature"),
        ({"timestamp": "1795136100.5"}, "stale_timestamp"),
        ({"timestamp": "1795136099"}, "stale_timestamp"),
        ({"signed_path": "/open/v1/bikes"}, "bad_signature"),
        ({"nonce": "n" * 65}, "nonce_reused"),
    ],
)
def test_a_call_that_is_not_rightly_signed_is_refused(partner: Partner, changes: dict[str, str], refused: str) -> None:
    answer = partner.push("/open/v1/rides", METRO, **changes)
    assert (answer.status_code, code(answer)) == (401, refused)
    assert count("records") == 0


def test_a_query_string_on_a_signed_call_is_refused(partner: Partner) -> None:
    answer = partner.push("/open/v1/rides?dry=1", METRO)
    assert (answer.status_code, code(answer)) == (400, "query_not_allowed")


def test_the_same_reference_with_other_facts_is_a_conflict_and_kept(partner: Partner) -> None:
    partner.push("/open/v1/rides", METRO)
    answer = partner.push("/open/v1/rides", METRO.replace(b"10000}", b"12000}"))
    assert code_in_item(answer) == "content_conflict"
    assert count("conflicting_records") == 1
    assert count("awards") == 1


def code_in_item(answer: TestResponse) -> str:
    body = answer.json or {}
    return str(body["error"]["code"])


def test_a_batch_answers_each_record_on_its_own(partner: Partner) -> None:
    good = json.loads(METRO)
    batch = {
        "records": [
            good,
            {
                **good,
                "record_id": "R2",
                "in_time": "2026-11-20T07:00:00+08:00",
                "out_time": "2026-11-20T07:20:00+08:00",
            },
            {**good, "record_id": "R3", "distance_m": -1},
            {**good, "record_id": "R4", "account_hash": "nobody"},
            {
                **good,
                "record_id": "R5",
                "in_time": "2026-11-21T08:01:00+08:00",
                "out_time": "2026-11-21T08:02:00+08:00",
            },
            good,
        ]
    }
    answer = partner.push("/open/v1/records/batch", batch)
    body = answer.json or {}
    assert [line["outcome"] for line in body["items"]] == [
        "accepted", "accepted", "refused", "refused", "refused", "duplicate",
    ]  # fmt: skip
    codes = [line.get("error", {}).get("code") for line in body["items"]]
    assert codes == [None, None, "invalid_field", "account_not_bound", "in_future", None]
    assert (body["accepted"], body["duplicate"], body["refused"]) == (2, 1, 3)


def test_what_is_no_object_in_a_batch_is_named_by_its_place(partner: Partner) -> None:
    answer = partner.push("/open/v1/records/batch", {"records": [{}, 7, None]})
    fields = (answer.json or {})["error"]["details"]["fields"]
    assert [(one["field"], one["expected"]) for one in fields] == [
        ("records[1]", "应为对象"),
        ("records[2]", "不能为 null"),
    ]


def test_a_batch_of_501_is_too_large(partner: Partner) -> None:
    answer = partner.push("/open/v1/records/batch", {"records": [{}] * 501})
    assert (answer.status_code, code(answer)) == (413, "batch_too_large")


def test_an_act_by_vehicle_goes_to_its_holder(partner: Partner) -> None:
    with transaction():
        world.car(partner.world.people[1], vin="LTESTVIN0000001")
    body = {
        "record_id": "NEV-1",
        "scenario": "nev-mileage",
        "vin": "ltestvin0000001",
        "facts": {"distance_km": 32.3},
        "occurred_at": "2026-11-19T00:00:00+08:00",
        "ended_at": "2026-11-19T23:59:59+08:00",
    }
    answer = partner.push("/open/v1/records", body)
    assert (answer.json or {})["mg"] == "4136176"
    owner = connection().execute(text("select person_id from records")).scalar_one()
    assert owner == partner.world.people[1]


def test_a_correction_supersedes_and_a_cancellation_takes_back(partner: Partner) -> None:
    partner.push("/open/v1/rides", METRO)
    general: dict[str, Any] = {
        "record_id": "FIX-1",
        "scenario": "metro-ride",
        "account": ACCOUNT,
        "facts": {"distance_km": "8"},
        "occurred_at": "2026-11-20T08:01:00+08:00",
        "ended_at": "2026-11-20T08:25:00+08:00",
        "corrects": "RIDE-20261120-000001",
    }
    answer = partner.push("/open/v1/records", general)
    assert (answer.json or {})["state"] == "counted", answer.json
    states = dict(connection().execute(text("select reference, state from records")).all())
    assert states == {"RIDE-20261120-000001": "superseded", "FIX-1": "counted"}
    for _ in range(2):
        cancelled = partner.push("/open/v1/cancellations", {"record_id": "FIX-1"})
        assert cancelled.status_code == 200
    balances = connection().execute(text("select sum(balance) from accounts where kind in ('wallet', 'saved')"))
    assert balances.scalar_one() == 0
    unknown = partner.push("/open/v1/cancellations", {"record_id": "FIX-2"})
    assert (unknown.status_code, code(unknown)) == (404, "corrected_unknown")


def test_test_mode_answers_and_keeps_nothing(partner: Partner) -> None:
    with transaction():
        session().execute(
            text("update sources set test_mode = true where id = :id"), {"id": partner.world.sources["partner"]}
        )
    answer = partner.push("/open/v1/rides", METRO)
    assert (answer.json or {})["test"] is True
    assert (answer.json or {})["state"] == "counted"
    assert count("records") == 0


def test_the_self_test_shows_what_was_built_and_spends_nothing(partner: Partner) -> None:
    good = partner.push("/open/v1/self-test", METRO, nonce="n-1")
    assert (good.json or {})["ok"] is True
    again = partner.push("/open/v1/self-test", METRO, nonce="n-1")
    assert (again.json or {})["ok"] is True
    bad = (partner.push("/open/v1/self-test", METRO, signature="0" * 64).json) or {}
    assert (bad["ok"], bad["failed"]["code"]) == (False, "bad_signature")
    assert bad["string_to_sign"].startswith("POST\n/open/v1/self-test\n1795136400\n")
    assert SECRET not in json.dumps(bad)
    page = partner.client.get("/open/v1/self-test")
    assert page.status_code == 200
    assert "X-Signature" in page.text


def test_a_growing_day_is_provisional_until_it_has_ended(partner: Partner) -> None:
    from app import records

    with transaction():
        world.car(partner.world.people[1], vin="LTESTVIN0000002")
    seen: dict[str, Any] = {
        "scenario": "nev-mileage",
        "vin": "LTESTVIN0000002",
        "day": "2026-11-19",
        "fact": "distance_km",
        "value": 12.5,
        "read_at": "2026-11-19T12:00:00+08:00",
    }
    assert partner.push("/open/v1/observations", seen).status_code == 200
    with transaction():
        assert records.close_days(at=NOW) == []  # read before the day's end
    assert partner.push("/open/v1/observations", {**seen, "value": 30, "read_at": "2026-11-20T01:00:00+08:00"})
    assert partner.push("/open/v1/observations", {**seen, "value": 20, "read_at": "2026-11-20T02:00:00+08:00"})
    with transaction():
        made = records.close_days(at=NOW)
    assert [one.mg for one in made] == [3841650]
    with transaction():
        assert records.close_days(at=NOW) == []
    assert partner.push("/open/v1/observations", {**seen, "value": 40, "read_at": "2026-11-20T03:00:00+08:00"})
    with transaction():
        revised = records.close_days(at=NOW)
    assert [one.state for one in revised] == ["counted"]
    states = connection().execute(text("select state from records order by id")).scalars().all()
    assert states == ["superseded", "counted"]


def test_a_rotated_key_works_until_it_is_revoked(partner: Partner) -> None:
    with transaction():
        source = session().get_one(sources.Source, partner.world.sources["partner"])
        sources.issue_key(source=source, at=NOW, secret=SECRET, key_id="k2")
    assert partner.push("/open/v1/rides", METRO, key_id="k2").status_code == 200
    with transaction():
        sources.revoke_key(source=session().get_one(sources.Source, source.id), key_id="k1", at=NOW)
    answer = partner.push("/open/v1/rides", METRO, key_id="k1")
    assert code(answer) == "unknown_key"
