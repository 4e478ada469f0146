"""Teams and org-units against each other, and the energy that a car needs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app import challenges, programs, records, teams
from app.db import run, session, transaction
from app.errors import Refusal
from app.programs.models import Membership
from jobs.relay import relay_all
from tests import world
from tests.contest import field
from tests.contest.field import END, START, join, live, ranks, ride, settle, toml, wins
from tests.world import World


@pytest.fixture
def city(db_session: Session) -> World:
    with transaction():
        return world.build(people=8, at=START - timedelta(days=20))


def team(city: World, *people: int) -> int:
    with transaction():
        made = teams.found(
            program_id=city.program_id, person_id=people[0], kind="team", name="队", at=START - timedelta(days=3)
        )
        for person in people[1:]:
            teams.join(code=made.code, person_id=person, at=START - timedelta(days=2))
        return made.id


def test_a_team_is_its_members_at_the_time_of_each_act_and_the_members_at_the_end_are_paid(city: World) -> None:
    a, b, c, d = city.people[:4]
    first, second = team(city, a, b), team(city, c)
    relay = live(city, toml("team", more="", prizes=field.RANKS.format(first=1, last=1, credits=20)))
    assert relay.reserved == 100  # five members at most
    join(city, a, c)
    ride(city, a, 17, "10")
    ride(city, b, 17, "10")
    with transaction():
        teams.leave(team_id=first, person_id=b, at=START + timedelta(days=3))
    ride(city, b, 20, "30")  # for nobody
    ride(city, c, 18, "15")
    ride(city, d, 18, "40")  # in no team
    settle(relay)
    assert ranks(relay) == [(first, 20_000), (second, 15_000)]
    assert wins(relay) == {a: (20, "paid")}
    assert challenges.verify(relay.id) == (True, [])


def test_a_team_of_six_is_refused_and_the_captain_enrols(city: World) -> None:
    made = team(city, *city.people[:5])
    with pytest.raises(Refusal, match="team_full"), transaction():
        teams.join(code=teams.by_id(made).code, person_id=city.people[5], at=START)
    live(city, toml("team", more=""))
    with pytest.raises(Refusal, match="captain_enrols"):
        join(city, city.people[1])
    with pytest.raises(Refusal, match="team_needed"):
        join(city, city.people[6])
    # Six by whatever way they came in: the seats of the data model are taken down for this.
    run("alter table team_members drop constraint ck_team_members_seat")
    run(
        "insert into team_members (team_id, program_id, kind, person_id, seat, joined_at)"
        " values (%(t)s, %(p)s, 'team', %(who)s, 6, %(at)s)",
        {"t": made, "p": city.program_id, "who": city.people[5], "at": START - timedelta(days=1)},
    )
    with pytest.raises(Refusal, match="team_too_large"):
        join(city, city.people[0])


def test_a_team_below_its_least_size_is_not_ranked(city: World) -> None:
    a, b, c = city.people[:3]
    pair, _ = team(city, a, b), team(city, c)
    relay = live(city, toml("team", more="least_members = 2"))
    join(city, a, c)
    for person in (a, b, c):
        ride(city, person, 17, "10" if person != c else "50")
    settle(relay)
    assert [subject for subject, _ in ranks(relay)] == [pair]


def units(city: World, *sizes: int) -> list[int]:
    """Districts, and the people in them in their order."""
    made, people = [], iter(city.people)
    with transaction():
        for number, size in enumerate(sizes):
            unit = programs.add_org_unit(
                program_id=city.program_id, code=f"d{number}", name=f"区{number}", kind="district"
            )
            made.append(unit.id)
            for _ in range(size):
                row = session().query(Membership).filter_by(program_id=city.program_id, person_id=next(people)).one()
                row.org_unit_id = unit.id
    return made


def test_org_units_of_under_five_are_not_shown_and_per_head_divides_by_who_put_in(city: World) -> None:
    large, small = units(city, 5, 3)
    text = toml("unit", more='capacity = 8\nunits = "district"\nper_head = true')
    contest = live(city, text)
    assert contest.reserved == 8 * 50
    join(city, *city.people)
    for number, person in enumerate(city.people):
        ride(city, person, 17, "10" if number < 5 else "60")
    relay_all()
    found = run("select * from challenges where id = %(id)s", {"id": contest.id})[0]
    assert challenges.top(found, offset=0, limit=10)[0] == 1
    mine = challenges.standing(found, city.people[0])
    assert (mine.subject_id, mine.part, mine.value) == (large, 10_000, 10_000)
    settle(contest)
    assert ranks(contest) == [(large, 10_000)] and small
    assert set(wins(contest)) == set(city.people[:5])


def test_whoever_put_in_for_two_org_units_has_the_better_one_s_prize_and_the_reserve_is_enough(city: World) -> None:
    with transaction():
        program = programs.by_code(city.code)
        city.people += [world.join(program, at=START - timedelta(days=20)) for _ in range(2)]
    first, second = units(city, 5, 5)
    prizes = field.RANKS.format(first=2, last=2, credits=20) + field.RANKS.format(first=1, last=1, credits=50)
    contest = live(city, toml("unit", more='capacity = 10\nunits = "district"', prizes=prizes))
    assert contest.reserved == 10 * 50
    join(city, *city.people)
    for number, person in enumerate(city.people):
        ride(city, person, 17, "10" if number < 5 else "5")
    run("update memberships set org_unit_id = %(u)s where person_id = any(%(p)s)", {"u": second, "p": city.people[:5]})
    for person in city.people[:5]:
        ride(city, person, 18, "2")
    settle(contest)
    assert ranks(contest) == [(first, 50_000), (second, 35_000)]
    assert wins(contest) == {person: (50 if n < 5 else 20, "paid") for n, person in enumerate(city.people)}
    assert run("select count(*) as n from awards where state = 'pending'")[0].n == 0
    assert challenges.verify(contest.id) == (True, [])


def test_whoever_moves_in_the_middle_leaves_what_was_put_in(city: World) -> None:
    large, other = units(city, 7, 1)
    contest = live(city, toml("unit", more='capacity = 8\nunits = "district"'))
    join(city, *city.people)
    for person in city.people[:7]:
        ride(city, person, 17, "10")
    with transaction():
        row = session().query(Membership).filter_by(program_id=city.program_id, person_id=city.people[0]).one()
        row.org_unit_id = other
    ride(city, city.people[0], 18, "10")
    settle(contest)
    assert ranks(contest) == [(large, 70_000)]


ENERGY = 'capacity = 10\nleast_km = 50\nnorms = { default = "15", small = "12" }'


def drive(city: World, person: int, day: int, km: str, kwh: str | None, car: str) -> None:
    began = START + timedelta(days=day - 16, hours=8)
    facts: dict[str, Any] = {"distance_km": km} | ({"used_kwh": kwh} if kwh else {})
    with transaction():
        taken = records.take(
            world.act(city, person, "nev-mileage", facts=facts, subject=car, occurred_at=began,
                      ended_at=began + timedelta(hours=2)),
            at=began + timedelta(hours=3),
        )  # fmt: skip
    assert taken.state == "counted", taken


def test_energy_is_ranked_against_the_norm_of_the_model_class(city: World) -> None:
    one, two, three, four = city.people[:4]
    with transaction():
        cars = {person: world.car(person) for person in (one, two, three, four)}
        run("update vehicles set model_class = 'small' where id = %(v)s", {"v": int(cars[two].split(":")[1])})
    text = toml("race", "kwh_per_100km", more=ENERGY).replace('"metro-ride"', '"nev-mileage"')
    race = live(city, text)
    join(city, one, two, three, four)
    drive(city, one, 17, "100", "12", cars[one])  # 12 against 15
    drive(city, two, 17, "100", "11.5", cars[two])  # 11.5 against 12
    drive(city, three, 17, "40", "2", cars[three])  # too short
    drive(city, four, 17, "100", None, cars[four])  # no energy beside the odometer
    drive(city, one, 18, "100", "1", cars[one])  # no car needs so little: left out
    settle(race)
    assert ranks(race) == [(one, 12_000), (two, 11_500)]
    assert challenges.verify(race.id) == (True, [])
    assert END
