"""A notice is told once by a subscribe message where the person allows it; each of WeChat's errors has its own end."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app import clock, notices, operators
from app.db import transaction
from tests.courier.conftest import Phone, Town, noon
from wechat.sandbox.faults import Fault

SEND = "/cgi-bin/message/subscribe/send"


def tell(town: Town, phone: Phone, key: str = "one", kind: str = "record.rejected", zh: str = "未通过核实") -> None:
    with town.inside(), transaction():
        notices.tell(key=key, person_id=phone.person_id, kind=kind, zh=zh, en="rejected", at=noon())


def allow(town: Town, user: str = "alice", times: int = 1) -> None:
    for _ in range(times):
        town.box.clock.advance(1)  # WeChat dates events by the second, and nobody taps twice within one
        town.wechat("popups", user=user, templates=["T-record"])
    town.work()


def inbox(town: Town) -> list[dict[str, str]]:
    return [one for one in town.wechat_inbox() if one["kind"] == "subscribe"]


def states(town: Town) -> list[tuple[str, int | None]]:
    return [(row.state, row.errcode) for row in town.sql("select state, errcode from message_deliveries order by id")]


def allowed(phone: Phone) -> int:
    return int(phone.get("/messages/templates?moment=appeal")["items"][0]["allowed"])


def test_a_notice_is_told_once_and_uses_one_subscription_up(town: Town) -> None:
    alice = town.phone("alice")
    town.wechat("templates", template="T-record", keys=["phrase1", "thing2", "time3"])
    allow(town)
    tell(town, alice, zh="您的记录未通过核实，因为距离与时间不相符，如有误请申诉。")
    town.work()
    told = inbox(town)
    assert len(told) == 1
    assert told[0]["data"]["phrase1"] == {"value": "未通过"}
    assert len(told[0]["data"]["thing2"]["value"]) == 20
    assert (told[0]["miniprogram_state"], told[0]["page"]) == ("developer", "pages/records/index")
    assert (states(town), allowed(alice)) == ([("sent", None)], 0)
    town.work()
    assert town.sql("select delivered from message_deliveries")[0].delivered == "success"
    tell(town, alice)
    assert town.work() == 0, "the same notice again is no new one"
    tell(town, alice, key="two")
    town.work()
    assert len(inbox(town)) == 1
    assert states(town)[1] == ("not_subscribed", None), "nothing is left: WeChat isn't even asked"


def test_what_is_not_allowed_stays_in_the_inbox_of_the_applet(town: Town) -> None:
    alice = town.phone("alice")
    tell(town, alice)
    tell(town, alice, key="other", kind="hello")
    town.work()
    assert (inbox(town), states(town)) == ([], [("not_subscribed", None)])
    assert len(alice.get("/notices")["items"]) == 2


@pytest.mark.parametrize(
    ("errcode", "state", "left"),
    [
        (43101, "not_subscribed", 0),
        (40037, "failed", 2),
        (47003, "failed", 2),
        (40003, "failed", 2),
        (45168, "failed", 2),
        (43107, "failed", 2),
        (43108, "waiting", 2),
        (45011, "waiting", 2),
        (45009, "waiting", 2),
        (40164, "waiting", 2),
        (-1, "unknown", 2),
    ],
)
def test_each_error_has_its_own_end(town: Town, errcode: int, state: str, left: int) -> None:
    alice = town.phone("alice")
    allow(town, times=2)
    town.box.state.faults.planted.append(Fault(SEND, "errcode", errcode=errcode, times=5))
    tell(town, alice)
    town.work()
    assert states(town) == [(state, errcode)]
    assert allowed(alice) == left
    stops = [row.template_id for row in town.sql("select template_id from message_stops")]
    assert stops == (["T-record"] if errcode in (43107, 45009) else [])
    town.box.state.faults.planted.clear()
    town.sweep(noon() + timedelta(days=1, minutes=10))
    again = states(town)[0][0]
    assert again == ("sent" if state == "waiting" else state)


def test_a_stopped_template_is_not_used_until_tomorrow(town: Town) -> None:
    alice = town.phone("alice")
    allow(town, times=2)
    town.box.state.faults.planted.append(Fault(SEND, "errcode", errcode=45009))
    tell(town, alice)
    tell(town, alice, key="two")
    town.work()
    assert [state for state, _ in states(town)] == ["waiting", "waiting"]
    assert len([one for one in town.box.journal if one.get("path") == SEND]) == 1
    town.sweep(noon() + timedelta(days=1, minutes=10))
    town.sweep(noon() + timedelta(days=1, minutes=11))
    assert [state for state, _ in states(town)] == ["sent", "sent"]


@pytest.mark.parametrize("kind", ["lost_answer", "http500"])
def test_a_lost_answer_is_not_sent_twice_unless_somebody_says_so(town: Town, kind: str) -> None:
    alice = town.phone("alice")
    with town.inside(), transaction():
        operators.add(handle="lin", name="lin", at=clock.now())
    allow(town, times=2)
    town.box.state.faults.planted.append(Fault(SEND, kind))
    tell(town, alice)
    town.work()
    assert states(town)[0][0] == "unknown"
    assert town.sweep(noon() + timedelta(days=1)) == 0
    assert "unknown" in town.flask("messages", "log")
    number = town.sql("select id from message_deliveries")[0].id
    town.flask("messages", "resend", str(number), "--as", "lin")
    town.change("update message_deliveries set send_at = now() - interval '1 minute'")
    town.sweep(clock.now())
    assert states(town)[0][0] == "sent"
    assert alice.openid not in town.flask("messages", "log", "--json")


def test_a_sender_that_dies_in_the_middle_leaves_one_message_at_most(town: Town) -> None:
    from app import messages

    alice = town.phone("alice")
    allow(town)
    tell(town, alice)
    with town.inside(), transaction():
        notice = town_notice()
        delivery = messages.queue(notice_id=notice, at=noon())
        assert delivery is not None
        known = {"appid": town.box.identity.appid, "template_id": "T-record", "at": noon()}
        assert messages.begin(delivery_id=delivery, **known) is not None
    with town.inside(), transaction():
        assert messages.begin(delivery_id=delivery, **known) is None, "somebody has it in hand"
    town.work()  # the job itself comes again, as after a rescue
    town.sweep(noon() + timedelta(minutes=10))
    assert (states(town), inbox(town)) == ([("unknown", None)], [])


def town_notice() -> int:
    from app.db import run

    return int(run("select max(id) as id from notices")[0].id)


def test_nobody_is_woken_at_night(town: Town) -> None:
    alice = town.phone("alice")
    allow(town)
    midnight = clock.day_start(clock.business_day(noon()))
    night = midnight + timedelta(hours=23)
    with town.inside(), transaction():
        notices.tell(key="n", person_id=alice.person_id, kind="record.rejected", zh="夜", en="n", at=night)
    town.work(night)
    assert (inbox(town), states(town)) == ([], [("waiting", None)])
    town.sweep(midnight + timedelta(hours=31, minutes=59))
    assert inbox(town) == []
    town.work(midnight + timedelta(hours=32))
    assert len(inbox(town)) == 1


def test_the_applet_tells_what_was_answered_where_wechat_pushes_nothing(town: Town) -> None:
    """With message push WeChat's own word counts; a client can then only switch off."""
    alice = town.phone("alice")
    body = {"answers": [{"template_id": "T-record", "answer": "accept"}]}
    alice.post("/messages/answers", body)
    assert allowed(alice) == 0
    allow(town)
    alice.post("/messages/answers", {"answers": [{"template_id": "T-record", "answer": "ban"}]})
    assert allowed(alice) == 0
    second = town.phone("bob")
    second.sign_in("wxlocal000000000002")
    assert second.get("/messages/templates")["items"] == [], "this mini-program has no templates"


def test_waiting_credits_held_records_and_ending_codes_are_told(town: Town) -> None:
    """Every kind that has a template is told by somebody, and by nobody else."""
    from app.messages import TEMPLATES

    assert {kind for one in TEMPLATES for kind in one.kinds} == notices.ALSO_BY_MESSAGE
