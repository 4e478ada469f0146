"""Green consumption: a product earns once its redemption stands, a sign once a day and venue.

Seen red with: the place not compared, a sign's act named by the second instead of the day.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from app import green, redemptions, scenarios
from app.db import session
from app.errors import Refusal
from app.merchants import Merchant
from app.programs.templates import ScenarioDraft
from tests.redemptions import vouchers
from tests.world import AT, World

PLACE = (30_657_000, 104_066_000, 200)


@pytest.fixture
def cup(here: World) -> str:
    """The program takes own cups from its venues and tills."""
    draft = ScenarioDraft(
        code="own-cup",
        methodology="own-cup",
        name="自带杯",
        name_en="Own cup",
        text_zh="",
        text_en="",
        claim="none",
        source_kinds={"system": "C"},
        caps={"day": 10, "week": 50, "year": 1500},
    )
    scenarios.offer(program_id=here.program_id, definition=draft)
    return "own-cup"


def venue(here: World, cup: str, **more: object) -> tuple[green.Venue, str]:
    values = {"code": "park", "name": "绿色公园", "name_en": "Park", "certificate_ref": "GB-1", **more}
    return green.certify(program_id=here.program_id, scenario=cup, by="operator:lin", at=AT, **values)  # type: ignore[arg-type]


def test_a_product_earns_for_the_buyer_when_its_redemption_stands(here: World, cup: str) -> None:
    item = vouchers.item(here)
    merchant = session().get_one(Merchant, here.merchant_id)
    product = green.register(
        merchant=merchant, item_id=item, scenario=cup, certificate_ref="C-1", person_id=here.people[4], at=AT
    )
    with pytest.raises(Refusal, match="product_known"):
        green.register(
            merchant=merchant, item_id=item, scenario=cup, certificate_ref="C-1", person_id=here.people[4], at=AT
        )
    ((_, typed), (_, undone)) = vouchers.bought(here, here.people[0], item, quantity=2)
    scan = {"shop_id": here.shop_id, "staff_person_id": here.people[4], "at": AT}
    made = [redemptions.redeem(typed=one, scan_id=one, **scan).redemption_id or 0 for one in (typed, undone)]
    assert green.to_earn(made) == []
    green.approve(product_id=product.id, by="operator:lin", at=AT)
    assert green.to_earn(made) == made
    redemptions.undo(redemption_id=made[1], **scan)
    taken = green.earn(redemption_id=made[0], at=AT + timedelta(minutes=11))
    assert taken is not None
    assert (taken.outcome, taken.mg > 0) == ("accepted", True)
    again = green.earn(redemption_id=made[0], at=AT + timedelta(minutes=12))
    assert again is not None
    assert again.outcome == "duplicate"
    assert green.earn(redemption_id=made[1], at=AT + timedelta(minutes=11)) is None


def test_a_sign_counts_once_a_day_and_venue(here: World, cup: str) -> None:
    _, token = venue(here, cup)
    first = green.scan(token=token, person_id=here.people[0], at=AT)
    assert (first.taken.outcome, first.taken.mg > 0) == ("accepted", True)
    second = green.scan(token=token, person_id=here.people[0], at=AT + timedelta(hours=1))
    assert (second.taken.outcome, second.taken.record_id) == ("duplicate", first.taken.record_id)
    assert green.scan(token=token, person_id=here.people[1], at=AT).taken.outcome == "accepted"
    assert green.scan(token=token, person_id=here.people[0], at=AT + timedelta(days=1)).taken.outcome == "accepted"


def test_a_sign_with_a_place_counts_on_the_spot_only(here: World, cup: str) -> None:
    _, token = venue(here, cup, place=PLACE)
    with pytest.raises(Refusal, match="venue_place_needed"):
        green.scan(token=token, person_id=here.people[0], at=AT)
    with pytest.raises(Refusal, match="venue_too_far"):
        green.scan(token=token, person_id=here.people[0], at=AT, position=(30.66, 104.066))
    near = green.scan(token=token, person_id=here.people[0], at=AT, position=(30.6571, 104.0661))
    assert near.taken.outcome == "accepted"


def test_a_revoked_venue_and_an_old_sign_say_so(here: World, cup: str) -> None:
    made, old = venue(here, cup)
    _, token = venue(here, cup)
    with pytest.raises(Refusal, match="scene_invalid"):
        green.scan(token=old, person_id=here.people[0], at=AT)
    green.revoke_venue(venue=made, reason="证书到期", by="operator:lin", at=AT)
    with pytest.raises(Refusal, match="venue_revoked"):
        green.scan(token=token, person_id=here.people[0], at=AT)
    with pytest.raises(Refusal, match="not_found"):
        venue(here, "metro-ride", code="other")
