"""The API against its own OpenAPI document, with generated calls; one group of checks at a time.

Apart, because with all groups on a run stops at the first finding and may never report a planted 500.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import SearchStrategy
from redis import Redis
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi import checks
from sqlalchemy.orm import Session

from app import config
from app.clock import now
from app.db import transaction
from courier import clients
from tests import given
from tests.wechat.sandboxes import keys
from wechat.sandbox.box import Sandbox
from wechat.sandbox.server import Server

load_all_checks()
RIGHT, WRONG = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
GROUPS: dict[str, tuple[list[GenerationMode], list[Any]]] = {
    "no server error": ([RIGHT, WRONG], [not_a_server_error]),
    "documented shape": (
        [RIGHT, WRONG],
        [
            checks.status_code_conformance,
            checks.content_type_conformance,
            checks.response_schema_conformance,
            checks.response_headers_conformance,
        ],
    ),
    "wrong data is refused": ([WRONG], [checks.negative_data_rejection, checks.missing_required_header]),
    "other methods": ([RIGHT], [checks.unsupported_method, checks.allow_header_conformance]),
}
FEW, MANY = 10, 60  # right data is cheap to make, and only it reaches the inside


@pytest.fixture
def whole_wechat(app: Any, tmp_path: Path) -> Iterator[None]:
    """All of the local WeChat, so that a wrong code is answered as such and not with "WeChat is away"."""
    before = app.extensions[clients.EXTENSION]
    with Sandbox(keys()[0]) as box:
        urls = {"DATABASE_URL": "postgresql://x/x", "REDIS_URL": "unix:///x"}
        app.extensions[clients.EXTENSION] = clients.make(
            config.load({**urls, **box.environ(keys()[1], tmp_path, "http://127.0.0.1")})
        )
        yield
    app.extensions[clients.EXTENSION] = before


@pytest.fixture
def contract(app: Any, db_session: Session, wechat: Server, whole_wechat: None) -> Any:
    with transaction():
        given.program("spring-city")
    return schemathesis.openapi.from_wsgi("/openapi.json", app).include(path_regex="^/(api|open)/v1/")


class Caller:
    """Somebody who is logged in, whatever the calls before did to the login."""

    def __init__(self, redis: Redis) -> None:
        self.redis, self.openid, self.token = redis, f"o-{secrets.token_hex(8)}", ""

    def call(self, case: schemathesis.Case, judged: list[Any]) -> None:
        for key in self.redis.scan_iter("limit:*"):  # generated calls come faster than any limit allows
            self.redis.delete(key)
        if not self.token:
            with transaction():
                self.token = given.login(self.openid, at=now()).token
        answer = case.call(headers={"Authorization": f"Bearer {self.token}"})
        if answer.status_code in (204, 401):
            self.token = ""
        case.validate_response(answer, checks=judged)


@pytest.mark.parametrize("group", GROUPS)
def test_contract(contract: Any, redis: Redis, group: str) -> None:
    modes, judged = GROUPS[group]
    caller, tried, found = Caller(redis), 0, []
    for result in contract.get_all_operations():
        operation = result.ok()
        for mode in modes:
            try:
                examples = MANY if mode is RIGHT and judged == [not_a_server_error] else FEW
                _try(operation.as_strategy(generation_mode=mode), caller, judged, examples)
                tried += 1
            except Unsatisfiable:
                continue  # nothing wrong can be said to a route that takes nothing
            except FailureGroup as failure:
                found += [f"{operation.label} ({mode.value}): {one}" for one in failure.exceptions]
    assert found == []
    assert tried >= 10


def _try(cases: SearchStrategy[Any], caller: Caller, judged: list[Any], examples: int) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(cases)
    def check(case: schemathesis.Case) -> None:
        caller.call(case, judged)

    check()
