"""``flask funding``: sponsors, budgets, deposits, what is covered, and who waits."""

from __future__ import annotations

import click
from flask.cli import AppGroup
from sqlalchemy import text

from app import approvals, funding, programs
from app.clock import now
from app.db import connection, transaction
from app.funding.actions import budget_by_code
from commands.approvals import DEPOSIT, GRANT, GRANT_UNIT
from commands.shared import (
    actor,
    actor_option,
    dry,
    dry_option,
    json_option,
    program_option,
    refused_with_words,
    show,
)

group = AppGroup("funding", help="Sponsors, budgets, deposits.")

_BUDGETS = text(
    """
    select b.code, s.code as sponsor, b.state, b.is_default as "default", b.price_fen as "fen per 1000",
           m.balance as "money fen",
           (select sum(a.balance) from budget_slices x join accounts a on a.id = x.account_id
            where x.budget_id = b.id) as "can issue",
           (select coalesce(sum(l.remaining), 0) from lots l where l.budget_id = b.id) as "in wallets",
           (select coalesce(sum(w.credits), 0) from awards w
            where w.budget_id = b.id and w.state = 'pending') as waiting
    from budgets b join sponsors s on s.id = b.sponsor_id join accounts m on m.id = b.money_account_id
    where b.program_id = :program order by b.code
    """
)


@group.command("list")
@program_option
@json_option
def list_budgets(code: str, as_json: bool) -> None:
    """The budgets of a program: money, what it can still issue, what stands in wallets, what waits."""
    with refused_with_words():
        program = programs.by_code(code)
        show(connection().execute(_BUDGETS, {"program": program.id}).mappings(), as_json=as_json, empty="no budgets")  # type: ignore[arg-type]


@group.command("sponsor")
@program_option
@click.argument("sponsor_code")
@click.option("--name", required=True)
@click.option("--name-en", default="")
@click.option("--logo-url", default="")
@actor_option
def add_sponsor(code: str, sponsor_code: str, name: str, name_en: str, logo_url: str, handle: str) -> None:
    """Add a sponsor, or find the one of this code."""
    with refused_with_words(), transaction():
        actor(handle)
        program = programs.by_code(code)
        found = funding.sponsor(
            program_id=program.id, code=sponsor_code, name=name, name_en=name_en or name, logo_url=logo_url
        )
        click.echo(f"sponsor {found.code}: {found.name}")


@group.command("budget")
@program_option
@click.argument("budget_code")
@click.option("--sponsor", "sponsor_code", required=True)
@click.option("--name", required=True)
@click.option(
    "--price-fen", type=click.IntRange(1, 10_000_000), help="fen per 1,000 credits; the terms' price if left out"
)
@click.option("--default", "is_default", is_flag=True, help="Pays every award that names no other budget.")
@actor_option
def add_budget(
    code: str, budget_code: str, sponsor_code: str, name: str, price_fen: int | None, is_default: bool, handle: str
) -> None:
    """Open an empty budget at a price, or find the one of this code."""
    at = now()
    with refused_with_words(), transaction():
        actor(handle)
        program = programs.by_code(code)
        payer = funding.sponsor(program_id=program.id, code=sponsor_code, name=sponsor_code, name_en=sponsor_code)
        budget = funding.open_budget(
            program_id=program.id,
            sponsor_id=payer.id,
            code=budget_code,
            name=name,
            price_fen=price_fen or programs.terms_in_force(program.id, at).price_fen,
            is_default=is_default,
            at=at,
        )
        click.echo(f"budget {budget.code}: {budget.price_fen} fen per 1000 credits")


@group.command("deposit")
@program_option
@click.argument("budget_code")
@click.argument("fen", type=click.IntRange(1, 10**13))
@click.option("--reference", required=True, help="the bank's own reference; the same again is a no-op")
@click.option("--reason", required=True)
@actor_option
def deposit(code: str, budget_code: str, fen: int, reference: str, reason: str, handle: str) -> None:
    """Ask to book a sponsor's money; a second operator approves."""
    with refused_with_words(), transaction():
        budget = budget_by_code(programs.by_code(code).id, budget_code)
        payload = {"budget_id": budget.id, "fen": fen, "reference": reference}
        asked = approvals.ask(
            action=DEPOSIT, payload=payload, reason=reason, maker=actor(handle), at=now(), program_id=budget.program_id
        )
        click.echo(f"approval {asked.id} waits for a second person: flask approvals approve {asked.id} --as …")


@group.command("grant")
@program_option
@click.argument("person_id", type=int)
@click.argument("credits", type=click.IntRange(1, 100_000))
@click.option("--reason", required=True, help="the person reads it")
@actor_option
def grant(code: str, person_id: int, credits: int, reason: str, handle: str) -> None:
    """Ask to grant credits by hand; a second operator approves, the person is told, the public page counts it."""
    with refused_with_words(), transaction():
        program = programs.by_code(code)
        payload = {"program_id": program.id, "person_id": person_id, "credits": credits}
        asked = approvals.ask(
            action=GRANT, payload=payload, reason=reason, maker=actor(handle), at=now(), program_id=program.id
        )
        click.echo(f"approval {asked.id} waits for a second person: flask approvals approve {asked.id} --as …")


@group.command("grant-unit")
@program_option
@click.argument("unit_code")
@click.argument("credits", type=click.IntRange(1, 100_000))
@click.option("--budget", "budget_code", required=True, help="whose budget pays: the employer's, the union's")
@click.option("--reason", required=True, help="everybody in it reads it")
@dry_option
@actor_option
def grant_unit(
    code: str, unit_code: str, credits: int, budget_code: str, reason: str, dry_run: bool, handle: str
) -> None:
    """Ask to grant credits to everybody in an org-unit and those below it (union benefits); another one approves."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        program = programs.by_code(code)
        budget = budget_by_code(program.id, budget_code)
        people = programs.members_of_unit(program.id, unit_code)
        whole = credits * len(people)
        click.echo(f"{len(people)} people, {whole} credits, {whole * budget.price_fen // 1000} fen")
        trial.done()
        payload = {"program_id": program.id, "unit": unit_code, "budget_id": budget.id, "credits": credits}
        asked = approvals.ask(
            action=GRANT_UNIT, payload=payload, reason=reason, maker=actor(handle), at=now(), program_id=program.id
        )
        click.echo(f"approval {asked.id} waits for a second person: flask approvals approve {asked.id} --as …")


@group.command("pay-pending")
@program_option
@click.argument("budget_code")
def pay_pending(code: str, budget_code: str) -> None:
    """Pay those who wait for a budget, in their order, now instead of by the worker."""
    total = 0
    with refused_with_words():
        budget_id = budget_by_code(programs.by_code(code).id, budget_code).id
        connection().rollback()
        while True:
            with transaction():
                paid = len(funding.pay_pending(budget_id=budget_id, at=now()))
            total += paid
            if not paid:
                break
    click.echo(f"{total} awards paid")
