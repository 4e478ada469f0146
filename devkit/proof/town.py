"""Where a proof takes place: a program of its own, and in it small scenes that share nothing but the program."""

from __future__ import annotations

import json
import random
import secrets
import sys
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from app import funding, mall, merchants, methodologies, people, programs, scenarios, sources, welfare
from app.clock import now
from app.db import run, session, transaction
from app.funding.models import Budget
from app.mall.models import Item
from app.people import consents
from app.programs import templates

PRICE_FEN = 2_000  # for 1,000 credits
CLERKS = 4


@dataclass(frozen=True)
class Town:
    """A program with what all its scenes use. Ids only, so that threads and processes may share it."""

    program_id: int
    code: str
    sponsor_id: int
    budget_id: int
    source_id: int
    merchant_id: int
    shop_id: int
    clerks: tuple[int, ...]


@dataclass(frozen=True)
class Scene:
    """Two persons, a small budget that runs dry, an item with three pieces, a cause."""

    number: str
    people: tuple[int, ...]
    budget_id: int
    item_id: int
    project_id: int


def build(code: str) -> Town:
    """A city's program with a large default budget. Commits as it goes."""
    at = now()
    with transaction():
        methodologies.publish_library(at=at)
    with transaction():
        made = programs.create(
            code=code,
            name="证明之城",
            name_en="Town of proofs",
            region="CN-SC",
            template=templates.load("city"),
            actor="system:proof",
            at=at - timedelta(days=30),
            starts_on=(at - timedelta(days=30)).date(),
        )
        program = made.program
        for draft in made.scenarios:
            scenarios.offer(program_id=program.id, definition=draft)
        sponsor = funding.sponsor(program_id=program.id, code="bank", name="银行", name_en="Bank")
        budget = _budget(program.id, sponsor.id, "main", True, at)
        funding.receive_deposit(budget=budget, fen=2_000_000_000, reference="main", at=at)
        source = sources.register(program_id=program.id, code="partner", kind="partner", name="数据方")
        sources.register(program_id=program.id, code="citizen", kind="citizen", name="本人申报")
        merchant = merchants.register(program_id=program.id, code="shop", name="小店", name_en="Shop")
        shop = merchants.open_shop(merchant=merchant, name="一店")
        clerks = tuple(new_people(program.id, CLERKS, at))
        for clerk in clerks:
            merchants.employ(shop_id=shop.id, person_id=clerk, role="clerk", at=at - timedelta(days=1))
        return Town(program.id, code, sponsor.id, budget.id, source.id, merchant.id, shop.id, clerks)


def scene(town: Town, number: str, chance: random.Random) -> Scene:
    """A fresh scene; inside a transaction."""
    at = now()
    budget = _budget(town.program_id, town.sponsor_id, number, False, at)
    covered = chance.randrange(40, 600)
    funding.receive_deposit(budget=budget, fen=covered * PRICE_FEN // 1000, reference="first", at=at)
    item_id = new_item(town, number, price_credits=chance.randrange(5, 40), stock=3, per_person=2)
    project = welfare.open_project(
        program_id=town.program_id, code=number, name="公益", name_en="Cause", target_credits=100_000
    )
    return Scene(number, tuple(new_people(town.program_id, 2, at)), budget.id, item_id, project.id)


def new_item(
    town: Town, code: str, *, price_credits: int, stock: int, per_person: int | None, price_fen: int = 0
) -> int:
    """A voucher, or a service with a cash part, whose settlement price uses most of what its credits are worth.

    Inside a transaction."""
    item = Item(
        program_id=town.program_id,
        code=code,
        kind="service" if price_fen else "voucher",
        price_fen=price_fen,
        merchant_id=town.merchant_id,
        name="茶",
        name_en="Tea",
        price_credits=price_credits,
        settlement_fen=max(price_credits * PRICE_FEN // 1000 - 3, 0),
        total=stock,
        available=stock,
        reserved=0,
        sold=0,
        per_person=per_person,
        valid_days=30,
        state="draft",
    )
    session().add(item)
    session().flush()
    mall.publish(item=item)
    return item.id


_PEOPLE = """
    with made as (
      insert into persons (pseudonym, created_at) select unnest(%(names)s::text[]), %(at)s returning id
    ), members as (
      insert into memberships (program_id, person_id, state, rank, joined_by, joined_at)
      select %(program)s, id, 'active', 1, 'open', %(at)s from made
    ), agreed as (
      insert into consents (person_id, purpose, text_version, text_hash, granted_at)
      select id, 'rides', %(version)s, %(hash)s, %(at)s from made
    )
    select id from made order by id
"""


def new_people(program_id: int, count: int, at: datetime) -> list[int]:
    """Members who agree to have their rides read, with one statement: a proof needs tens of thousands."""
    rides = consents.purpose("rides")
    values = {
        "names": [f"proof-{secrets.token_hex(8)}" for _ in range(count)],
        "at": at - timedelta(days=20),
        "program": program_id,
        "version": rides.version,
        "hash": rides.text_hash,
    }
    return [row.id for row in run(_PEOPLE, values)]


def _budget(program_id: int, sponsor_id: int, code: str, is_default: bool, at: datetime) -> Budget:
    return funding.open_budget(
        program_id=program_id,
        sponsor_id=sponsor_id,
        code=code,
        name=code,
        price_fen=PRICE_FEN,
        is_default=is_default,
        at=at,
    )


def with_phones(count: int = 24, credits: int = 20_000) -> dict[str, Any]:
    """A town whose people hold credits and open sessions: what the load over HTTP needs, as plain data."""
    town = build(f"kill-{secrets.token_hex(3)}")
    at = now()
    with transaction():
        item_id = new_item(town, "tea", price_credits=5, stock=10_000_000, per_person=None)
        project = welfare.open_project(
            program_id=town.program_id, code="trees", name="种树", name_en="Trees", target_credits=10_000_000
        )
        project_id = project.id
    phones = [phone(town, credits, at) for _ in range(count)]
    clerks = [phone(town, 0, at) for _ in range(CLERKS)]
    with transaction():
        for clerk in clerks:
            merchants.employ(shop_id=town.shop_id, person_id=int(clerk["person"]), role="clerk", at=at)
    return {
        "town": asdict(town),
        "item": str(item_id),
        "price": 5,
        "project": str(project_id),
        "phones": phones,
        "clerks": clerks,
    }


def phone(
    town: Town, credits: int, at: datetime, *, appid: str = "wxproof0000000000", openid: str = ""
) -> dict[str, str]:
    """A member with credits and an open session. Commits as it goes."""
    with transaction():
        login = people.sign_in(
            appid=appid, openid=openid or f"o-{secrets.token_hex(12)}", at=at, session_days=30, device="proof"
        )
        program = programs.by_code(town.code)
        version = programs.terms_in_force(program.id, at).version
        people.join_program(
            person_id=login.person_id, program=program, terms_version=version, shown=programs.Pass(), at=at
        )
        rides = consents.purpose("rides")
        consents.agree(person_id=login.person_id, key="rides", version=rides.version, at=at - timedelta(days=1))
    for day in range(-(-credits // 2_000)):  # a program pays at most 2,000 credits a person and day
        request = funding.AwardRequest(
            town.program_id,
            login.person_id,
            "proof",
            f"phone:{login.person_id}:{day}",
            at - timedelta(days=day),
            base_micro=2_000 * 1_000_000,
        )
        with transaction():
            funding.award([request], at=at)
    return {"person": str(login.person_id), "token": login.token}


def main() -> int:
    """`python -m devkit.proof.town`: make the town of the load and print it."""
    import wsgi

    with wsgi.create_app().app_context():
        print(json.dumps(with_phones()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
