"""Message push: verified, kept once, answered at once, worked on later; each event does what it should."""

from __future__ import annotations

import pytest
import requests

from tests.courier.conftest import Town, until
from wechat.sandbox.mini.push import FORGED, PushFault

KEPT = "select count(*) as n from inbox where origin = 'wechat:' || %(app)s"


def kept(town: Town) -> int:
    return int(town.sql(KEPT, app=town.box.identity.appid)[0].n)


def attempts(town: Town) -> list[tuple[str, int, str]]:
    return [one for pushed in town.box.mini.push.sent for one in pushed.attempts]


def test_the_console_finds_our_address(town: Town) -> None:
    assert town.wechat("push", verify=True)["verified"] is True
    assert requests.get(f"{town.base}/wechat/push/{town.box.identity.appid}?echostr=x", timeout=5).status_code == 403
    assert requests.get(f"{town.base}/wechat/push/wx1234567890", timeout=5).status_code == 403


@pytest.mark.parametrize("mode", ["secure", "plain"])
@pytest.mark.parametrize("form", ["json", "xml"])
def test_both_modes_and_formats_are_heard(town: Town, mode: str, form: str) -> None:
    alice = town.phone("alice")
    town.wechat("push", mode=mode, format=form, numbers_as_text=form == "json")
    town.wechat("popups", user="alice", templates=["T-record", "T-credits"])
    assert town.work() == 1
    found = {one["template_id"]: one["allowed"] for one in alice.get("/messages/templates")["items"]}
    assert (found["T-record"], found["T-credits"], found["T-order"]) == (1, 1, 0)
    town.wechat("unsubscribe", user="alice", template="T-record")
    town.work()
    assert alice.get("/messages/templates?moment=appeal")["items"][0]["allowed"] == 0


@pytest.mark.parametrize("fault", [one for one in FORGED if one != "stale"])
def test_a_forged_push_is_refused_without_a_word_and_the_right_one_counts(town: Town, fault: str) -> None:
    town.phone("alice")
    town.box.mini.push.faults.append(PushFault(fault))
    town.wechat("popups", user="alice", templates=["T-record"])
    town.work()
    answers = attempts(town)
    assert [(kind, status) for kind, status, _ in answers] == [(fault, 403), ("genuine", 200)]
    assert (answers[0][2], kept(town)) == ("", 1)


@pytest.mark.parametrize("fault", ["duplicate", "parallel"])
def test_the_same_push_again_changes_nothing(town: Town, fault: str) -> None:
    alice = town.phone("alice")
    town.box.mini.push.faults.append(PushFault(fault))
    town.wechat("popups", user="alice", templates=["T-record"])
    assert town.work() == 1
    assert {status for _, status, _ in attempts(town)} == {200}
    assert (kept(town), alice.get("/messages/templates?moment=appeal")["items"][0]["allowed"]) == (1, 1)


def test_a_crash_between_work_and_its_word_does_nothing_twice(town: Town) -> None:
    from courier import push

    alice = town.phone("alice")
    town.wechat("popups", user="alice", templates=["T-record"])
    town.work()
    key = town.sql("select message_key from inbox where origin not like '%%:done' and origin like 'wechat:%%'")[0]
    with town.inside():
        push.work(town.box.identity.appid, key.message_key)
    assert alice.get("/messages/templates?moment=appeal")["items"][0]["allowed"] == 1


def test_unknown_events_are_kept_and_answered(town: Town) -> None:
    town.phone("alice")
    town.box.mini.push.event(town.box.user("alice").openid, "something_new", {"x": 1})
    assert town.work() == 1
    assert ([status for _, status, _ in attempts(town)], kept(town)) == ([200], 1)


def test_a_body_of_a_megabyte_is_refused(town: Town) -> None:
    url = f"{town.base}/wechat/push/{town.box.identity.appid}?signature=x&timestamp=1&nonce=2"
    assert requests.post(url, data=b"x" * 1_000_000, timeout=10).status_code == 403


def test_a_revoked_authorisation_deletes_that_data_alone(town: Town) -> None:
    erin = town.member("erin")
    erin.post("/me/phone", {"code": town.box.state.new_code("erin", "phone")})
    erin.profile(nickname="依琳")
    town.work()
    assert (erin.get("/me")["nickname"], erin.get("/me/phone")["number"][:3]) == ("依琳", "199")
    town.wechat("events", user="erin", kind="revoke", revoke_info="8")
    town.work()
    assert (erin.get("/me")["nickname"], erin.get("/me/phone")["number"]) == ("依琳", None)
    town.wechat("events", user="erin", kind="revoke", revoke_info="12")
    town.wechat("events", user="erin", kind="revoke", revoke_info="19")
    town.work()
    assert erin.get("/me")["nickname"] is None
    steps = next(one for one in erin.get("/me/consents")["items"] if one["purpose"] == "steps")
    assert steps["granted_at"] is None


def test_a_changed_profile_is_not_shown_any_longer(town: Town) -> None:
    erin = town.phone("erin")
    erin.profile(nickname="依琳", avatar_url="https://thirdwx.qlogo.cn/mmopen/a/132")
    town.work()
    town.wechat("events", user="erin", kind="modified")
    town.work()
    assert (erin.get("/me")["nickname"], erin.get("/me")["avatar_url"]) == (None, None)


def test_a_closed_account_starts_the_deletion(town: Town) -> None:
    erin = town.member("erin")
    town.wechat("popups", user="erin", templates=["T-record"])
    until(lambda: kept(town) == 1)
    town.wechat("events", user="erin", kind="cancel")
    until(lambda: kept(town) == 2)
    town.work()
    assert erin.refused("GET", "/me", 401) == "login_required"
    assert town.sql("select state from persons where id = %(id)s", id=erin.person_id)[0].state == "deleted"
    assert town.sql("select 1 from wechat_identities where openid = %(o)s", o=erin.openid) == []
    bodies = town.sql("select body from inbox where origin not like '%%:done'")
    assert (len(bodies), [row.body for row in bodies if erin.openid.encode() in bytes(row.body or b"")]) == (2, []), (
        "what was pushed before, and the word that ended it, name nobody any more"
    )


def test_trade_events_are_handed_on_without_the_person(town: Town) -> None:
    alice = town.phone("alice")
    fields = {"transaction_id": "42000", "merchant_trade_no": "T1", "pay_time": 1, "msg": "x"}
    town.box.mini.push.event(alice.openid, "trade_manage_remind_shipping", fields)
    town.work()
    told = town.sql("select payload from outbox where event = 'wechat.trade'")[0].payload
    assert told["kind"] == "trade_manage_remind_shipping"
    assert (told["transaction_id"], alice.openid in str(told)) == ("42000", False)


def test_raw_pushes_are_thinned(town: Town) -> None:
    from jobs.wechat import purge

    town.phone("alice")
    town.wechat("popups", user="alice", templates=["T-record"])
    until(lambda: kept(town) == 1)
    town.change("update inbox set received_at = received_at - interval '8 days'")
    with town.inside():
        assert purge() >= 1
    assert town.sql("select 1 from inbox where body is not null") == []
