"""Notices of the local WeChat: the table of repeats, what counts as heard, and each forgery."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.wechat.sandboxes import Ear, client_of, keys, order, refund
from wechat.pay import PayClient, Refund, Transaction
from wechat.sandbox.box import Sandbox, Violated
from wechat.sandbox.pay.forging import ACCEPTABLE, FORGERIES, WRONG_CONTENT
from wechat.sandbox.pay.notices import INTERVALS, NoticeFault


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(keys()[0]) as running:
        yield running


@pytest.fixture
def client(box: Sandbox) -> PayClient:
    return client_of(box)


@pytest.fixture
def ear() -> Iterator[Ear]:
    with Ear() as listening:
        yield listening


def paid(box: Sandbox, client: PayClient, ear: Ear, number: str = "ORDER0001") -> None:
    order(box, client, number, notify_url=ear.url)
    box.pay(number)
    assert box.agenda.quiet()


def test_a_payment_and_its_refund_are_announced(box: Sandbox, client: PayClient, ear: Ear) -> None:
    paid(box, client, ear)
    refund(client, notify_url=ear.url)
    box.clock.advance(6)
    assert box.agenda.quiet()
    first, second = (notice.resource for notice in ear.heard)
    assert isinstance(first, Transaction) and isinstance(second, Refund)
    assert (first.trade_state, first.total_fen, first.out_trade_no) == ("SUCCESS", 100, "ORDER0001")
    assert (second.status, second.refund_fen, second.out_refund_no) == ("SUCCESS", 40, "R1")
    assert [notice.state for notice in box.notices.sent] == ["delivered", "delivered"]
    for status in ("ABNORMAL", "CLOSED"):
        box.switches.refund_end = ""
        refund(client, status, 1, notify_url=ear.url)
        box.end_refund(status, status)
    assert box.agenda.quiet()
    assert [notice.event_type for notice in ear.heard[2:]] == ["REFUND.ABNORMAL", "REFUND.CLOSED"]


def test_fifteen_repeats_by_the_table_then_silence(box: Sandbox, client: PayClient, ear: Ear) -> None:
    """S5: the same event each time, with a fresh signature; the last is 24 h and 4 min after the first."""
    ear.status = 500
    paid(box, client, ear)
    box.clock.advance(25 * 3600)
    assert box.agenda.quiet()
    notice = box.notices.sent[0]
    dues = [attempt.due for attempt in notice.attempts]
    assert [round(later - sooner) for sooner, later in pairwise(dues)] == list(INTERVALS)
    assert round(dues[-1] - dues[0]) == 24 * 3600 + 4 * 60
    assert notice.state == "given up"
    assert {one.id for one in ear.heard} == {notice.id} and len(ear.heard) == 16
    box.clock.advance(10 * 86400)
    assert box.agenda.quiet()
    assert len(notice.attempts) == 16


def test_on_a_fast_clock_the_proportions_stay(box: Sandbox, client: PayClient, ear: Ear) -> None:
    box.clock.pace(200)
    ear.status = 404
    paid(box, client, ear)
    deadline = time.monotonic() + 5
    while len(ear.times) < 4 and time.monotonic() < deadline:
        time.sleep(0.005)
    gaps = [later - sooner for sooner, later in pairwise(ear.times)][:3]
    assert gaps[0] == pytest.approx(15 / 200, abs=0.05)
    assert gaps[2] == pytest.approx(30 / 200, abs=0.05)


@pytest.mark.parametrize("status", [200, 204])
def test_what_counts_as_heard(box: Sandbox, client: PayClient, ear: Ear, status: int) -> None:
    ear.status = status
    paid(box, client, ear)
    assert box.notices.sent[0].state == "delivered"


@pytest.mark.parametrize("status", [201, 302, 400, 503])
def test_what_does_not_count_as_heard(box: Sandbox, client: PayClient, ear: Ear, status: int) -> None:
    ear.status = status
    paid(box, client, ear)
    assert box.notices.sent[0].state == "repeating"
    ear.status = 204
    assert box.agenda.step() is not None
    assert box.notices.sent[0].state == "delivered"
    assert len(ear.heard) == 2


def test_no_answer_in_time_is_a_failure(
    box: Sandbox, client: PayClient, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wechat.sandbox.pay.notices.WAIT_SECONDS", 0.1)
    ear.slow = 0.4
    paid(box, client, ear)
    assert (box.notices.sent[0].state, box.notices.sent[0].attempts[0].status) == ("repeating", 0)


@pytest.mark.parametrize("kind", FORGERIES)
def test_each_forgery_is_one_thing_wrong_and_the_right_one_follows(
    box: Sandbox, client: PayClient, ear: Ear, kind: str
) -> None:
    box.notices.plant(NoticeFault(kind))
    paid(box, client, ear)
    attempts = box.notices.sent[0].attempts
    assert [attempt.kind for attempt in attempts] == [kind, "genuine"]
    assert box.notices.sent[0].state == "delivered"
    if kind in WRONG_CONTENT:
        # Well signed: only who compares with the order finds it, and this ear doesn't.
        assert len(ear.heard) == 2 and ear.heard[0].resource != ear.heard[1].resource
        assert len(box.journal.violations) == 1
    elif kind in ACCEPTABLE:
        assert len(ear.heard) == 2 and box.journal.violations == []
    elif kind != "huge":
        assert len(ear.refused) == 1 and len(ear.heard) == 1
        assert box.journal.violations == []


def test_who_answers_a_forgery_with_success_is_caught(box: Sandbox, client: PayClient, ear: Ear) -> None:
    """S13."""
    ear.refuse_bad = False
    box.notices.probe_rate = 1.0
    paid(box, client, ear)
    assert [one["violation"] for one in box.journal.violations] == ["a probe notice was answered with 200"]
    headers, _ = next(entry["raw"] for entry in box.journal if entry["rule"] == "probe")
    assert headers["Wechatpay-Signature"].startswith("WECHATPAY/SIGNTEST/")
    assert box.notices.sent[0].state == "delivered"


def test_a_strict_one_fails_the_test_run() -> None:
    """S13, without anybody asking for it."""
    with pytest.raises(Violated, match="a probe notice"), Ear(refuse_bad=False) as ear:  # noqa: SIM117
        with Sandbox(keys()[0], strict=True) as box:
            box.notices.probe_rate = 1.0
            paid(box, client_of(box), ear)


def test_drop_delay_silence_and_copies(box: Sandbox, client: PayClient, ear: Ear) -> None:
    box.notices.plant(NoticeFault("drop", "ORDER0001"))
    paid(box, client, ear)
    assert ear.heard == []
    box.agenda.step()
    assert len(ear.heard) == 1
    box.notices.plant(NoticeFault("delay", "ORDER0002", seconds=60))
    paid(box, client, ear, "ORDER0002")
    assert len(ear.heard) == 1
    box.clock.advance(61)
    assert box.agenda.quiet() and len(ear.heard) == 2
    box.notices.plant(NoticeFault("silence", "ORDER0003"))
    paid(box, client, ear, "ORDER0003")
    assert (box.agenda.next_due(), len(ear.heard)) == (None, 2)
    box.notices.plant(NoticeFault("duplicate", "ORDER0004", count=3))
    paid(box, client, ear, "ORDER0004")
    assert len(ear.heard) == 5
    box.notices.plant(NoticeFault("parallel", "ORDER0005", count=4))
    paid(box, client, ear, "ORDER0005")
    assert len(ear.heard) == 9
    box.notices.plant(NoticeFault("lost_answer", "ORDER0006"))
    paid(box, client, ear, "ORDER0006")
    box.agenda.step()
    assert ear.heard[-1].id == ear.heard[-2].id and len(ear.heard) == 11


def test_repeats_may_have_a_new_id(box: Sandbox, client: PayClient, ear: Ear) -> None:
    box.notices.plant(NoticeFault("new_id", times=2))
    ear.status = 500
    paid(box, client, ear)
    box.agenda.step()
    assert ear.heard[0].id != ear.heard[1].id
    assert ear.heard[0].resource == ear.heard[1].resource


def test_the_refund_may_be_told_before_the_payment(box: Sandbox, client: PayClient, ear: Ear) -> None:
    box.notices.plant(NoticeFault("reorder"))
    paid(box, client, ear)
    assert ear.heard == []
    refund(client, notify_url=ear.url)
    box.clock.advance(6)
    deadline = time.monotonic() + 5
    while len(ear.heard) < 2 and time.monotonic() < deadline:
        box.agenda.quiet()
    assert [notice.event_type for notice in ear.heard] == ["REFUND.SUCCESS", "TRANSACTION.SUCCESS"]


def test_held_notices_go_when_they_are_let(box: Sandbox, client: PayClient, ear: Ear) -> None:
    box.notices.plant(NoticeFault("hold"))
    paid(box, client, ear)
    assert ear.heard == []
    assert box.notices.release("ORDER0001") == 1
    assert box.agenda.quiet() and len(ear.heard) == 1


def test_nothing_is_sent_outside_this_machine(box: Sandbox, client: PayClient) -> None:
    order(box, client, notify_url="https://example.com/notices")
    box.pay("ORDER0001")
    assert box.agenda.quiet()
    assert box.notices.sent[0].attempts[0].status == 0


def test_unknown_kinds_are_not_planted(box: Sandbox) -> None:
    with pytest.raises(ValueError, match="kind must be"):
        box.notices.plant(NoticeFault("magic"))
