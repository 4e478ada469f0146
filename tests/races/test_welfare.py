"""Gifts under real threads: donors reach the target at once; grams are given once; a match is used up exactly.

Seen red with the projects' row lock left out: the sum went over the target.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from app import records, welfare
from app.db import connection, transaction
from tests import world
from tests.races.crowd import at_once, codes, fine
from tests.world import AT, World

pytestmark = pytest.mark.race


def one(sql: str) -> Any:
    with transaction():
        return connection().execute(text(sql)).scalar_one()


def test_six_donors_reach_the_target_at_once(crowd: Any, city: World) -> None:
    with transaction():
        for person in city.people[:6]:
            world.rich(city, person, 100)
        connection().execute(text("update welfare_projects set over_rule = 'cap', target_credits = 250"))
    gifts = [
        partial(welfare.give, person_id=person, program_id=city.program_id, project_id=city.project_id, credits=100,
                client_ref="g", at=AT) for person in city.people[:6]
    ]  # fmt: skip
    answers = at_once(crowd, *gifts)
    assert len(fine(answers)) == 3 and codes(answers) == ["project_full"] * 3
    assert one("select sum(credits) from gifts") == 250 == one("select given_credits from welfare_projects")
    assert one("select sum(balance) from accounts where kind = 'wallet'") == 350


def test_a_match_is_used_up_exactly(crowd: Any, city: World) -> None:
    with transaction():
        for person in city.people[:6]:
            world.rich(city, person, 100)
        from tests.settlement.conftest import two

        welfare.reserve_match(project_id=city.project_id, sponsor_code="bank", rate_bps=10_000, fen=450,
                              bank_reference="M", actor="operator:wu", at=AT,
                              approval_id=two({"m": 1}, welfare.MATCH, AT))  # fmt: skip
    gifts = [
        partial(welfare.give, person_id=person, program_id=city.program_id, project_id=city.project_id, credits=100,
                client_ref="g", at=AT) for person in city.people[:6]
    ]  # fmt: skip
    assert len(fine(at_once(crowd, *gifts))) == 6
    assert one("select sum(matched_fen) from gifts") == 450 == one("select used_fen from welfare_matches")


def test_grams_are_given_once(crowd: Any, city: World) -> None:
    person = city.people[0]
    with transaction():
        world.take(city, person)
        have = records.available_grams(person, city.program_id)
        event = welfare.open_event(program_id=city.program_id, code="run", name="跑", name_en="Run", held_on=AT.date(),
                                   footprint_mg=10**12).id  # fmt: skip
    gifts = [
        partial(welfare.give_grams, person_id=person, event_id=event, mg=have, client_ref=f"g{n}", at=AT)
        for n in range(5)
    ]
    answers = at_once(crowd, *gifts)
    assert len(fine(answers)) == 1 and codes(answers) == ["grams_short"] * 4
    assert one("select sum(mg) from retired_grams") == have
