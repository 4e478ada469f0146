"""The refreshing picture: a screenshot goes stale, a step is spent once, a forged one tells nothing.

Seen red with: the step's window one wider, the step not written down, the MAC's comparison left out.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from app import redemptions
from app.errors import Refusal
from app.redemptions import picture
from tests.redemptions import vouchers
from tests.world import AT, World

STEP = timedelta(seconds=30)


def scan(here: World, text: str, at: datetime, name: str = "s", clerk: int = 4) -> redemptions.Verdict:
    return redemptions.redeem(typed=text, shop_id=here.shop_id, staff_person_id=here.people[clerk], scan_id=name, at=at)


def seen(here: World, code: int, at: datetime = AT) -> str:
    return redemptions.picture_of(code_id=code, person_id=here.people[0], at=at)[0]


def test_a_picture_is_a_code_for_a_minute(here: World) -> None:
    ((code, _),) = vouchers.bought(here, here.people[0], vouchers.item(here, uses=3))
    start = datetime.fromtimestamp(picture.step_of(AT) * 30, AT.tzinfo)
    text = seen(here, code, start)
    with pytest.raises(Refusal, match="code_stale"):
        scan(here, text, start - timedelta(seconds=31))
    assert scan(here, text, start + timedelta(seconds=59)).uses_left == 2
    with pytest.raises(Refusal, match="code_stale"):
        scan(here, text, start + timedelta(seconds=60), "s2")


def test_a_step_is_spent_once_at_the_confirmation_and_not_by_a_look(here: World) -> None:
    ((code, _),) = vouchers.bought(here, here.people[0], vouchers.item(here, uses=3))
    text = seen(here, code)
    for _ in range(2):
        found = redemptions.preview(typed=text, shop_id=here.shop_id, staff_person_id=here.people[4], at=AT)
        assert (found.uses_left, found.owed_fen) == (3, 50)
    done = scan(here, text, AT)
    assert scan(here, text, AT).repeated
    with pytest.raises(Refusal, match="code_stale"):
        scan(here, text, AT, "another", clerk=5)
    redemptions.undo(redemption_id=done.redemption_id or 0, shop_id=here.shop_id, staff_person_id=here.people[5], at=AT)
    with pytest.raises(Refusal, match="code_stale"):
        scan(here, text, AT, "after the undo")
    assert scan(here, seen(here, code, AT + STEP), AT + STEP, "refreshed").uses_left == 2


def test_what_we_did_not_make_is_invalid_like_a_guess(here: World) -> None:
    ((code, _),) = vouchers.bought(here, here.people[0], vouchers.item(here))
    text = seen(here, code)
    for place in (5, 20, 45):
        other = "A" if text[place] != "A" else "B"
        forged = text[:place] + other + text[place + 1 :]
        with pytest.raises(Refusal, match="code_invalid"):
            scan(here, forged, AT)


@pytest.mark.parametrize(
    "junk",
    [
        "https://evil.example/pay?x=1",
        "http://a.cn",
        "134512345678901234",  # another company's payment code
        "' or 1=1 --",
        "x" * 4096,
        "DD" + "A" * 400,
        "",
        "🍵🍵🍵",
    ],
)
def test_foreign_codes_get_a_plain_word_and_are_no_guess(here: World, junk: str) -> None:
    with pytest.raises(Refusal, match="code_foreign"):
        scan(here, junk, AT)


def test_only_the_owner_sees_it_and_only_while_it_can_be_used(here: World) -> None:
    ((code, typed),) = vouchers.bought(here, here.people[0], vouchers.item(here))
    with pytest.raises(Refusal, match="not_found"):
        redemptions.picture_of(code_id=code, person_id=here.people[1], at=AT)
    scan(here, typed, AT)
    with pytest.raises(Refusal, match="code_used"):
        seen(here, code)
