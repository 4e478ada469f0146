"""The walk over all routes: each stands in routes.txt with its guard, and each guard is tried, not only listed."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from apiflask import APIBlueprint, APIFlask
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from app import (
    appeals,
    community,
    gatherings,
    grove,
    learning,
    media,
    merchants,
    orders,
    people,
    phones,
    programs,
    records,
    recovery,
    redemptions,
    snapshots,
    sources,
    surveys,
    teams,
    vehicles,
    welfare,
)
from app.clock import now
from app.db import transaction
from edge.guards import UnguardedRoute, inventory, public, refuse_unguarded
from tests import world
from tests.edges.conftest import Phone, code_of

LISTED = [
    tuple(line.split())
    for line in Path(__file__).with_name("routes.txt").read_text("utf-8").splitlines()
    if line and not line.startswith("#")
]
ROLES = {(method, path): guard.partition("(")[2] for method, path, guard in LISTED}
FILLED = {"id": "999999999", "code": "nowhere", "path": "x", "default": "x"}


def address(pattern: str) -> str:
    """A pattern with something in its places that belongs to nobody."""
    return re.sub(r"<(?:(\w+)(?:\([^)]*\))?:)?\w+>", lambda match: FILLED[match.group(1) or "default"], pattern)


def of_kind(*kinds: str) -> list[Any]:
    return [
        pytest.param(method, path, id=f"{method} {path}")
        for method, path, guard in LISTED
        if guard.split("(")[0] in kinds
    ]


def test_the_list_is_the_router(app: Any) -> None:
    """A new route needs a line here, so that somebody has thought about who may call it."""
    assert sorted(map(tuple, inventory(app))) == sorted(LISTED)


@pytest.mark.parametrize(("method", "path"), of_kind("citizen", "clerk"))
def test_nobody_gets_in_without_a_login(client: FlaskClient, method: str, path: str) -> None:
    for headers in (
        {},
        {"Authorization": "Bearer " + "x" * 43},
        {"Authorization": "Basic YTpi"},
        {"Cookie": "session=1"},
    ):
        answer = client.open(address(path), method=method, headers=headers)
        assert (answer.status_code, code_of(answer)) == (401, "login_required"), headers


@pytest.mark.parametrize(("method", "path"), of_kind("partner"))
def test_nobody_gets_in_without_a_signature(client: FlaskClient, method: str, path: str) -> None:
    # WeChat wants 403 for pushes that are not its own (reference: message push, verification).
    wanted = 403 if path.startswith("/wechat/push/") else 401
    assert client.open(address(path), method=method).status_code == wanted


@pytest.mark.parametrize(("method", "path"), of_kind("citizen", "clerk"))
def test_an_ended_login_is_no_login(alice: Phone, db_session: Session, method: str, path: str) -> None:
    assert alice.get("/me").status_code == 200
    person_id = db_session.execute(text("select person_id from sessions")).scalar_one()
    with transaction():
        ended = people.end_sessions(person_id=person_id, at=now())
    people.logins.evict(ended)
    answer = alice.call(method, address(path).removeprefix("/api/v1"))
    assert (answer.status_code, code_of(answer)) == (401, "login_required")


@pytest.mark.parametrize(("method", "path"), of_kind("clerk"))
def test_a_citizen_is_no_clerk(alice: Phone, method: str, path: str) -> None:
    assert alice.call(method, address(path).removeprefix("/api/v1")).status_code in (403, 404)


@pytest.mark.parametrize(("method", "path"), [one for one in of_kind("citizen") if "<id:" in one.values[1]])
def test_an_object_that_is_not_there_is_not_found(alice: Phone, method: str, path: str) -> None:
    for number in ("999999999", "0", "-1", "1e3", "x", "%00", "9" * 30):
        filled = re.sub(r"<id:\w+>", number, path)
        answer = alice.call(
            method, address(filled).removeprefix("/api/v1"), json={} if method in ("POST", "PUT") else None
        )
        assert answer.status_code in (404, 405, 422), number
    assert code_of(alice.call(method, address(path).removeprefix("/api/v1"))) in ("not_found", "unsupported_type")


# Items are everybody's; what an order has beside its codes is tried in tests/orders/test_edges.py, with real ones.
# A group's board has a metric and a period in its address too: tests/contest/test_boards.py asks for one from outside.
NOT_OWNED = re.compile(r"<id:item_id>|/address$|/booking$|/invoice$|/received$|/boards/")
WITH_ID = [one for one in of_kind("citizen") if "<id:" in one.values[1]]
OWN = [one for one in WITH_ID if not NOT_OWNED.search(one.values[1])]


@pytest.mark.parametrize(("method", "path"), OWN)
def test_what_belongs_to_somebody_else_is_not_found(
    alice: Phone, bob: Phone, db_session: Session, method: str, path: str
) -> None:
    """Asked for rightly, by the wrong person; and by the right one, so that it isn't the address that is wrong."""
    owner = int(bob.get("/me").json["id"])  # type: ignore[index]
    (part,) = re.findall(r"<id:(\w+)>", path)
    where = address(path.replace(f"<id:{part}>", str(OWNED[part](owner)))).removeprefix("/api/v1")
    body = _example(alice.client, method, path)
    answer = alice.call(method, where, json=body)
    assert (answer.status_code, code_of(answer)) == (404, "not_found")
    assert bob.call(method, where, json=body).status_code not in (401, 404, 422)


def _example(client: FlaskClient, method: str, path: str) -> Any:
    """The documented example of a body."""
    spec: Any = client.get("/openapi.json").json
    shown = spec["paths"][re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path)][method.lower()]
    return shown["requestBody"]["content"]["application/json"]["example"] if "requestBody" in shown else None


def _session_of(person_id: int) -> int:
    return people.sessions_of(person_id, now())[0].id


def _record_of(person_id: int) -> int:
    """A record that counts little, so that there is something to object to: the day's cap has cut it."""
    with transaction():
        made = world.build(people=0, at=now() - timedelta(days=2))
        world.join(programs.by_code(made.code), person_id=person_id, at=now() - timedelta(days=2))
        times = {"occurred_at": now() - timedelta(hours=2), "ended_at": now() - timedelta(hours=1)}
        act = world.act(made, person_id, facts={"distance_km": "10"}, **times)
        return records.take(act, at=now()).record_id or 0


def _order_of(person_id: int) -> int:
    with transaction():
        made = world.build(people=0, at=now() - timedelta(days=2))
        world.join(programs.by_code(made.code), person_id=person_id, at=now() - timedelta(days=2))
        world.rich(made, person_id, 300, at=now())
        wish = orders.Wish(made.item_id, 1, 100)
        return orders.place(person_id=person_id, client_ref="r", wish=wish, at=now()).order_id


def _address_of(person_id: int) -> int:
    place = orders.Place("林一", "13800000000", "四川省", "成都市", "青羊区", "某街 1 号")
    with transaction():
        return orders.addresses.add(person_id=person_id, place=place, is_default=True, at=now()).id


def _code_of(person_id: int) -> int:
    return redemptions.codes_of_order(_order_of(person_id))[0]


def _vehicle_of(person_id: int) -> int:
    with transaction():
        world.car(person_id)
    return vehicles.of_person(person_id)[0][0].id


def _account_of(person_id: int) -> int:
    with transaction():
        made = world.build(people=0)
        source_id = made.sources["partner"]
        return sources.bind_account(source_id=source_id, person_id=person_id, account="card-1", at=now()).id


def _medium_of(person_id: int) -> int:
    with transaction():
        picture = media.Picture(secrets.token_urlsafe(24), 1, 1, b"x")
        return media.add(person_id=person_id, purpose="photo", picture=picture, at=now()).id


def _gift_of(person_id: int) -> int:
    with transaction():
        made = world.build(people=0, at=now() - timedelta(days=2))
        world.join(programs.by_code(made.code), person_id=person_id, at=now() - timedelta(days=2))
        world.rich(made, person_id, 300, at=now())
        wanted = {"project_id": made.project_id, "credits": 10, "client_ref": "r"}
        return welfare.give(person_id=person_id, program_id=made.program_id, at=now(), **wanted).gift.id


def _tree_of(person_id: int) -> int:
    """A tree that has just been planted."""
    rules = 'starts = 2026-01-01T00:00:00+08:00\n[[shapes]]\ncode = "fir"\ngrams = 9\nname = { zh = "杉" }\n'
    with transaction():
        made = world.build(people=0, at=now() - timedelta(days=2))
        world.join(programs.by_code(made.code), person_id=person_id, at=now() - timedelta(days=2))
        grove.put(program_id=made.program_id, content=grove.parse(rules), actor="operator:lin", at=now())
        return grove.plant(program_id=made.program_id, person_id=person_id, shape="fir", at=now())[0].id


def _gathering_of(person_id: int) -> int:
    """A meeting that goes on, with the person as its host."""
    with transaction():
        made = world.build(people=0, at=now() - timedelta(days=2))
        world.join(programs.by_code(made.code), person_id=person_id, at=now() - timedelta(days=2))
        wish = gatherings.Wish("会", now() - timedelta(minutes=5), now() + timedelta(minutes=55), online=True)
        wanted = {"program_id": made.program_id, "person_id": person_id, "client_ref": "r"}
        return gatherings.register(**wanted, wish=wish, at=now())[0].id


def _lesson_of(person_id: int) -> tuple[int, int]:
    """An article and a quiz of a program that the person belongs to."""
    with transaction():
        made = world.build(people=0, at=now() - timedelta(days=2))
        world.join(programs.by_code(made.code), person_id=person_id, at=now() - timedelta(days=2))
        row = {"ref": "1", "question": "问", "A": "一", "B": "二", "right": "A", "explanation": "因为"}
        by: dict[str, Any] = {"program_id": made.program_id, "by": "operator:x", "at": now() - timedelta(minutes=1)}
        learning.import_questions(bank="b", rows=[(2, row)], **by)
        article = {"code": "a", "title": "文", "body_zh": "文", "source": "s", "minutes": 1}
        quiz = {"code": "q", "kind": "open", "title": "题", "bank": "b", "draws": 1}
        learning.publish(articles=[article], quizzes=[quiz], **by)
        _, (found,), (asked,) = learning.overview(program_id=made.program_id, person_id=person_id, at=now())
        return found.id, asked.id


def _article_of(person_id: int) -> int:
    return _lesson_of(person_id)[0]


def _quiz_of(person_id: int) -> int:
    return _lesson_of(person_id)[1]


def _attempt_of(person_id: int) -> int:
    """One that has been answered, so that whatever is sent again is answered with the first."""
    quiz_id = _quiz_of(person_id)
    with transaction():
        attempt = learning.start(quiz_id=quiz_id, person_id=person_id, at=now())[0]
        learning.submit(attempt_id=attempt.id, person_id=person_id, answers={}, at=now())
        return attempt.id


def _recovery_of(person_id: int) -> int:
    """Somebody with the person's phone number asks for the account."""
    with transaction():
        phones.bind(person_id=person_id, country="86", number="13800138000", at=now())
        claimant = people.sign_in(appid="wx", openid=secrets.token_hex(8), at=now(), session_days=1).person_id
        known = {"country": "86", "number": "13800138000", "appid": "wx"}
        return recovery.ask(claimant_id=claimant, at=now(), **known).id


def _appeal_of(person_id: int) -> int:
    with transaction():
        made = world.build(people=0, at=now() - timedelta(days=2))
        world.join(programs.by_code(made.code), person_id=person_id, at=now() - timedelta(days=2))
        times = {"occurred_at": now() - timedelta(hours=2), "ended_at": now() - timedelta(hours=1)}
        held = records.take(world.act(made, person_id, facts={"distance_km": "190"}, **times), at=now()).record_id or 0
        return appeals.ask(object_id=held, person_id=person_id, words="有票", at=now())[0]


def _post_of(person_id: int) -> int:
    with transaction():
        made = world.build(people=0, at=now() - timedelta(days=2))
        world.join(programs.by_code(made.code), person_id=person_id, at=now() - timedelta(days=2))
        wanted = {"client_ref": "p", "body": "你好", "medium_ids": []}
        post, _ = community.write_post(program_id=made.program_id, person_id=person_id, at=now(), **wanted)
        community.post_passed(post.id, "你好")
        return post.id


def _comment_of(person_id: int) -> int:
    post_id = _post_of(person_id)
    with transaction():
        wanted = {"client_ref": "c", "body": "好"}
        return community.write_comment(post_id=post_id, person_id=person_id, at=now(), **wanted)[0].id


def _block_of(person_id: int) -> int:
    with transaction():
        made = world.build(people=1, at=now() - timedelta(days=2))
        world.join(programs.by_code(made.code), person_id=person_id, at=now() - timedelta(days=2))
        wanted = {"client_ref": "p", "body": "你好", "medium_ids": []}
        post, _ = community.write_post(program_id=made.program_id, person_id=made.people[0], at=now(), **wanted)
        community.post_passed(post.id, "你好")
        return community.block(person_id=person_id, post_id=post.id, comment_id=None, at=now())


def _survey_of(person_id: int) -> int:
    with transaction():
        made = world.build(people=0, at=now() - timedelta(days=2))
        world.join(programs.by_code(made.code), person_id=person_id, at=now() - timedelta(days=2))
        asked = [{"key": "overall", "kind": "rating", "zh": "总体"}]
        span = {"opens_at": now() - timedelta(days=1), "closes_at": now() + timedelta(days=1)}
        definition = {"code": "s", "name": "满意度", "questions": asked, **span}
        at = now() - timedelta(days=2)
        return surveys.make(program_id=made.program_id, definition=definition, by="operator:ops", at=at).id


def _snapshot_of(person_id: int) -> int:
    medium_id = _medium_of(person_id)
    with transaction():
        made = world.build(template="community", people=0, at=now() - timedelta(days=2))
        world.join(programs.by_code(made.code), person_id=person_id, at=now() - timedelta(days=2))
        wanted = {"scenario": "photo", "client_ref": "s", "medium_id": medium_id, "fingerprint": 1, "note": ""}
        taken_at = now() - timedelta(hours=1)
        found = snapshots.send(program_id=made.program_id, person_id=person_id, taken_at=taken_at, at=now(), **wanted)
        return found[0].id


def _team_of(person_id: int) -> int:
    with transaction():
        made = world.build(people=0, at=now() - timedelta(days=2))
        world.join(programs.by_code(made.code), person_id=person_id, at=now() - timedelta(days=2))
        return teams.found(program_id=made.program_id, person_id=person_id, kind="team", name="队", at=now()).id


# How to make what the ids in addresses name, for a given owner. A route with another id needs a line here.
OWNED: dict[str, Callable[[int], int]] = {
    "session_id": _session_of,
    "record_id": _record_of,
    "order_id": _order_of,
    "code_id": _code_of,
    "address_id": _address_of,
    "vehicle_id": _vehicle_of,
    "account_id": _account_of,
    "gift_id": _gift_of,
    "tree_id": _tree_of,
    "gathering_id": _gathering_of,
    "article_id": _article_of,
    "quiz_id": _quiz_of,
    "attempt_id": _attempt_of,
    "medium_id": _medium_of,
    "recovery_id": _recovery_of,
    "team_id": _team_of,
    "survey_id": _survey_of,
    "snapshot_id": _snapshot_of,
    "post_id": _post_of,
    "comment_id": _comment_of,
    "block_id": _block_of,
    "appeal_id": _appeal_of,
}


@pytest.mark.parametrize(("method", "path"), of_kind("clerk"))
def test_a_clerk_is_one_in_the_own_shop_only(alice: Phone, db_session: Session, method: str, path: str) -> None:
    """Of another merchant's shop nothing is seen; and of the own one no more than the role allows."""
    clerk = int(alice.get("/me").json["id"])  # type: ignore[index]
    with transaction():
        own, other = world.build(people=0), world.build(people=0)
        world.clerk(own, clerk, at=now())
    where = {shop: address(path.replace("<id:shop_id>", str(shop))) for shop in (own.shop_id, other.shop_id)}
    body = _example(alice.client, method, path)
    elsewhere = alice.call(method, where[other.shop_id].removeprefix("/api/v1"), json=body)
    assert (elsewhere.status_code, code_of(elsewhere)) == (403, "not_staff")
    here = alice.call(method, where[own.shop_id].removeprefix("/api/v1"), json=body)
    may = "clerk" in ROLES[method, path]
    assert (here.status_code == 403) is not may
    with transaction():
        merchants.dismiss(shop_id=own.shop_id, person_id=clerk, at=now())
    gone = alice.call(method, where[own.shop_id].removeprefix("/api/v1"), json=body)
    assert (gone.status_code, code_of(gone)) == (403, "not_staff"), "at the next call, not later"


def test_the_application_refuses_to_start_with_a_bare_route() -> None:
    app = APIFlask("bare")
    routes = APIBlueprint("bare", __name__)

    @routes.get("/guarded")
    @public()
    def guarded() -> str:
        return "fine"

    @routes.get("/forgotten")
    def forgotten() -> str:
        return "oh"

    app.register_blueprint(routes)
    with pytest.raises(UnguardedRoute, match="GET /forgotten"):
        refuse_unguarded(app)


def test_every_route_is_documented_with_its_errors(app: Any, client: FlaskClient) -> None:
    spec = client.get("/openapi.json").json
    assert spec is not None
    assert [name for name in spec["components"]["schemas"] if name[-1].isdigit()] == []
    for method, path, guard in LISTED:
        if not path.startswith("/api/v1") and not path.startswith("/open/v1"):
            continue
        shown = spec["paths"][re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path)][method.lower()]
        assert shown["summary"]
        assert "default" in shown["responses"]
        if guard.startswith(("citizen", "clerk")):
            assert shown["security"] == [{"bearer": []}]
            assert "401" in shown["responses"]
        if "requestBody" in shown:
            assert shown["requestBody"]["required"] is True
            assert {"400", "413", "415", "422"} <= set(shown["responses"])


def test_the_documentation_reads_offline(client: FlaskClient) -> None:
    page = client.get("/docs/")
    assert page.status_code == 200
    assert "openapi.json" in page.text or "openapi.json" in client.get("/docs/swagger-initializer.js").text
    assert re.findall(r"""(?:src|href)=["'](?:https?:)?//[^"']+""", page.text) == []
