"""Make the demo, or bring it up to date: every step is idempotent by its own natural key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, update

from app import (
    funding,
    mall,
    merchants,
    methodologies,
    operators,
    people,
    programs,
    scenarios,
    sources,
    vehicles,
    welfare,
)
from app.clock import day_start
from app.config import Settings
from app.db import connection, session, transaction
from app.mall.models import Item
from app.people import consents
from app.people.models import Person, WeChatIdentity
from app.programs import Program
from app.programs.templates import load
from app.sources.models import Source
from demo import past
from demo.places import CATEGORIES, CITY, DEMO_VIN, OPERATORS, PARTNER_KEY, PEOPLE, PLACES, Place, Shelf
from wechat.sandbox.state import State

SEEDER = "system:demo"


def seed(settings: Settings, *, at: datetime) -> None:
    """Programs, sponsors, shops and people. Each part is its own transaction, so a killed seed goes on where it was."""
    with transaction():
        methodologies.publish_library(at=at)
    with transaction():
        for handle, name in OPERATORS:
            operators.add(handle=handle, name=name, at=at)
    for place in PLACES:
        with transaction():
            _program(place, at)
        with transaction():
            _commerce(place, at)
        with transaction():
            _sources(place, at)
    for name in PEOPLE:
        with transaction():
            _person(settings, name, at)
    with transaction():
        _roles(settings, at)
    past.live(settings, at=at)


def _program(place: Place, at: datetime) -> None:
    if programs.find(place.code) is not None:
        return
    made = programs.create(
        code=place.code,
        name=place.name,
        name_en=place.name_en,
        region=place.region,
        template=load(place.template),
        actor=SEEDER,
        at=max(day_start(place.starts_on), datetime(2014, 1, 1, tzinfo=UTC)),
        starts_on=place.starts_on,
        joining=place.joining,
        demo=True,
    )
    for draft in made.scenarios:
        scenarios.offer(program_id=made.program.id, definition=draft)
    for code, name, name_en, kind, parent in place.units:
        programs.add_org_unit(
            program_id=made.program.id, code=code, name=name, name_en=name_en, kind=kind, parent=parent
        )


def _commerce(place: Place, at: datetime) -> None:
    program = programs.by_code(place.code)
    terms = programs.terms_in_force(program.id, at)
    code, name, name_en = place.sponsor
    sponsor = funding.sponsor(program_id=program.id, code=code, name=name, name_en=name_en)
    budget = funding.open_budget(
        program_id=program.id,
        sponsor_id=sponsor.id,
        code="main",
        name="年度预算",
        price_fen=terms.price_fen,
        is_default=True,
        at=at,
    )
    funding.receive_deposit(budget=budget, fen=place.deposit_fen, reference="demo-deposit-1", at=at)
    code, name, name_en = place.merchant
    merchant = merchants.register(program_id=program.id, code=code, name=name, name_en=name_en)
    for shop in place.shops:
        merchants.open_shop(merchant=merchant, name=shop)
    code, name, name_en, target = place.cause
    project = welfare.open_project(program_id=program.id, code=code, name=name, name_en=name_en, target_credits=target)
    owner = {"merchant_id": merchant.id, "sponsor_id": sponsor.id, "project_id": project.id}
    for shelf in place.shelf:
        _item(program, owner, shelf, at)


def _item(program: Program, owner: dict[str, Any], shelf: Shelf, at: datetime) -> None:
    known = select(Item.id).where(Item.program_id == program.id, Item.code == shelf.code)
    if connection().execute(known).first() is not None:
        return
    names = {code: (name, name_en) for code, name, name_en in CATEGORIES}
    category = None
    if shelf.category:
        name, name_en = names[shelf.category]
        category = mall.category(program_id=program.id, code=shelf.category, name=name, name_en=name_en).id
    gift = shelf.kind == "donation"
    item = mall.draft(
        program_id=program.id,
        code=shelf.code,
        kind=shelf.kind,
        stock_pieces=shelf.stock,
        merchant_id=None if gift else owner["merchant_id"],
        project_id=owner["project_id"] if gift else None,
        sponsor_id=owner["sponsor_id"],
        category_id=category,
        name=shelf.name,
        name_en=shelf.name_en,
        price_credits=shelf.price_credits,
        price_fen=shelf.price_fen,
        settlement_fen=shelf.settlement_fen,
        uses=shelf.uses,
        extend_days=shelf.extend_days,
        least_level=shelf.level,
        per_person=5,
        valid_days=90,
    )
    if shelf.kind == "code_pool":
        codes = (f"DEMO-{shelf.code.upper()}-{number:05d}" for number in range(shelf.stock))
        mall.import_codes(item_id=item.id, lines=codes, at=at)
    mall.publish(item=item)


def _sources(place: Place, at: datetime) -> None:
    program = programs.by_code(place.code)
    for kind, name in (("citizen", "本人申报"), ("file", "文件导入"), ("office", "单位上报"), ("device", "车辆平台")):
        sources.register(program_id=program.id, code=kind, kind=kind, name=name)
    for code, name in place.partners:
        partner = sources.register(program_id=program.id, code=code, kind="partner", name=name)
        _demo_key(partner, f"demo-{code}", at)


def _demo_key(partner: Source, app_id: str, at: datetime) -> None:
    """A partner key that the docs print: demo programs only."""
    if partner.app_id == app_id:
        return
    session().execute(update(Source).where(Source.id == partner.id).values(app_id=app_id))
    key_id, secret = PARTNER_KEY
    sources.issue_key(source=partner, at=at, secret=secret, key_id=key_id)


def _person(settings: Settings, name: str, at: datetime) -> None:
    """One of the local WeChat's users, as a member of a program."""
    person_id = _sign_in(settings, name, at)
    nickname, code, unit = PEOPLE[name]
    session().execute(update(Person).where(Person.id == person_id, Person.nickname.is_(None)).values(nickname=nickname))
    program = programs.by_code(code)
    if programs.membership(program.id, person_id) is None:
        since = day_start(program.starts_on)  # so that the dated examples of the docs are acts of a member
        terms = programs.terms_in_force(program.id, since)
        shown = programs.Pass(invitation=_invitation(program, unit, at)) if program.joining == "invitation" else None
        people.join_program(
            person_id=person_id,
            program=program,
            terms_version=terms.version,
            shown=shown or programs.Pass(org_unit=unit),
            at=since,
        )
    for purpose in ("vehicle", "rides", "steps", "office", "household"):
        consents.agree(person_id=person_id, key=purpose, version=consents.purpose(purpose).version, at=at)


def _invitation(program: Program, unit: str, at: datetime) -> str:
    return programs.invite(program_id=program.id, at=at, uses=1_000, valid_for=timedelta(days=3650), org_unit=unit).code


def _roles(settings: Settings, at: datetime) -> None:
    """Alice drives, Bob rides, Chen scans."""
    program = programs.by_code(CITY.code)
    alice, bob, chen = (_sign_in(settings, name, at) for name in ("alice", "bob", "chen"))
    vehicle_id = vehicles.register(vin=DEMO_VIN, fuel="bev")
    vehicles.bind(vehicle_id=vehicle_id, person_id=alice, at=at, since=day_start(CITY.starts_on))
    vehicles.start_mileage(vehicle_id=vehicle_id, since=day_start(CITY.starts_on))
    metro = sources.register(program_id=program.id, code="metro", kind="partner", name="蓉城地铁")
    sources.bind_account(source_id=metro.id, person_id=bob, account="5d41402abc4b2a76b9719d911017c592", at=at)
    merchant = merchants.register(program_id=program.id, code=CITY.merchant[0], name=CITY.merchant[1])
    for shop_name in CITY.shops:
        shop = merchants.open_shop(merchant=merchant, name=shop_name)
        merchants.employ(shop_id=shop.id, person_id=chen, role="clerk", at=at)


def _sign_in(settings: Settings, name: str, at: datetime) -> int:
    """The person behind a user of the local WeChat; no session is left open."""
    openid = State(settings.wechat_appid, settings.wechat_secret).users[name].openid
    known = select(WeChatIdentity.person_id).where(
        WeChatIdentity.appid == settings.wechat_appid, WeChatIdentity.openid == openid
    )
    found = connection().execute(known).scalar_one_or_none()
    if found is not None:
        return found
    login = people.sign_in(
        appid=settings.wechat_appid, openid=openid, at=at, session_days=settings.session_days, device="demo seed"
    )
    people.end_sessions(person_id=login.person_id, at=at)
    return login.person_id
