"""``flask merchants …``: what we owe, and who works where. Exit 0 done, 1 refused, 2 wrong usage."""

from __future__ import annotations

import json

import click
from flask import Flask
from flask.cli import AppGroup
from sqlalchemy import select

from app import merchants, programs
from app.clock import now
from app.db import session, transaction
from app.errors import Refusal
from app.merchants.models import Merchant

group = AppGroup("merchants", help="Merchants: what we owe them, who works in their shops.")


def register(app: Flask) -> None:
    app.cli.add_command(group)


@group.command("owed")
@click.argument("code", required=False)
@click.option("--program", "program_code", required=True)
@click.option("--json", "as_json", is_flag=True)
def owed(code: str | None, program_code: str, as_json: bool) -> None:
    """What we owe a merchant of a program, or all of them, from the ledger."""
    found = [one for one in _merchants(program_code) if code in (None, one.code)]
    if code and not found:
        raise click.ClickException(f"no merchant {code!r} in {program_code}")
    rows = [{"code": one.code, "name": one.name, "owed_fen": merchants.owed_fen(one)} for one in found]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    for row in rows:
        fen = int(str(row["owed_fen"]))
        click.echo(f"{row['code']:20} {fen // 100:>10,}.{fen % 100:02} yuan  {row['name']}")


@group.command("employ")
@click.argument("code")
@click.option("--program", "program_code", required=True)
@click.option("--person", "person_id", type=int, required=True, help="id of the person, as GET /me shows it")
@click.option("--role", type=click.Choice(["clerk", "owner"]), default="clerk")
def employ(code: str, program_code: str, person_id: int, role: str) -> None:
    """Let a person scan in all shops of a merchant; owners also see what we owe. Another role replaces the first."""
    at = now()
    with transaction():
        found = [one for one in _merchants(program_code) if one.code == code]
        if not found:
            raise click.ClickException(f"no merchant {code!r} in {program_code}")
        for shop in merchants.shops(found[0].id):
            staff = merchants.employ(shop_id=shop.id, person_id=person_id, role=role, at=at)
            if staff.role != role:
                merchants.dismiss(shop_id=shop.id, person_id=person_id, at=at)
                merchants.employ(shop_id=shop.id, person_id=person_id, role=role, at=at)
            click.echo(f"{shop.name}: person {person_id} is {role}")


def _merchants(program_code: str) -> list[Merchant]:
    try:
        program_id = programs.by_code(program_code).id
    except Refusal as refusal:
        raise click.ClickException(f"{refusal.code}: {refusal.message('en')}") from None
    query = select(Merchant).where(Merchant.program_id == program_id).order_by(Merchant.code)
    return list(session().scalars(query))
