"""The profile and the name that others see."""

from __future__ import annotations

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import people
from app.errors import Refusal
from app.outbox import OutboxEvent
from tests import given

AVATAR = "https://thirdwx.qlogo.cn/mmopen/vi_32/abc/132"


def test_names_are_masked_until_shown_by_choice(db_session: Session) -> None:
    person = people.get(given.person())
    assert people.shown_name(person) == f"用户{person.pseudonym[:4]}"
    given.profile(person.id, nickname="小点滴")
    assert people.shown_name(person) == "小**"
    given.profile(person.id, nickname="小点滴", show_name=True)
    assert people.shown_name(person) == "小点滴"


def test_boards_hear_of_a_change_that_concerns_them_and_of_no_other(db_session: Session) -> None:
    person_id = given.person()
    given.profile(person_id, language="en")
    given.profile(person_id, language="en", on_boards=False)
    told = db_session.scalars(select(OutboxEvent.payload).where(OutboxEvent.event == "person.changed")).all()
    assert told == [{"person_id": person_id, "on_boards": False, "show_name": False}]


@pytest.mark.parametrize(
    "address",
    [
        "http://thirdwx.qlogo.cn/a",
        "https://evil.example/a",
        "https://qlogo.cn.evil.example/a",
        "https://thirdwx.qlogo.cn@evil.example/a",
        "https://evil.example/#.qlogo.cn/a",
        "javascript:alert(1)",
        "https://thirdwx.qlogo.cn/a b",
    ],
)
def test_only_wechats_own_avatars(db_session: Session, address: str) -> None:
    person_id = given.person()
    given.profile(person_id, avatar_url=AVATAR)
    with pytest.raises(Refusal) as refused:
        given.profile(person_id, avatar_url=address)
    assert refused.value.code == "invalid_field"
