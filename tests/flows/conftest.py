"""A town that lives, and people with phones in it. The clock stands still, so that a story has its days."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app import clock, people, programs
from app.db import transaction
from jobs.relay import relay_all
from tests import given, world
from tests.edges.conftest import Phone, phone_of, wechat
from tests.world import World

__all__ = ["phone_of", "wechat"]
NOW = datetime(2026, 11, 25, 2, 0, tzinfo=UTC)  # 10:00 in Shanghai


@dataclass
class Citizen:
    """A phone and whose it is."""

    phone: Phone
    person_id: int

    def get(self, path: str, status: int = 200, **kwargs: Any) -> Any:
        answer = self.phone.get(path, **kwargs)
        assert answer.status_code == status, answer.text
        return answer.json

    def post(self, path: str, body: Any = None, status: int = 201, **kwargs: Any) -> Any:
        answer = self.phone.post(path, body, **kwargs)
        assert answer.status_code == status, answer.text
        return answer.json

    def refused(self, path: str, body: Any = None, method: str = "POST") -> tuple[int, str]:
        answer = self.phone.call(method, path, **({} if body is None else {"json": body}))
        return answer.status_code, (answer.json or {})["error"]["code"]


@pytest.fixture
def still() -> Iterator[datetime]:
    with clock.frozen(NOW):
        yield NOW


@pytest.fixture
def town(db_session: Session, still: datetime) -> World:
    """A city's program with one merchant and a cause; nobody in it yet."""
    with transaction():
        return world.build(people=0, at=NOW)


@pytest.fixture
def settle(town: World, phone_of: Callable[[str], Phone]) -> Callable[..., Citizen]:
    """Somebody of the local WeChat, as a consenting member of the town."""

    def make(user: str, *, of: World | None = None, **shown: Any) -> Citizen:
        phone = phone_of(user)
        person_id = int(phone.get("/me").json["id"])  # type: ignore[index]
        with transaction():
            given.member(programs.by_code((of or town).code), person_id, at=NOW, **shown)
            agree_to_all(person_id)
        return Citizen(phone, person_id)

    return make


@pytest.fixture
def ann(settle: Callable[..., Citizen]) -> Citizen:
    return settle("alice")


@pytest.fixture
def ben(settle: Callable[..., Citizen]) -> Citizen:
    return settle("bob")


def agree_to_all(person_id: int) -> None:
    """Consent to every purpose."""
    for key, purpose in people.PURPOSES.items():
        people.consents.agree(person_id=person_id, key=key, version=purpose.version, at=NOW)


def deliver() -> None:
    """What the worker does between two looks: bring facts to the boards."""
    relay_all()


def ride(town: World, reference: str = "ride-1", *, day: int = 24, km: Any = "8.5", **changes: Any) -> dict[str, Any]:
    """A self-declared bus ride in the morning of a day of November."""
    return {
        "program": town.code,
        "scenario": "bus-ride",
        "client_ref": reference,
        "facts": {"distance_km": km},
        "occurred_at": f"2026-11-{day:02d}T08:00:00+08:00",
        "ended_at": f"2026-11-{day:02d}T09:00:00+08:00",
        **changes,
    }
