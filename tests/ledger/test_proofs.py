"""Every proof is seen to fail: one violation planted for each, in a transaction that is rolled back.

A plant says which walls must fall first. With the walls standing, PostgreSQL refuses the very same statement.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine

from app.db import db
from jobs.proofs import proofs, prove
from tests.ledger.books import Books, busy

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Plant:
    """``id`` must answer rows after ``sql``, once ``walls`` are down. No walls: only the application forbids it."""

    id: str
    sql: str
    walls: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.id


def constraint(table: str, name: str) -> str:
    return f"alter table {table} drop constraint {name}"


def trigger(table: str, name: str) -> str:
    return f"drop trigger {name} on {table}"


FROZEN_ENTRIES = trigger("entries", "entries_append_only")
FROZEN_TRANSFERS = trigger("transfers", "transfers_append_only")
BALANCED = trigger("entries", "entries_balance")
PAID = "(select min(id) from awards where state = 'paid' and reason = 'record')"

PLANTS = (
    Plant("TEA-1", "update teams set captain_id = (select min(person_id) from team_members) - 1"),
    Plant("COM-1", "update posts set state = 'shown' where state = 'checking'"),
    Plant(
        "APL-1",
        "insert into audit (program_id, actor, action, object_type, object_id, at)"
        " select program_id, answered_by, 'record.reverse', 'record', object_id::text, asked_at from appeals"
        " where state = 'granted'",
    ),
    Plant(
        "APL-2",
        "update records set supersedes_id = null where supersedes_id in (select record_id from appeals);"
        " delete from claims where record_id in (select record_id from appeals)",
    ),
    Plant("PHO-1", "update records set state = 'counted' where tier = 'D' and state = 'held'"),
    Plant(
        "LED-1",
        "insert into transfers (program_id, reason, source_ref, legs_hash, memo, posted_at)"
        " select id, 'x', 'x', '', '{}', now() from programs limit 1;"
        " insert into entries (transfer_id, leg, program_id, account_id, amount)"
        " select t.id, 1, t.program_id, a.id, 5 from transfers t join accounts a on a.program_id = t.program_id"
        " where t.reason = 'x' and a.kind = 'mint'",
        (BALANCED,),
    ),
    Plant(
        "LED-2",
        "update entries set amount = amount + 1 where account_id = (select min(id) from accounts where kind = 'mint')",
        (FROZEN_ENTRIES,),
    ),
    Plant("LED-3", "update accounts set balance = balance + 1 where kind = 'wallet'"),
    Plant(
        "LED-4",
        "update entries set account_seq = account_seq + 100 where account_seq = 2",
        (FROZEN_ENTRIES,),
    ),
    Plant(
        "LED-5",
        "update accounts set balance = -1 where id = (select min(id) from accounts where kind = 'wallet')",
        (constraint("accounts", "ck_accounts_never_negative"),),
    ),
    Plant("LED-6", trigger("lot_uses", "lot_uses_no_truncate")),
    Plant("LED-7", "alter table lots alter column amount type double precision"),
    Plant(
        "LED-8",
        "update entries set program_id = (select max(id) from programs)"
        " where transfer_id = (select min(id) from transfers)",
        (
            FROZEN_ENTRIES,
            constraint("entries", "fk_entries_program_id_transfer_id"),
            constraint("entries", "fk_entries_program_id_account_id"),
        ),
    ),
    Plant(
        "LED-9",
        "update entries set amount = amount * 2"
        " where transfer_id = (select min(id) from transfers where reverses is not null)",
        (FROZEN_ENTRIES,),
    ),
    Plant(
        "LED-10",
        "update lots set remaining = amount + 1 where id = (select min(id) from lots)",
        (constraint("lots", "ck_lots_remaining"),),
    ),
    Plant(
        "IDM-1",
        "insert into transfers (program_id, reason, source_ref, legs_hash, memo, posted_at)"
        " select program_id, reason, source_ref, legs_hash, memo, posted_at from transfers order by id limit 1",
        (constraint("transfers", "uq_transfers_reason_source_ref"),),
    ),
    Plant("BUD-1", "update accounts set balance = 0 where kind = 'budget_money'"),
    Plant("BUD-2", "update deposits set credits = credits + 1"),
    Plant("BUD-3", "update codes set state = 'void' where state = 'issued'"),
    Plant(
        "BUD-4",
        "update budget_slices set account_id = (select min(id) from accounts where kind = 'mint')"
        " where slice_no = 0 and budget_id = (select min(id) from budgets)",
    ),
    Plant(
        "AWD-1",
        f"update awards set credits = credits + 1 where id = {PAID}",
        (constraint("awards", "ck_awards_adds_up"),),
    ),
    Plant("AWD-2", f"update awards set state = 'reversed' where id = {PAID}"),
    Plant(
        "AWD-3",
        "update awards set state = 'pending' where id = (select min(id) from awards where state = 'paid')",
    ),
    Plant("WAL-1", "update wallets set debt_credits = debt_credits + 1"),
    Plant("WAL-2", "update wallets set carry_micro = 1000000", (constraint("wallets", "ck_wallets_carry"),)),
    Plant("WAL-3", "update accounts set balance = balance + 1 where kind = 'hold'"),
    Plant(
        "MET-6",
        "update cap_uses set used_micro = cap_micro + 1",
        (constraint("cap_uses", "ck_cap_uses_within"),),
    ),
    Plant("STK-1", "update items set available = available + 1", (constraint("items", "ck_items_stock_adds_up"),)),
    Plant("STK-2", "update items set sold = sold + 1, available = available - 1"),
    Plant(
        "STK-3",
        "update item_purchases set most = 1, pieces = 2",
        (constraint("item_purchases", "ck_item_purchases_within_limit"),),
    ),
    Plant("STK-4", "insert into procrastinate_workers default values"),
    Plant("STK-5", "update orders set credits = credits + 1"),
    Plant("STK-6", "update orders set quantity = quantity + 1 where refunded_pieces = 0"),
    Plant("STK-7", "delete from stock_movements", (trigger("stock_movements", "stock_movements_append_only"),)),
    Plant("STK-8", "update pool_codes set order_id = null, handed_at = null"),
    Plant("STK-9", "update service_slots set taken = taken + 1"),
    Plant("STK-10", "update parcels set state = 'received' where state = 'shipped'"),
    Plant(
        "COD-1",
        "insert into redemptions (program_id, code_id, shop_id, merchant_id, staff_person_id, scan_id, owed_fen,"
        " transfer_id, redeemed_at) select program_id, code_id, shop_id, merchant_id, staff_person_id, 'other',"
        " owed_fen, transfer_id, redeemed_at from redemptions where undone_at is null and staff_person_id is not null",
        ("drop index uq_redemptions_live",),
    ),
    Plant("COD-2", "update orders set state = 'refunded', refunded_pieces = quantity where cash_fen = 0"),
    Plant("COD-3", "update codes set person_id = (select min(staff_person_id) from redemptions)"),
    Plant(
        "COD-4",
        "update codes set code_hash = (select min(code_hash) from codes)",
        (constraint("codes", "uq_codes_code_hash"),),
    ),
    Plant(
        "COD-5",
        "update code_fundings set draw_fen = credits * price_fen",
        (constraint("code_fundings", "ck_code_fundings_covered"),),
    ),
    Plant("COD-6", "update redemptions set owed_fen = owed_fen + 1"),
    Plant(
        "COD-7",
        "insert into transfers (program_id, reason, source_ref, legs_hash, memo, posted_at)"
        " select program_id, 'code.return', 'code:' || id, '', '{}', now() from codes where state = 'redeemed'",
    ),
    Plant("OWE-1", "update redemptions set owed_fen = owed_fen + 1 where undone_at is null"),
    Plant("OWE-2", "update redemptions set undo_transfer_id = null where undone_at is not null"),
    Plant("WEL-1", "update gifts set fen = fen + 1"),
    Plant("WEL-2", "update welfare_payouts set fen = fen + 1"),
    Plant("WEL-3", "update welfare_matches set used_fen = used_fen - 1"),
    Plant("WEL-4", "update approvals set state = 'approved' where action = 'welfare.reach'"),
    Plant("WEL-5", "update records set tier = 'E' where id in (select record_id from retired_grams)"),
    Plant(
        "SET-1",
        "insert into statement_lines select 999, 1, kind, redemption_id, code_id, order_id, shop_id, title, quantity,"
        " owed_fen, cash_fen, amount_fen, happened_at, transfer_id from statement_lines where kind = 'redeem'"
        " order by statement_id, line_no limit 1",
        (
            "drop index uq_statement_lines_paid_once",
            constraint("statement_lines", "fk_statement_lines_statement_id"),
        ),
    ),
    Plant(
        "SET-2",
        "update statements set redeemed_fen = redeemed_fen + 1, total_fen = total_fen + 1 where state = 'paid'",
    ),
    Plant(
        "SET-3",
        "update statement_lines set owed_fen = owed_fen + 1, amount_fen = amount_fen + 1 where kind = 'redeem'",
        (trigger("statement_lines", "statement_lines_unchanged"),),
    ),
    Plant("SET-4", "update accounts set balance = balance + 1 where kind = 'payable'"),
    Plant("SET-5", "update payouts set fen = fen + 1"),
    Plant("SET-6", "update statements set content_hash = '\\x00' where state = 'paid'"),
    Plant(
        "SET-7",
        "delete from statement_lines where kind = 'correct'",
        (trigger("statement_lines", "statement_lines_gone"),),
    ),
    Plant(
        "SET-8",
        "update programs set no_awards_from = '2020-01-01', redeem_until = '2020-02-01'",
    ),
    Plant("PAY-1", "update orders set cash_fen = cash_fen + 1 where cash_fen > 0"),
    Plant(
        "PAY-2",
        "update payments set refunded_fen = total_fen + 1 where state = 'paid'",
        (constraint("payments", "ck_payments_refunds_within"),),
    ),
    Plant(
        "PAY-3",
        "insert into payment_notices (mchid, notice_id, event_type, content_hash, state, received_at)"
        " select mchid, notice_id, event_type, content_hash, state, received_at from payment_notices",
        (constraint("payment_notices", "uq_payment_notices_mchid_notice_id"),),
    ),
    Plant(
        "PAY-4",
        "update payment_steps set from_state = 'late' where to_state = 'paid'",
        (trigger("payment_steps", "payment_steps_append_only"),),
    ),
    Plant(
        "PAY-5",
        "insert into bill_days (mchid, day, kind, state, lines, income_fen, expense_fen, fee_millifen, differences,"
        " compared_at) select distinct p.mchid, d::date, 'trade', 'compared', 0, 0, 0, 0, 0, now() from payments p,"
        " generate_series('2026-11-18'::timestamp, '2026-11-22', '1 day') d",
    ),
    Plant("PAY-6", "update payments set refunded_fen = 0 where state = 'late'"),
    Plant("PAY-7", "update refunds set fen = fen + 1 where state = 'success'"),
    Plant("MET-1", "update records set state = 'held', reason_code = 'x' where state = 'counted'"),
    Plant(
        "MET-2",
        "insert into claims (record_id, person_id, kind, subject_key, during, tier)"
        " select record_id, person_id, kind, subject_key, during, tier from claims where live",
        (constraint("claims", "ex_claims_one_act_one_claim"),),
    ),
    Plant(
        "MET-3",
        "insert into vehicles (vin_hash, hint, fuel) values ('x', 'x', 'bev');"
        " insert into vehicle_bindings (vehicle_id, person_id, bound_at) select v.id, p.id, now() from vehicles v,"
        " (select id from persons order by id limit 2) p",
        (constraint("vehicle_bindings", "ex_vehicle_bindings_one_holder"),),
    ),
    Plant(
        "MET-4",
        "update reductions set raw_mg = raw_mg + 1, counted_mg = counted_mg + 1 where raw_mg > 0",
    ),
    Plant(
        "MET-5",
        "update reductions set version_id = (select max(id) from methodology_versions where id not in"
        " (select version_id from reductions))",
    ),
    Plant(
        "MET-7",
        "update reductions set counted_mg = 5, raw_mg = 4 where credits_micro = 0",
        (constraint("reductions", "ck_reductions_counted"),),
    ),
    Plant("MET-8", "update consents set withdrawn_at = granted_at - interval '1 day' where program_id is null"),
    Plant("RED-1", "update reductions set reversed_at = now() where reversed_at is null"),
    Plant("MIR-1", "update records set state = 'counted' where state = 'mirrored'"),
    Plant(
        "BRD-2",
        "update final_ranks set score = score + 1 where rank = 1",
        (trigger("final_ranks", "final_ranks_append_only"),),
    ),
    Plant("BRD-5", "update scores set mg = mg + 1 where period_kind = 'all'"),
    Plant(
        "OUT-2",
        "insert into procrastinate_workers default values;"
        " insert into outbox (event, payload, created_at) values ('x', '{}', now() - interval '2 minutes')",
    ),
    Plant(
        "OUT-3",
        "insert into inbox_deliveries (consumer, event_id) select consumer, event_id from inbox_deliveries",
        (constraint("inbox_deliveries", "pk_inbox_deliveries"),),
    ),
    Plant(
        "TIM-1",
        "update records set local_date = local_date + 1",
        ("alter table records alter column local_date drop expression",),
    ),
    Plant("TIM-3", "alter table lots alter column expires_at type timestamp"),
    Plant(
        "AUD-1",
        "update approvals set checker = maker",
        (constraint("approvals", "ck_approvals_four_eyes"),),
    ),
    Plant(
        "TIM-2",
        "update check_ins set day = day - 9 where kind = 'daily'",
        (constraint("check_ins", "ck_check_ins_day"),),
    ),
    Plant("CHK-1", "update check_in_streaks set total = total + 1"),
    Plant("CHK-2", "update check_in_streaks set cards = cards + 1"),
    Plant(
        "CHK-3",
        "insert into check_in_milestones (program_id, person_id, name, days, day, credits, award_id, reached_at)"
        " select program_id, person_id, 'x', 7, '2026-11-20', 5000, id, now() from awards order by id limit 1",
    ),
    Plant("GTH-1", "update gatherings set signed = signed - 1 where signed > 0"),
    Plant("GTH-2", "update gathering_attendances set person_id = (select min(id) from persons)"),
    Plant("QUZ-1", "update quiz_attempts set right_count = 0, passed = false where right_count = 1"),
    Plant("CHL-1", "update challenges set reserved = 0"),
    Plant(
        "CHL-2",
        "update challenge_results set place = 1 where rank = 1",
        (trigger("challenge_results", "challenge_results_append_only"),),
    ),
    Plant("CHL-3", "update challenges set enrolled = enrolled + 1"),
    Plant("CHL-4", "update challenges set kind = 'team'"),
    Plant(
        "CHL-5",
        "update challenge_results set value = value + 1",
        (trigger("challenge_results", "challenge_results_append_only"),),
    ),
    Plant("CHL-6", "update budget_reserves set credits = credits + 1"),
    Plant("LEV-1", "update memberships set level = 3 where person_id = (select min(person_id) from person_levels)"),
    Plant("LEV-2", "update person_levels set level = level + 1"),
    Plant(
        "GRV-1",
        "insert into trees (program_id, person_id, number, shape, name, name_en, season, needs_mg, planted_at, full_at,"
        " certificate_no, gift_id) select program_id, person_id, 1, 'x', 'x', 'x', '2026-Q4', 1, now(), now(), 'T1', id"
        " from gifts limit 1",
    ),
    Plant("DUR-1", "set local synchronous_commit = off"),
    Plant("GEN-1", "alter table entries disable trigger entries_balance"),
)


@pytest.fixture(scope="module")
def books(app: Any, slot: Any) -> Iterator[Books]:
    """A day's books, committed once for this file; the database is cloned anew afterwards."""
    with app.app_context():
        yield busy()
        db.session.remove()
        db.engine.dispose()
    slot.clone()


@pytest.fixture
def link(books: Books, slot: Any) -> Iterator[Any]:
    """A connection whose transaction is rolled back."""
    engine = create_engine(slot.database_url)
    with engine.connect() as found:
        yield found
        found.rollback()
    engine.dispose()


def one(identity: str) -> Any:
    return next(proof for proof in proofs() if proof.id == identity)


def test_all_hold_after_a_busy_day_and_the_command_says_so(app: Any, books: Books) -> None:
    findings = list(prove(proofs()))
    assert {finding.proof.id: finding.first for finding in findings if not finding.held} == {}
    told = app.test_cli_runner().invoke(args=["prove", "--json"])
    assert told.exit_code == 0
    assert [one["id"] for one in json.loads(told.output)] == [finding.proof.id for finding in findings]
    light = app.test_cli_runner().invoke(args=["prove", "--light"])
    assert light.exit_code == 0
    assert f"{len(proofs(light=True))} proofs" in light.output
    verified = app.test_cli_runner().invoke(args=["ledger", "verify"])
    assert verified.exit_code == 0
    assert "LED-1" in verified.output
    assert "STK" not in verified.output


def test_each_proof_has_a_plant_and_each_is_told_once() -> None:
    assert sorted(plant.id for plant in PLANTS) == sorted(proof.id for proof in proofs())


@pytest.mark.parametrize("plant", PLANTS, ids=str)
def test_a_planted_violation_is_found(link: Any, plant: Plant) -> None:
    proof = one(plant.id)
    assert list(proof.find(link)) == []
    for wall in plant.walls:
        link.exec_driver_sql(wall)
    link.exec_driver_sql(plant.sql)
    assert proof.find(link)


@pytest.mark.parametrize("plant", [plant for plant in PLANTS if plant.walls], ids=str)
def test_the_database_refuses_it_while_the_wall_stands(link: Any, plant: Plant) -> None:
    with pytest.raises(Exception) as refused:
        link.exec_driver_sql(plant.sql)
        link.exec_driver_sql("set constraints all immediate")
    assert isinstance(getattr(refused.value, "orig", None), psycopg.Error)


def test_a_broken_proof_ends_with_one(app: Any, books: Books, slot: Any) -> None:
    with psycopg.connect(slot.database_url.replace("+psycopg", ""), autocommit=True) as admin:
        admin.execute("update items set sold = sold + 1, available = available - 1")
        try:
            told = app.test_cli_runner().invoke(args=["prove", "STK"])
        finally:
            admin.execute("update items set sold = sold - 1, available = available + 1")
    assert told.exit_code == 1
    assert "BROKEN STK-2" in told.output
    assert app.test_cli_runner().invoke(args=["prove", "NONE"]).exit_code == 2
