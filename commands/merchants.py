"""``flask merchants``: merchants, shops, who may scan, and what we owe."""

from __future__ import annotations

import click
from flask.cli import AppGroup
from sqlalchemy import select, text

from app import merchants, programs
from app.clock import now
from app.db import connection, session, transaction
from app.errors import NOT_FOUND
from app.merchants.models import Merchant, Shop
from commands.shared import actor, actor_option, json_option, program_option, refused_with_words, show

group = AppGroup("merchants", help="Merchants, shops, clerks, what is owed.")

_OWED = text(
    """
    select m.code, m.name, m.state, a.balance as owed_fen,
           coalesce((select w.balance from accounts w where w.program_id = m.program_id and w.asset = 'fen'
                       and w.kind = 'payout' and w.owner_key = m.code), 0) as approved_fen,
           (select coalesce(sum(s.total_fen), 0) from statements s
            where s.merchant_id = m.id and s.state = 'paid')::bigint as paid_fen,
           count(r.id) filter (where r.undone_at is null) as redemptions,
           coalesce(sum(r.owed_fen + r.cash_fen) filter (where r.undone_at is null), 0) as by_lines_fen
    from merchants m join accounts a on a.id = m.payable_account_id left join redemptions r on r.merchant_id = m.id
    where m.program_id = :program and (cast(:merchant as text) is null or m.code = :merchant)
    group by m.id, a.balance order by m.code
    """
)


@group.command("owed")
@click.argument("merchant_code", required=False)
@program_option
@json_option
def owed(merchant_code: str | None, code: str, as_json: bool) -> None:
    """What we owe a merchant, or all of them: by the ledger, and by its redemptions line by line."""
    with refused_with_words():
        values = {"program": programs.by_code(code).id, "merchant": merchant_code}
        rows = connection().execute(_OWED, values).mappings()
        show(rows, as_json=as_json, empty="no merchants")  # type: ignore[arg-type]


@group.command("add")
@program_option
@click.argument("merchant_code")
@click.option("--name", required=True)
@click.option("--name-en", default="")
@click.option("--shop", "shops", multiple=True, help="name of a shop; may be repeated")
@actor_option
def add(code: str, merchant_code: str, name: str, name_en: str, shops: tuple[str, ...], handle: str) -> None:
    """Add a merchant with its shops, or find those that stand."""
    with refused_with_words(), transaction():
        actor(handle)
        found = merchants.register(program_id=programs.by_code(code).id, code=merchant_code, name=name, name_en=name_en)
        opened = [merchants.open_shop(merchant=found, name=shop) for shop in shops]
        click.echo(
            f"merchant {found.code}; shops: " + (", ".join(f"{shop.id} {shop.name}" for shop in opened) or "none")
        )


@group.command("employ")
@click.argument("shop_id", type=int)
@click.argument("person_id", type=int)
@click.option("--role", type=click.Choice(["clerk", "manager", "owner"]), default="clerk")
@actor_option
def employ(shop_id: int, person_id: int, role: str, handle: str) -> None:
    """Let a person scan for a shop."""
    with refused_with_words(), transaction():
        actor(handle)
        if session().get(Shop, shop_id) is None:
            raise NOT_FOUND(shop=str(shop_id))
        merchants.employ(shop_id=shop_id, person_id=person_id, role=role, at=now())
        click.echo(f"person {person_id} scans for shop {shop_id}")


@group.command("dismiss")
@click.argument("shop_id", type=int)
@click.argument("person_id", type=int)
@actor_option
def dismiss(shop_id: int, person_id: int, handle: str) -> None:
    """End it; the person's next scan is refused."""
    with refused_with_words(), transaction():
        actor(handle)
        merchants.dismiss(shop_id=shop_id, person_id=person_id, at=now())
        click.echo(f"person {person_id} scans no more for shop {shop_id}")


def merchant_of(program_id: int, code: str) -> Merchant:
    """A merchant by its code. Raises NOT_FOUND."""
    query = select(Merchant).where(Merchant.program_id == program_id, Merchant.code == code)
    found = session().scalars(query).first()
    if found is None:
        raise NOT_FOUND(merchant=code)
    return found
