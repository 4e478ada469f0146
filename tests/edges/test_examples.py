"""The examples of the documentation work against the demo: each is sent as it stands there, by somebody of the demo."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app.clock import now
from app.errors import REGISTRY
from demo.seed import seed
from tests.edges.conftest import Phone

# Examples that are right and still refused, to somebody who has just arrived in the demo.
REFUSED = {
    ("POST", "/sign-in"): "login_code_invalid",  # a login code works once
    ("PUT", "/me/programs"): "invalid_field",  # an order is of the very programs of a person
    ("POST", "/me/deletion"): "losses_changed",  # names what was seen
    ("GET", "/wallet/{program}/statement"): "not_found",  # nothing earned yet, so no wallet
    ("POST", "/programs/{program}/join"): "already_member",
    ("POST", "/media"): "unsupported_type",  # no JSON: a form with a file
    ("POST", "/steps/werun"): "werun_expired",  # sealed with nobody's session key
    ("DELETE", "/me/phone"): "not_found",  # none is bound
    ("POST", "/me/phone"): "busy",  # WeChat is away in this test
    ("POST", "/recovery"): "busy",
    ("POST", "/scenes/resolve"): "scene_invalid",
    ("GET", "/programs/{program}/shops"): "invalid_field",  # near what, is asked for in the query
    ("POST", "/cart/checkout"): "insufficient",  # nothing earned yet
    ("POST", "/shops/join"): "staff_invitation_invalid",  # an invitation works once
    ("POST", "/venues/scan"): "scene_invalid",
    ("POST", "/gatherings/scan"): "gathering_code_unknown",
    ("POST", "/programs/{program}/meetings"): "meeting_invalid",  # its day has gone
    ("POST", "/programs/{program}/check-in/make-up"): "day_not_to_make_up",  # that day is long past
    ("GET", "/teams/door"): "invalid_field",  # by which code, is asked for in the query
    ("POST", "/teams/join"): "team_code_invalid",
    ("POST", "/blocks"): "not_found",  # nobody has written that post
    ("POST", "/snapshots"): "invalid_field",  # the photo is somebody else's
    # The demo as it is seeded has no levels, no grove and no challenge; its month has (flask demo month).
    ("GET", "/programs/{program}/level"): "not_found",
    ("GET", "/programs/{program}/grove"): "not_found",
    ("POST", "/programs/{program}/grove/trees"): "not_found",
    ("GET", "/trees/certificates/{number}"): "not_found",
    ("GET", "/programs/{program}/challenges/{challenge}"): "not_found",
    ("GET", "/programs/{program}/challenges/{challenge}/results"): "not_found",
    ("POST", "/programs/{program}/challenges/{challenge}/enrolment"): "not_found",
    ("DELETE", "/programs/{program}/challenges/{challenge}/enrolment"): "not_found",
}
IN_PATHS = {"program": "rongcheng", "purpose": "rides", "subject": "person", "metric": "grams", "period": "month",
            "challenge": "none", "year": "2026", "number": "t-none"}  # fmt: skip


@pytest.fixture
def alice_of_the_demo(app: Any, db_session: Session, phone_of: Callable[[str], Phone]) -> Phone:
    seed(app.config["SETTINGS"], at=now())
    return phone_of("alice")


def test_examples_of_routes_that_name_no_id(alice_of_the_demo: Phone) -> None:
    alice, failed, sent = alice_of_the_demo, [], 0
    for path, method, example in _operations(alice):
        names_an_id = "_id}" in path or {"item_id", "project_id", "event_id"} & set(example or {})
        if names_an_id or (method, path) == ("DELETE", "/session"):
            continue
        answer = alice.call(method, path.format(**IN_PATHS), json=example)
        code = (answer.json or {}).get("error", {}).get("code") if answer.status_code >= 400 else None
        sent += 1
        if code != REFUSED.get((method, path)):
            failed.append(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
    assert failed == []
    assert sent >= 30


def test_examples_of_all_routes_are_well_formed(alice_of_the_demo: Phone) -> None:
    """Also where an id is somebody's own: by the schema there is nothing to say against any example."""
    alice, failed = alice_of_the_demo, []
    for path, method, example in _operations(alice):
        if example is None:
            continue
        filled = re.sub(r"\{\w+_id\}", "999999999", path).format(**IN_PATHS)
        alice.sign_in()
        answer = alice.call(method, filled, json=example)
        error = (answer.json or {}).get("error", {}) if answer.status_code >= 400 else {}
        if error.get("code") in ("unknown_field", "bad_json") or (
            error.get("code") == "invalid_field" and (method, path) not in REFUSED
        ):
            failed.append(f"{method} {path}: {answer.text[:300]}")
        assert error == {} or error["code"] in REGISTRY
    assert failed == []


def _operations(phone: Phone) -> list[tuple[str, str, Any]]:
    """(path under /api/v1, method, example of the body), reads first, so that nobody is deleted before the rest."""
    spec: Any = phone.client.get("/openapi.json").json
    found = []
    for path, operations in spec["paths"].items():
        for method, operation in operations.items():
            if path.startswith("/api/v1"):
                body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
                found.append((path.removeprefix("/api/v1"), method.upper(), body.get("example")))
    return sorted(found, key=lambda one: (["GET", "POST", "PUT", "DELETE"].index(one[1]), one[0]))
