"""``flask mall``: items on the shelf, their stock, pools of codes, pictures, times."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import click
from flask import current_app
from flask.cli import AppGroup
from sqlalchemy import select

from app import audit, mall, programs, welfare
from app.clock import SHANGHAI, now
from app.db import run, session, transaction
from app.errors import NOT_FOUND
from app.mall import pictures
from app.mall.models import Category, Item
from app.programs.models import OrgUnit
from commands.merchants import merchant_of
from commands.shared import (
    Moment,
    actor,
    actor_option,
    dry,
    dry_option,
    json_option,
    program_option,
    refused_with_words,
    show,
)

group = AppGroup("mall", help="Items, stock, pools of codes, pictures, times.")


def _note(handle: str, action: str, item: Item, after: dict[str, Any]) -> None:
    """Who did what to an item: prices and stock are money."""
    audit.write(
        actor=actor(handle), action=f"item.{action}", object_type="item", object_id=item.id, at=now(),
        program_id=item.program_id, after=after,
    )  # fmt: skip


def _sensible(merchant: str | None, project: str | None, fields: dict[str, Any]) -> None:
    """What the table would refuse without a word."""
    if (fields["kind"] == "donation") != (project is not None) or (project is None) != (merchant is not None):
        raise click.UsageError("a donation has a --project, every other kind a --merchant")
    if (fields["per_period"] is None) != (fields["period_kind"] is None):
        raise click.UsageError("--per-period and --period go together")
    _window(fields["sale_from"], fields["sale_until"])


def _window(sale_from: datetime | None, sale_until: datetime | None) -> None:
    if sale_from is not None and sale_until is not None and sale_until <= sale_from:
        raise click.UsageError("--until must be after --from")


@group.command("list")
@program_option
@json_option
def list_items(code: str, as_json: bool) -> None:
    """Every item with its stock."""
    with refused_with_words():
        query = select(Item).where(Item.program_id == programs.by_code(code).id).order_by(Item.id)
        show(
            (
                {"id": one.id, "code": one.code, "kind": one.kind, "state": one.state, "credits": one.price_credits,
                 "fen": one.price_fen, "settlement fen": one.settlement_fen, "left": one.available,
                 "held": one.reserved, "sold": one.sold, "low at": one.low_at, "name": one.name}
                for one in session().scalars(query)
            ),
            as_json=as_json,
            empty="no items",
        )  # fmt: skip


def _audience(program_id: int, units: tuple[str, ...], tags: tuple[str, ...], level: int) -> dict[str, Any]:
    """Org-units by code, tags, least level; nothing said is everybody."""
    found = []
    for code in units:
        query = select(OrgUnit.id).where(OrgUnit.program_id == program_id, OrgUnit.code == code)
        unit_id = session().scalar(query)
        if unit_id is None:
            raise NOT_FOUND(org_unit=code)
        found.append(unit_id)
    return {"audience_units": found or None, "audience_tags": list(tags) or None, "least_level": level}


def _category(program_id: int, code: str | None) -> int | None:
    if code is None:
        return None
    found = session().scalar(select(Category.id).where(Category.program_id == program_id, Category.code == code))
    if found is None:
        raise NOT_FOUND(category=code)
    return found


@group.command("offer")
@program_option
@click.argument("item_code")
@click.option("--merchant", help="code; every kind but a donation has one")
@click.option("--project", help="code of the welfare project of a donation")
@click.option("--name", required=True)
@click.option("--name-en", default="")
@click.option("--text", default="", help="what it is, in Chinese")
@click.option("--text-en", default="")
@click.option("--kind", type=click.Choice(list(mall.KINDS)), default="voucher")
@click.option("--category", help="code")
@click.option("--credits", "price", type=click.IntRange(1, 10_000_000), required=True)
@click.option("--fen", "price_fen", type=click.IntRange(0, 10**8), default=0, help="cash part, by WeChat Pay")
@click.option("--settlement-fen", type=click.IntRange(0, 10**9), default=0)
@click.option("--stock", type=click.IntRange(0, 10_000_000), default=0, help="a pool's stock are its codes")
@click.option("--low-at", type=click.IntRange(0), help="tell the merchant when so few are left")
@click.option("--uses", type=click.IntRange(1, 100), default=1, help="how often one code can be redeemed")
@click.option("--per-person", type=click.IntRange(1, 1000))
@click.option("--per-period", type=click.IntRange(1, 1000))
@click.option("--period", "period_kind", type=click.Choice(["day", "week", "month", "season"]))
@click.option("--valid-days", type=click.IntRange(1, 730), default=90)
@click.option("--on-expiry", type=click.Choice(["return", "forfeit"]), default="return")
@click.option("--extend-days", type=click.IntRange(0, 365), default=0)
@click.option("--no-show", type=click.Choice(["kept", "spent"]), default="kept")
@click.option("--final", is_flag=True, help="can't be returned by the person")
@click.option("--from", "sale_from", type=Moment(), help="on sale from, Shanghai time")
@click.option("--until", "sale_until", type=Moment())
@click.option("--unit", "units", multiple=True, help="only for this org-unit and those below it; may be repeated")
@click.option("--tag", "tags", multiple=True, help="only for members of this tag; may be repeated")
@click.option("--level", type=click.IntRange(0, 100), default=0, help="least level")
@click.option("--province", "provinces", multiple=True, help="two digits; a parcel goes only there; may be repeated")
@dry_option
@actor_option
def offer(
    code: str,
    item_code: str,
    merchant: str | None,
    project: str | None,
    price: int,
    category: str | None,
    stock: int,
    text: str,
    text_en: str,
    final: bool,
    units: tuple[str, ...],
    tags: tuple[str, ...],
    level: int,
    provinces: tuple[str, ...],
    dry_run: bool,
    handle: str,
    **fields: Any,
) -> None:
    """Put an item on sale. Refused when its credits are worth less than the settlement price, and for a cash part
    where the platform forbids one."""
    _sensible(merchant, project, fields)
    with refused_with_words(), dry(dry_run) as trial, transaction():
        program = programs.by_code(code)
        item = mall.draft(
            program_id=program.id,
            code=item_code,
            stock_pieces=stock,
            price_credits=price,
            merchant_id=merchant_of(program.id, merchant).id if merchant else None,
            project_id=_project(program.id, project),
            category_id=_category(program.id, category),
            text_zh=text,
            text_en=text_en,
            refundable=not final,
            provinces=list(provinces) or None,
            **_audience(program.id, units, tags, level),
            **{**fields, "name_en": fields["name_en"] or fields["name"]},
        )
        mall.publish(item=item)
        _note(handle, "publish", item, {"credits": price, "fen": item.price_fen, "owed": item.settlement_fen})
        click.echo(f"item {item.id} {item.code} is on sale")
        trial.done()


def _project(program_id: int, code: str | None) -> int | None:
    if code is None:
        return None
    found = {one.code: one.id for one in welfare.projects(program_id)}
    if code not in found:
        raise NOT_FOUND(project=code)
    return found[code]


@group.command("withdraw")
@program_option
@click.argument("item_code")
@dry_option
@actor_option
def withdraw(code: str, item_code: str, dry_run: bool, handle: str) -> None:
    """Take an item off sale; unpaid orders can still be paid, and codes that were issued stay valid."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        item = mall.item_of(programs.by_code(code).id, item_code)
        mall.withdraw(item=item)
        _note(handle, "withdraw", item, {})
        click.echo(f"item {item_code} is off sale")
        trial.done()


@group.command("change")
@program_option
@click.argument("item_code")
@click.option("--credits", "price_credits", type=click.IntRange(1, 10_000_000))
@click.option("--fen", "price_fen", type=click.IntRange(0, 10**8))
@click.option("--settlement-fen", type=click.IntRange(0, 10**9))
@click.option("--name")
@click.option("--name-en")
@click.option("--low-at", type=click.IntRange(0))
@click.option("--per-person", type=click.IntRange(1, 1000))
@click.option("--from", "sale_from", type=Moment())
@click.option("--until", "sale_until", type=Moment())
@dry_option
@actor_option
def change(code: str, item_code: str, dry_run: bool, handle: str, **changes: Any) -> None:
    """Change an item that is on sale. Whoever saw the old price must confirm the new one; orders keep theirs."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        wanted = {name: value for name, value in changes.items() if value is not None}
        item = mall.item_of(programs.by_code(code).id, item_code)
        _window(wanted.get("sale_from", item.sale_from), wanted.get("sale_until", item.sale_until))
        mall.change(item=item, changes=wanted)
        _note(handle, "change", item, {name: str(value) for name, value in wanted.items()})
        click.echo(f"item {item_code}: {', '.join(f'{name} {value}' for name, value in wanted.items()) or 'nothing'}")
        trial.done()


@group.command("category")
@program_option
@click.argument("category_code")
@click.option("--name", required=True)
@click.option("--name-en", default="")
@click.option("--position", type=int, default=0)
@dry_option
@actor_option
def category(code: str, category_code: str, name: str, name_en: str, position: int, dry_run: bool, handle: str) -> None:
    """Make or rename a category."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        actor(handle)
        mall.category(
            program_id=programs.by_code(code).id, code=category_code, name=name, name_en=name_en, position=position
        )
        click.echo(f"category {category_code}")
        trial.done()


@group.command("restock")
@program_option
@click.argument("item_code")
@click.argument("pieces", type=click.IntRange(-10_000_000, 10_000_000))
@click.option("--at", "due_at", type=Moment(), help="announce them for then instead of now")
@dry_option
@actor_option
def restock(code: str, item_code: str, pieces: int, due_at: datetime | None, dry_run: bool, handle: str) -> None:
    """Add pieces, now or at an announced time; a negative number takes free ones away."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        item = mall.item_of(programs.by_code(code).id, item_code)
        if due_at is not None and pieces < 1:
            raise click.UsageError("only new pieces can be announced")
        if due_at is not None:
            mall.announce(item_id=item.id, pieces=pieces, due_at=due_at, asked_by=actor(handle), at=now())
            click.echo(f"{pieces} pieces of {item_code} come at {due_at.isoformat()}")
        else:
            left = mall.restock(item_id=item.id, pieces=pieces, asked_by=actor(handle))
            click.echo(f"{item_code}: {left} available")
        _note(handle, "restock", item, {"pieces": pieces, "due_at": due_at and due_at.isoformat()})
        trial.done()


@group.command("stock")
@program_option
@click.argument("item_code")
@click.option("--before", type=int, help="id of a line: older ones")
@json_option
def stock_log(code: str, item_code: str, before: int | None, as_json: bool) -> None:
    """The log of an item's stock, newest first: every movement and why."""
    with refused_with_words():
        item = mall.item_of(programs.by_code(code).id, item_code)
        rows = mall.movements(item.id, before=before, limit=50)
        show(
            ({"id": row.id, "at": row.at.astimezone(SHANGHAI).isoformat(timespec="seconds"),
              "available": row.available, "held": row.reserved, "sold": row.sold, "why": row.why} for row in rows),
            as_json=as_json, empty="no movements",
        )  # fmt: skip


@group.command("low")
@program_option
@json_option
def low(code: str, as_json: bool) -> None:
    """Items at or under the line where stock is low, and what is sold out, with how many wait."""
    query = """
        select i.code, i.name, i.available as left, i.low_at as line,
               (select count(*) from waitlist w where w.item_id = i.id and w.state = 'waiting') as waiting
        from items i where i.program_id = %(program)s and i.state = 'on_sale'
          and (i.available = 0 or i.available <= i.low_at) order by i.available, i.code
    """
    with refused_with_words():
        rows = run(query, {"program": programs.by_code(code).id})
        show((row._asdict() for row in rows), as_json=as_json, empty="nothing is low")


@group.command("import-pool")
@program_option
@click.argument("item_code")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@dry_option
@actor_option
def import_pool(code: str, item_code: str, file: Path, dry_run: bool, handle: str) -> None:
    """Import third-party codes into a pool, one a line (or the first column of a CSV). They are its stock."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        item = mall.item_of(programs.by_code(code).id, item_code)
        with file.open(encoding="utf-8-sig", errors="replace") as lines:
            found = mall.import_codes(item_id=item.id, lines=lines, at=now())
        click.echo(f"{found.taken} taken, {found.known} known already, {len(found.refused)} refused")
        _note(handle, "import", item, {"taken": found.taken, "known": found.known})
        for number, reason in found.refused[:50]:
            click.echo(f"  line {number}: {reason}")
        trial.done()


@group.command("picture")
@program_option
@click.argument("item_code")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@actor_option
def picture(code: str, item_code: str, file: Path, handle: str) -> None:
    """Give an item its picture: it is written anew in three sizes, without what a camera adds."""
    with refused_with_words():
        kept = pictures.store(Path(current_app.config["SETTINGS"].media_folder), file.read_bytes())
        with transaction():
            actor(handle)
            mall.change(item=mall.item_of(programs.by_code(code).id, item_code), changes={"picture": kept})
        click.echo("\n".join(pictures.addresses(kept).values()))


@group.command("slot")
@program_option
@click.argument("item_code")
@click.argument("starts_at", type=Moment())
@click.argument("ends_at", type=Moment())
@click.option("--capacity", type=click.IntRange(1, 10_000), default=1)
@dry_option
@actor_option
def slot(
    code: str, item_code: str, starts_at: datetime, ends_at: datetime, capacity: int, dry_run: bool, handle: str
) -> None:
    """Open a time at which a service can be booked; the one of the same start is changed."""
    if ends_at <= starts_at:
        raise click.UsageError("a time ends after it has begun")
    with refused_with_words(), dry(dry_run) as trial, transaction():
        actor(handle)
        item = mall.item_of(programs.by_code(code).id, item_code)
        made = mall.open_slot(item_id=item.id, starts_at=starts_at, ends_at=ends_at, capacity=capacity)
        click.echo(f"slot {made.id}: {made.capacity - made.taken} free")
        trial.done()


@group.command("members")
@program_option
@click.argument("person_ids", type=int, nargs=-1, required=True)
@click.option("--level", type=click.IntRange(0, 100), help="what items with a least level ask for")
@click.option("--tag", "tags", multiple=True, help="all tags from now on; may be repeated; '' for none")
@dry_option
@actor_option
def members(
    code: str, person_ids: tuple[int, ...], level: int | None, tags: tuple[str, ...], dry_run: bool, handle: str
) -> None:
    """Say of which level members are, and which tags they have: what they may see in the mall."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        program = programs.by_code(code)
        for person_id in person_ids:
            programs.mark(
                program=program, person_id=person_id, level=level,
                tags=[tag for tag in tags if tag] if tags else None, actor=actor(handle), at=now(),
            )  # fmt: skip
        click.echo(f"{len(person_ids)} members")
        trial.done()
