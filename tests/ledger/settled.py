"""What follows a busy day: a month is settled and paid, a redemption taken back, a project paid out, grams given."""

from __future__ import annotations

import io
from datetime import timedelta

from PIL import Image

from app import approvals, audit, merchants, programs, settlement, welfare
from app.db import run, session, transaction
from tests.world import AT, World

DAY = timedelta(days=1)
ENDS = AT.replace(month=12, day=1)


def settle(here: World) -> None:
    """November is drawn, approved and paid; then its redemption is taken back, and December has the line."""
    with transaction():
        november = _drawn(here, "2026-11", ENDS + 3 * DAY)
        settlement.accept(statement_id=november.id, person_id=here.people[-1], at=ENDS + 4 * DAY)
        _approve(november, ENDS + 4 * DAY)
        merchant = session().get_one(merchants.Merchant, here.merchant_id)
        account = settlement.ask_account(merchant=merchant, holder="王", bank="工行", number="62220000111122",
                                         asked_by="person:1", reason="x", at=ENDS)  # fmt: skip
        settlement.take_account(account_id=account.id, at=ENDS)
        _, lines, _ = settlement.make_batch(
            program_id=here.program_id, batch_no="B", actor="operator:lin", at=ENDS + 5 * DAY
        )
        for line in lines:
            settlement.pay(payout_id=line.id, bank_reference="bank-1", paid_on=ENDS.date(), actor="operator:lin",
                           evidence_hash=audit.digest("receipt"), at=ENDS + 5 * DAY)  # fmt: skip
    with transaction():
        (row,) = run("select redemption_id from statement_lines where kind = 'redeem' order by line_no limit 1", {})
        asked = _two({"redemption": row.redemption_id}, settlement.CORRECT)
        settlement.correct(redemption_id=row.redemption_id, reason="x", approval_id=asked, at=ENDS + 6 * DAY)
        december = _drawn(here, "2026-12", ENDS + 34 * DAY)
        settlement.accept(statement_id=december.id, person_id=here.people[-1], at=ENDS + 35 * DAY)
        _approve(december, ENDS + 35 * DAY)


def _drawn(here: World, period: str, at: object) -> settlement.Statement:
    program = programs.by_code(here.code)
    done = settlement.draw(program=program, merchant_id=here.merchant_id, period=settlement.period_of(program, period),
                           actor="operator:lin", at=at)  # type: ignore[arg-type]  # fmt: skip
    assert done is not None
    settlement.issue(statement_id=done.statement.id, actor="operator:lin", at=at)  # type: ignore[arg-type]
    return done.statement


def _approve(statement: settlement.Statement, at: object) -> None:
    content = bytes(statement.content_hash).hex()
    asked = _two({"statement_id": statement.id, "hash": content}, settlement.APPROVE)
    settlement.approve(statement_id=statement.id, content=content, approval_id=asked, checker="operator:wu", at=at)  # type: ignore[arg-type]


def _two(payload: dict[str, object], action: str) -> int:
    asked = approvals.ask(action=action, payload=payload, reason="proof", maker="operator:lin", at=AT)
    approvals.approve(approval_id=asked.id, checker="operator:wu", at=AT)
    approvals.execute(approval_id=asked.id, action=action, payload=payload, at=AT)
    return asked.id


def give(here: World) -> None:
    """A matched gift, a milestone with a photo, money paid out, another milestone fails; grams for an event."""
    photo = io.BytesIO()
    Image.new("RGB", (20, 20), "green").save(photo, "PNG")
    with transaction():
        welfare.reserve_match(project_id=here.project_id, sponsor_code="bank", rate_bps=5_000, fen=100,
                              bank_reference="M", actor="operator:wu", at=AT,
                              approval_id=_two({"m": 1}, welfare.MATCH))  # fmt: skip
        welfare.give(person_id=here.people[3], program_id=here.program_id, project_id=here.project_id, credits=40,
                     client_ref="matched", at=AT)  # fmt: skip
        made = [
            welfare.plan(
                project_id=here.project_id, position=n, title="x", title_en="x", planned_fen=30, due_on=None
            ).id
            for n in (1, 2)
        ]
        welfare.add_evidence(
            milestone_id=made[0], sent=photo.getvalue(), site="x", taken_on=AT.date(), actor="a", at=AT
        )
        welfare.reach(milestone_id=made[0], reached_on=AT.date(), site="x", payee="y", actor="operator:wu", at=AT,
                      approval_id=_two({"r": 1}, welfare.REACH))  # fmt: skip
        welfare.pay_out(milestone_id=made[0], fen=20, bank_reference="P", paid_on=AT.date(), actor="operator:wu", at=AT,
                        evidence_hash=audit.digest("x"), approval_id=_two({"p": 1}, welfare.PAY))  # fmt: skip
        welfare.fail_milestone(milestone_id=made[1], reason="x", actor="operator:wu", at=AT,
                               approval_id=_two({"f": 1}, welfare.FAIL_MILESTONE))  # fmt: skip
    with transaction():
        while welfare.return_due(at=AT):
            pass
    with transaction():
        event = welfare.open_event(program_id=here.program_id, code="run", name="跑", name_en="Run", held_on=AT.date(),
                                   footprint_mg=10**9)  # fmt: skip
        welfare.give_grams(person_id=here.people[0], event_id=event.id, mg=1_000, client_ref="g", at=AT)
