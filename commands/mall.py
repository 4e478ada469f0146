"""``flask mall``: put vouchers on sale and take them off; welfare projects."""

from __future__ import annotations

import click
from flask.cli import AppGroup
from sqlalchemy import select

from app import mall, programs, welfare
from app.db import session, transaction
from app.errors import NOT_FOUND
from app.mall.models import Item
from commands.merchants import merchant_of
from commands.shared import actor, actor_option, json_option, program_option, refused_with_words, show

group = AppGroup("mall", help="Vouchers on sale, welfare projects.")


@group.command("list")
@program_option
@json_option
def list_items(code: str, as_json: bool) -> None:
    """Every item with its stock."""
    with refused_with_words():
        query = select(Item).where(Item.program_id == programs.by_code(code).id).order_by(Item.id)
        show(
            (
                {"id": one.id, "code": one.code, "state": one.state, "credits": one.price_credits, "fen": one.price_fen,
                 "settlement fen": one.settlement_fen, "left": one.available, "sold": one.sold, "name": one.name}
                for one in session().scalars(query)
            ),
            as_json=as_json,
            empty="no items",
        )  # fmt: skip


@group.command("offer")
@program_option
@click.argument("item_code")
@click.option("--merchant", required=True)
@click.option("--name", required=True)
@click.option("--name-en", default="")
@click.option("--credits", "price", type=click.IntRange(1, 10_000_000), required=True)
@click.option("--fen", "price_fen", type=click.IntRange(0, 10**8), default=0, help="cash part, by WeChat Pay")
@click.option("--kind", type=click.Choice(["voucher", "parcel", "service"]), default="voucher")
@click.option("--settlement-fen", type=click.IntRange(0, 10**9), required=True)
@click.option("--stock", type=click.IntRange(1, 10_000_000), required=True)
@click.option("--per-person", type=click.IntRange(1, 1000))
@click.option("--valid-days", type=click.IntRange(1, 730), default=90)
@actor_option
def offer(
    code: str,
    item_code: str,
    merchant: str,
    name: str,
    name_en: str,
    price: int,
    price_fen: int,
    kind: str,
    settlement_fen: int,
    stock: int,
    per_person: int | None,
    valid_days: int,
    handle: str,
) -> None:
    """Put an item on sale. Refused when its credits are worth less than the settlement price, and for a cash part
    where the platform forbids one."""
    with refused_with_words(), transaction():
        actor(handle)
        mall.allow_cash(kind=kind, price_fen=price_fen)
        program = programs.by_code(code)
        item = Item(
            program_id=program.id,
            code=item_code,
            kind=kind,
            merchant_id=merchant_of(program.id, merchant).id,
            name=name,
            name_en=name_en or name,
            price_credits=price,
            price_fen=price_fen,
            settlement_fen=settlement_fen,
            total=stock,
            available=stock,
            reserved=0,
            sold=0,
            per_person=per_person,
            valid_days=valid_days,
            state="draft",
        )
        session().add(item)
        session().flush()
        mall.publish(item=item)
        click.echo(f"item {item.id} {item.code} is on sale")


@group.command("withdraw")
@program_option
@click.argument("item_code")
@actor_option
def withdraw(code: str, item_code: str, handle: str) -> None:
    """Take an item off sale; codes that were issued stay valid."""
    with refused_with_words(), transaction():
        actor(handle)
        query = select(Item).where(Item.program_id == programs.by_code(code).id, Item.code == item_code)
        found = session().scalars(query).first()
        if found is None:
            raise NOT_FOUND(item=item_code)
        found.state = "off_sale"
        click.echo(f"item {item_code} is off sale")


@group.command("cause")
@program_option
@click.argument("project_code")
@click.option("--name", required=True)
@click.option("--name-en", default="")
@click.option("--target", type=click.IntRange(1, 10**9), required=True, help="credits wanted")
@actor_option
def cause(code: str, project_code: str, name: str, name_en: str, target: int, handle: str) -> None:
    """Open a welfare project, or find the one of this code."""
    with refused_with_words(), transaction():
        actor(handle)
        found = welfare.open_project(
            program_id=programs.by_code(code).id, code=project_code, name=name, name_en=name_en or name,
            target_credits=target,
        )  # fmt: skip
        click.echo(f"project {found.code}: {found.given_credits} of {found.target_credits} credits given")
