"""WeRun steps: opened once, kept by Shanghai day, credited once after the day has closed, whichever program pays."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from app import clock, programs, records
from app.db import transaction
from tests import world
from tests.courier.conftest import Phone, Town


def werun(town: Town, user: str = "erin", **body: Any) -> dict[str, str]:
    found = town.wechat("werun", user=user, **body)
    return {"encrypted_data": found["encryptedData"], "iv": found["iv"]}


def day(back: int) -> str:
    return str(clock.business_day(clock.now()) - timedelta(days=back))


def close(town: Town) -> None:
    with town.inside():
        while True:
            with transaction():
                if not records.close_days(at=clock.now()):
                    return


def by_day(phone: Phone) -> dict[str, tuple[int, str]]:
    return {one["day"]: (one["steps"], one["state"]) for one in phone.get("/steps")["items"]}


@pytest.fixture
def erin(town: Town) -> Phone:
    """A member from before the days that WeChat tells about."""
    made = town.member("erin")
    town.change("update memberships set joined_at = joined_at - interval '40 days'")
    town.change("update consents set granted_at = granted_at - interval '40 days'")
    return made


def test_days_are_provisional_then_settled_and_never_paid_twice(town: Town, erin: Phone) -> None:
    data = werun(town, steps={day(0): 4_000, day(1): 10_000})
    shown = erin.post("/steps/werun", data)["items"]
    assert len(shown) == 31
    assert [(one["steps"], one["state"]) for one in shown[:2]] == [(4_000, "provisional"), (10_000, "closing")]
    close(town)
    assert by_day(erin)[day(1)] == (10_000, "settled")
    assert by_day(erin)[day(0)] == (4_000, "provisional")
    before = [one["credits"] for one in erin.get("/wallet")["items"]]
    erin.post("/steps/werun", data)
    erin.post("/steps/werun", werun(town))
    close(town)
    assert [one["credits"] for one in erin.get("/wallet")["items"]] == before
    kept = town.sql("select state, tier, count(*) as n from records group by 1, 2")
    assert [tuple(row) for row in kept] == [("counted", "B", 30)]
    paid = town.sql("select max(credits) as most, sum(credits) as credits from awards where state = 'paid'")[0]
    assert paid.most <= 30, "the scenario's cap of a day"
    assert town.sql("select coalesce(sum(counted_mg), 0) as mg from reductions")[0].mg == 0, "credits, never grams"


def test_a_late_correction_replaces_the_record_of_that_day(town: Town, erin: Phone) -> None:
    erin.post("/steps/werun", werun(town, steps={day(2): 3_000}))
    close(town)
    erin.post("/steps/werun", werun(town, steps={day(2): 5_000}))
    assert by_day(erin)[day(2)] == (5_000, "closing")
    close(town)
    states = town.sql("select state from records where local_date = %(day)s order by id", day=day(2))
    assert [row.state for row in states] == ["superseded", "counted"]


def test_three_programs_pay_once(town: Town, erin: Phone) -> None:
    with town.inside(), transaction():
        for _ in range(2):
            other = world.build(people=0, at=clock.now() - timedelta(days=50))
            joined = clock.now() - timedelta(days=45)
            world.join(programs.by_code(other.code), person_id=erin.person_id, at=joined)
    erin.post("/steps/werun", werun(town))
    close(town)
    mine = [one["code"] for one in erin.get("/me/programs")["items"]]
    erin.put("/me/programs", {"order": mine[::-1]})
    erin.post("/steps/werun", werun(town, steps={day(3): 9_000}))
    close(town)
    counted = town.sql("select local_date, count(*) as n from records where state = 'counted' group by 1")
    assert {row.n for row in counted} == {1}
    assert len(counted) == 30
    assert town.sql("select count(*) as n from observations")[0].n == 31, "a day stays where it was seen first"
    paid = town.sql(
        "select r.local_date, count(*) as n from awards a join records r on r.id = a.record_id"
        " where a.state = 'paid' group by 1"
    )
    assert {row.n for row in paid} == {1}, "also the corrected day, which the program paid that is now the first"


def test_what_cannot_be_opened_says_log_in_and_fetch_again(town: Town, erin: Phone) -> None:
    good = werun(town)
    for spoiled in (
        werun(town, appid="wxsomebodyelse"),
        werun(town, age_seconds=700),
        werun(town, age_seconds=-120),
        {**good, "iv": "AAAAAAAAAAAAAAAAAAAAAA=="},
        {**good, "encrypted_data": good["encrypted_data"][:64]},
    ):
        assert erin.refused("POST", "/steps/werun", 409, json=spoiled) == "werun_expired"
    town.box.apps[town.box.identity.appid].state.keep_session_key = False
    erin.sign_in()  # a new session key: what was fetched before is worth nothing
    assert erin.refused("POST", "/steps/werun", 409, json=good) == "werun_expired"
    assert town.sql("select 1 from observations") == []
    erin.post("/steps/werun", werun(town))


def test_no_consent_no_steps_and_nowhere_to_walk(town: Town, erin: Phone) -> None:
    stranger = town.phone("alice")
    assert stranger.refused("POST", "/steps/werun", 403, json=werun(town, "alice")) == "consent_required"
    steps = next(one for one in stranger.get("/me/consents")["items"] if one["purpose"] == "steps")
    stranger.post("/me/consents", {"purpose": "steps", "version": steps["version"]})
    assert stranger.refused("POST", "/steps/werun", 409, json=werun(town, "alice")) == "nowhere_to_walk"
    erin.post("/steps/werun", werun(town))
    town.wechat("events", user="erin", kind="revoke", revoke_info="12")
    town.work()
    assert (erin.get("/steps")["items"], town.sql("select 1 from observations")) == ([], [])
    assert erin.refused("POST", "/steps/werun", 403, json=werun(town)) == "consent_required"


def test_absurd_steps_are_held_and_negative_ones_left_out(town: Town, erin: Phone) -> None:
    erin.post("/steps/werun", werun(town, steps={day(1): 250_000, day(2): -5}))
    assert day(2) not in by_day(erin)
    close(town)
    held = town.sql("select state from records where local_date = %(day)s", day=day(1))
    assert [row.state for row in held] == ["held"]
    from jobs.wechat import tell_people

    with town.inside():
        assert (tell_people(), tell_people()) == (1, 0)
    assert erin.get("/notices")["items"][0]["kind"] == "record.held"
