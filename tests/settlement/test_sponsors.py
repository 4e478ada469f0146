"""The sponsor's sums meet at every step of the same money's life."""

from __future__ import annotations

from app import settlement, welfare
from app.db import transaction
from tests.settlement.conftest import DAY, DECEMBER, DRAWN, account, approve, drawn, pay, redeem, two
from tests.world import AT, World


def view(here: World) -> settlement.SponsorView:
    found = settlement.sponsor_view(here.program_id, "bank")
    assert found.agrees
    return found


def test_from_deposit_to_goods_and_gifts(here: World) -> None:
    assert (view(here).deposits_fen, view(here).held_fen) == (10_000_000, 10_000_000)
    first, _ = redeem(here, AT, ref="a"), redeem(here, AT, ref="b")
    with transaction():
        welfare.give(person_id=here.people[0], program_id=here.program_id, project_id=here.project_id, credits=500,
                     client_ref="g", at=AT)  # fmt: skip
    now = view(here)
    assert (now.redeemed_fen, now.given_fen, now.unlisted_fen) == (300, 1000, 300)
    statement = drawn(here)
    assert (view(here).drawn_fen, view(here).unlisted_fen) == (300, 0)
    account(here, DRAWN)
    approve(statement, DRAWN + 8 * DAY)
    assert view(here).approved_fen == 300
    pay(here, "B", "bank", DRAWN + 9 * DAY)
    assert (view(here).paid_fen, view(here).held_fen) == (300, 9_998_700)
    with transaction():
        settlement.correct(
            redemption_id=first, reason="x", approval_id=two({}, "x", DRAWN + 9 * DAY), at=DRAWN + 9 * DAY
        )
    now = view(here)
    assert (now.redeemed_fen, now.unlisted_fen, now.paid_fen, now.held_fen) == (150, -150, 300, 9_998_850)
    redeem(here, DECEMBER + 9 * DAY, ref="c")
    drawn(here, "2026-12", DRAWN + 31 * DAY)
    assert (view(here).unlisted_fen, view(here).drawn_fen) == (0, 0)
