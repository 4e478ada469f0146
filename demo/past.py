"""What happened in the demo before today: a shopper of some weeks ago, so that a merchant has a month to settle."""

from __future__ import annotations

from datetime import datetime, timedelta

from app import clock, funding, merchants, orders, people, programs, redemptions, welfare
from app.config import Settings
from app.db import run, transaction
from app.funding import AwardRequest
from demo.places import CITY, Place

SHOPPER, CLERK = "demo-past-shopper", "demo-past-clerk"
TIMES = 3


def past_month(at: datetime) -> datetime:
    """Noon of a day in the last month but one: its statement may be drawn today, whatever day it is."""
    first = clock.business_day(at).replace(day=1)
    return clock.day_start(first - timedelta(days=40)) + timedelta(hours=12)


def live(settings: Settings, *, at: datetime) -> None:
    """Three vouchers bought and redeemed in the city's first shop, and an event that wants to be neutral. Once."""
    then = past_month(at)
    program = programs.by_code(CITY.code)
    with transaction():
        welfare.open_event(program_id=program.id, code="marathon", name="蓉城绿色跑", name_en="Green run",
                           held_on=clock.business_day(at) + timedelta(days=30), footprint_mg=2_000_000_000)  # fmt: skip
        shopper = _somebody(settings, SHOPPER, then)
        clerk = _somebody(settings, CLERK, then)
        merchant = merchants.register(program_id=program.id, code=CITY.merchant[0], name=CITY.merchant[1])
        shop_id = merchants.open_shop(merchant=merchant, name=CITY.shops[0]).id
        merchants.employ(shop_id=shop_id, person_id=clerk, role="clerk", at=then - timedelta(days=1))
    known = "select 1 from redemptions where scan_id = 'demo-past-1' and staff_person_id = %(clerk)s"
    with transaction():
        if not run(known, {"clerk": clerk}):
            _shop(CITY, program.id, shopper, clerk, shop_id, then)


def _somebody(settings: Settings, openid: str, then: datetime) -> int:
    login = people.sign_in(appid=settings.wechat_appid, openid=openid, at=then, session_days=1, device="demo seed")
    people.end_sessions(person_id=login.person_id, at=then)
    return login.person_id


def _shop(place: Place, program_id: int, shopper: int, clerk: int, shop_id: int, then: datetime) -> None:
    voucher = next(shelf for shelf in place.shelf if shelf.kind == "voucher" and not shelf.level and shelf.uses == 1)
    item = run("select id from items where program_id = %(p)s and code = %(c)s", {"p": program_id, "c": voucher.code})[
        0
    ]
    for number in range(1, TIMES + 1):
        moment = then + timedelta(days=number)
        request = AwardRequest(
            program_id=program_id,
            person_id=shopper,
            reason="demo",
            source_ref=f"demo-past-{number}",
            occurred_at=moment,
            base_micro=voucher.price_credits * 1_000_000,
        )
        funding.award([request], at=moment)
        wish = orders.Wish(item.id, 1, voucher.price_credits)
        placed = orders.place(person_id=shopper, client_ref=f"demo-past-{number}", wish=wish, at=moment)
        (code_id,) = redemptions.codes_of_order(placed.order_id)
        _, typed = redemptions.show(code_id=code_id, person_id=shopper)
        redemptions.redeem(
            typed=typed, shop_id=shop_id, staff_person_id=clerk, scan_id=f"demo-past-{number}", at=moment
        )
