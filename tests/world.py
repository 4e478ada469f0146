"""A program that lives: scenarios, a funded budget, sources, a merchant with a shop, an item, a cause, people."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from app import funding, mall, merchants, methodologies, records, scenarios, sources, vehicles, welfare
from app.clock import day_start
from app.db import session
from app.mall.models import Item
from app.people import consents
from app.programs import Program, templates
from app.records import Act, Taken
from tests import given

AT = given.AT


@dataclass
class World:
    """One program and what it holds. Built inside a transaction; ids only, so threads may share it."""

    program_id: int
    code: str
    budget_id: int
    sources: dict[str, int]
    merchant_id: int
    shop_id: int
    item_id: int
    project_id: int
    people: list[int] = field(default_factory=list)


def build(
    *, template: str = "city", people: int = 2, deposit_fen: int = 1_000_000, stock: int = 10, at: datetime = AT
) -> World:
    """A living program; all its people consent to everything. Call it inside ``with transaction():``."""
    methodologies.publish_library(at=at)
    program = given.program(template=template, at=at)
    for draft in templates.load(template).scenarios:
        scenarios.offer(program_id=program.id, definition=draft)
    sponsor = funding.sponsor(program_id=program.id, code="bank", name="银行", name_en="Bank")
    budget = funding.open_budget(
        program_id=program.id, sponsor_id=sponsor.id, code="main", name="预算", price_fen=2000, is_default=True, at=at
    )
    if deposit_fen:
        funding.receive_deposit(budget=budget, fen=deposit_fen, reference="first", at=at)
    known = {
        kind: sources.register(program_id=program.id, code=kind, kind=kind, name=kind).id
        for kind in ("citizen", "partner", "file", "device", "office", "system")
    }
    merchant = merchants.register(program_id=program.id, code="shop", name="小店", name_en="Shop")
    shop = merchants.open_shop(merchant=merchant, name="一店")
    item = _item(program, merchant.id, stock)
    project = welfare.open_project(
        program_id=program.id, code="trees", name="种树", name_en="Trees", target_credits=100_000
    )
    world = World(program.id, program.code, budget.id, known, merchant.id, shop.id, item, project.id)
    for _ in range(people):
        world.people.append(join(program, at=at))
    return world


def join(program: Program, *, at: datetime = AT, person_id: int | None = None) -> int:
    """A member who consents to every purpose."""
    somebody = given.member(program, person_id, at=at)
    for key, purpose in consents.PURPOSES.items():
        consents.agree(person_id=somebody, key=key, version=purpose.version, at=at)
    return somebody


def act(world: World, person_id: int, scenario: str = "metro-ride", *, kind: str = "partner", **changes: Any) -> Act:
    """An act two hours ago that took half an hour; a metro ride of ten kilometres unless told otherwise."""
    values: dict[str, Any] = {
        "reference": f"ref-{secrets.token_hex(6)}",
        "facts": {"distance_km": "10"},
        "occurred_at": AT - timedelta(hours=2),
        "ended_at": AT - timedelta(hours=1, minutes=30),
        **changes,
    }
    return Act(
        program_id=world.program_id,
        scenario=scenario,
        person_id=person_id,
        source_id=world.sources[kind],
        **values,
    )


def rich(world: World, person_id: int, credits: int, *, at: datetime = AT) -> None:
    """Give a person at least so many credits, by awards of their own."""
    request = funding.AwardRequest(
        program_id=world.program_id,
        person_id=person_id,
        reason="test",
        source_ref=f"rich:{person_id}:{secrets.token_hex(6)}",
        occurred_at=at - timedelta(days=30 + secrets.randbelow(200)),
        base_micro=credits * 1_000_000,
    )
    funding.award([request], at=at)


def take(world: World, person_id: int, scenario: str = "metro-ride", **changes: Any) -> Taken:
    """Take one act now."""
    return records.take(act(world, person_id, scenario, **changes), at=AT)


def car(person_id: int, *, mileage: bool = False, vin: str = "") -> str:
    """A bound vehicle as the subject of an act."""
    vehicle_id = vehicles.register(vin=vin or f"TEST{secrets.token_hex(6)}", fuel="bev")
    since = day_start(AT.date()) - timedelta(days=300)
    vehicles.bind(vehicle_id=vehicle_id, person_id=person_id, at=AT, since=since)
    if mileage:
        vehicles.start_mileage(vehicle_id=vehicle_id, since=since)
    return f"vehicle:{vehicle_id}"


def clerk(world: World, person_id: int, *, role: str = "clerk", at: datetime = AT) -> None:
    """Let a person scan in the world's shop."""
    merchants.employ(shop_id=world.shop_id, person_id=person_id, role=role, at=at - timedelta(days=1))


def _item(program: Program, merchant_id: int, stock: int) -> int:
    item = Item(
        program_id=program.id,
        code="tea",
        kind="voucher",
        merchant_id=merchant_id,
        name="茶",
        name_en="Tea",
        price_credits=100,
        settlement_fen=150,
        total=stock,
        available=stock,
        reserved=0,
        sold=0,
        per_person=None,
        valid_days=30,
        state="draft",
    )
    session().add(item)
    session().flush()
    mall.publish(item=item)
    return item.id
