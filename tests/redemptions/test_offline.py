"""Lists of a till without a network: signed, judged line by line, decided by arrival, the same answer twice.

Seen red with: the signature not compared, the claimed time not compared with the step, the stored answer not looked up.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from app import redemptions
from app.errors import Refusal
from app.redemptions import offline
from tests.redemptions import vouchers
from tests.world import AT, World

LATER = AT + timedelta(hours=5)


class Till:
    """A clerk's device with its key."""

    def __init__(self, here: World, clerk: int = 4) -> None:
        self.here, self.person = here, here.people[clerk]
        device, self.key = offline.device(shop_id=here.shop_id, person_id=self.person, at=AT)
        self.id = device.id

    def send(self, *lines: offline.Line, at: datetime = LATER, signed: str | None = None) -> list[str]:
        answers = offline.upload(
            device_id=self.id,
            shop_id=self.here.shop_id,
            person_id=self.person,
            lines=lines,
            signed=signed or offline.signature(self.key, self.id, lines),
            at=at,
        )
        self.answers = answers
        return [answer["outcome"] for answer in answers]


def line(here: World, seq: int, code: int, minutes: int, *, shift: int = 0) -> offline.Line:
    """A picture seen some minutes after noon, of a step that is ``shift`` seconds off."""
    when = AT + timedelta(minutes=minutes)
    text, _ = redemptions.picture_of(code_id=code, person_id=here.people[0], at=when + timedelta(seconds=shift))
    return offline.Line(seq, text, 1, when)


def bought(here: World, quantity: int) -> list[tuple[int, str]]:
    return vouchers.bought(here, here.people[0], vouchers.item(here), quantity=quantity)


def test_a_list_is_redeemed_when_it_arrives_and_the_same_again_is_the_same_answer(
    here: World, all_held: Callable[[], dict[str, Any]]
) -> None:
    codes = bought(here, 2)
    till = Till(here)
    lines = [line(here, n + 1, code, n + 1) for n, (code, _) in enumerate(codes)]
    assert till.send(*lines) == ["redeemed", "redeemed"]
    first = till.answers
    assert till.send(*lines) == ["redeemed", "redeemed"]
    assert till.answers == first
    assert vouchers.money(here)["payable"] == 300
    assert all_held() == {}


def test_who_uploads_second_goes_to_dispute_unpaid(here: World, all_held: Callable[[], dict[str, Any]]) -> None:
    ((code, _),) = bought(here, 1)
    first, second = Till(here), Till(here, clerk=5)
    early, late = line(here, 1, code, 10), line(here, 1, code, 20)
    assert first.send(late) == ["redeemed"]
    assert second.send(early) == ["dispute"]
    assert vouchers.money(here)["payable"] == 150
    assert [row.seq for row in offline.disputes(here.shop_id)] == [1]
    assert all_held() == {}


def test_forged_stale_typed_old_and_future_lines_are_told_apart(here: World) -> None:
    ((code, typed),) = bought(here, 1)
    till = Till(here)
    good = line(here, 1, code, 1)
    with pytest.raises(Refusal, match="list_forged"):
        till.send(good, signed="0" * 64)
    stale = line(here, 1, code, 1, shift=-90)
    assert till.send(stale) == ["code_stale"]
    assert till.send(offline.Line(2, typed, 1, AT + timedelta(minutes=2))) == ["code_not_dynamic"]
    assert till.send(line(here, 3, code, 400)) == ["time_impossible"]
    assert till.send(line(here, 4, code, 3), at=AT + timedelta(hours=49)) == ["too_old"]
    last = line(here, 6, code, 5)
    assert till.send(line(here, 5, code, 4)) == ["redeemed"]
    with pytest.raises(Refusal, match="device_ended"):
        till.send(last, at=AT + timedelta(days=10))


def test_gaps_and_reorders_are_named(here: World) -> None:
    codes = [code for code, _ in bought(here, 4)]
    till = Till(here)
    outcomes = till.send(
        line(here, 1, codes[0], 1), line(here, 4, codes[1], 9), line(here, 5, codes[2], 5), line(here, 3, codes[3], 10)
    )
    assert outcomes == ["redeemed", "redeemed", "out_of_order", "out_of_order"]
    assert till.answers[1]["gap"] == [2, 3]
    assert till.send(line(here, 4, codes[3], 12)) == ["sequence_conflict"]


def test_a_shop_has_a_number_of_offline_scans_a_day(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline, "MOST_A_DAY", 2)
    codes = [code for code, _ in bought(here, 3)]
    till = Till(here)
    lines = [line(here, n + 1, code, n + 1) for n, code in enumerate(codes)]
    assert till.send(*lines) == ["redeemed", "redeemed", "offline_limit"]
