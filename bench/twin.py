"""The plain-ORM twin: the same work as `POST /api/v1/records`, written the usual way, row object by row object.

It stands on the product's own application, with the same middleware, schema and methodology, and keeps its books in
tables of its own (schema `twin`). It does no claims and no mirrors, so it does a little less. Only the benchmark serves
it: `gunicorn 'bench.twin:create_app()'`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiflask import APIBlueprint
from flask import Response
from sqlalchemy import BigInteger, DateTime, ForeignKey, Identity, MetaData, Text, UniqueConstraint, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import wsgi
from app import clock, methodologies
from app.db import db, transaction
from app.funding.awards import lot_end
from app.methodologies.models import MethodologyVersion
from app.people.models import Consent, LoginSession, Person
from app.programs.models import Membership, Program, Terms
from app.scenarios.models import Scenario
from app.sources.models import Source
from edge.answers import answer
from edge.guards import public
from edge.routes import gives, takes
from miniprogram_api.records import Declare, Declared

routes = APIBlueprint("twin", __name__, url_prefix="/bench/twin", tag="Bench")


class Base(DeclarativeBase):
    """Tables of the twin."""

    metadata = MetaData(schema="twin")
    type_annotation_map = {int: BigInteger, datetime: DateTime(timezone=True), dict[str, Any]: JSONB, str: Text}  # noqa: RUF012


def key() -> Mapped[int]:
    return mapped_column(BigInteger, Identity(always=False), primary_key=True)


class Account(Base):
    """An account with its balance."""

    __tablename__ = "accounts"
    __table_args__ = (UniqueConstraint("owner"),)
    id: Mapped[int] = key()
    owner: Mapped[str]
    balance: Mapped[int]
    carry: Mapped[int]


class Transfer(Base):
    """A transfer; two entries belong to it."""

    __tablename__ = "transfers"
    __table_args__ = (UniqueConstraint("reason", "source_ref"),)
    id: Mapped[int] = key()
    reason: Mapped[str]
    source_ref: Mapped[str]
    posted_at: Mapped[datetime]


class Entry(Base):
    """One leg."""

    __tablename__ = "entries"
    id: Mapped[int] = key()
    transfer_id: Mapped[int] = mapped_column(ForeignKey("twin.transfers.id"), index=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("twin.accounts.id"), index=True)
    amount: Mapped[int]
    balance_after: Mapped[int]


class Record(Base):
    """The act."""

    __tablename__ = "records"
    __table_args__ = (UniqueConstraint("program_id", "source_id", "reference"),)
    id: Mapped[int] = key()
    program_id: Mapped[int]
    person_id: Mapped[int] = mapped_column(index=True)
    scenario_id: Mapped[int]
    source_id: Mapped[int]
    reference: Mapped[str]
    facts: Mapped[dict[str, Any]]
    occurred_at: Mapped[datetime]
    ended_at: Mapped[datetime]
    received_at: Mapped[datetime]


class Reduction(Base):
    """Its number."""

    __tablename__ = "reductions"
    id: Mapped[int] = key()
    record_id: Mapped[int] = mapped_column(ForeignKey("twin.records.id"), index=True)
    version_id: Mapped[int]
    inputs: Mapped[dict[str, Any]]
    raw_mg: Mapped[int]
    transfer_id: Mapped[int | None]


class CapUse(Base):
    """How much of a cap is used."""

    __tablename__ = "cap_uses"
    __table_args__ = (UniqueConstraint("person_id", "scope", "period"),)
    id: Mapped[int] = key()
    person_id: Mapped[int]
    scope: Mapped[str]
    period: Mapped[str]
    used: Mapped[int]


class Lot(Base):
    """Credits that expire together."""

    __tablename__ = "lots"
    __table_args__ = (UniqueConstraint("account_id", "expires_at"),)
    id: Mapped[int] = key()
    account_id: Mapped[int] = mapped_column(ForeignKey("twin.accounts.id"))
    expires_at: Mapped[datetime]
    remaining: Mapped[int]


class Award(Base):
    """What it earned."""

    __tablename__ = "awards"
    id: Mapped[int] = key()
    record_id: Mapped[int] = mapped_column(ForeignKey("twin.records.id"), index=True)
    earned: Mapped[int]
    cut: Mapped[int]
    credits: Mapped[int]
    transfer_id: Mapped[int | None]
    lot_id: Mapped[int | None]


class Outbox(Base):
    """What boards will hear."""

    __tablename__ = "outbox"
    id: Mapped[int] = key()
    event: Mapped[str]
    payload: Mapped[dict[str, Any]]


def create_app() -> Any:
    """The product with one more route."""
    app = wsgi.create_app()
    with app.app_context(), db.engine.begin() as link:
        link.execute(text("select pg_advisory_xact_lock(7)"))
        link.execute(text("create schema if not exists twin"))
        Base.metadata.create_all(link)
    with app.app_context():
        db.engine.dispose()  # gunicorn forks after this
    app.register_blueprint(routes)
    return app


@routes.post("/records")
@public()
@takes(Declare, example={})
@gives(Declared, status=201)
def declare(body: dict[str, Any]) -> Response:
    """Declare an act, the plain way"""
    from flask import request

    at = clock.now()
    with transaction() as current:
        person = _person(current, request.headers["Authorization"].removeprefix("Bearer "), at)
        shown = _take(current, person, body, at)
    return answer(shown, 201)


def _person(current: Any, token: str, at: datetime) -> Person:
    from app.people.sign_in import token_hash

    login = current.scalars(select(LoginSession).where(LoginSession.token_hash == token_hash(token))).one()
    person: Person = current.get_one(Person, login.person_id)
    if login.revoked_at is not None or login.expires_at < at or login.epoch != person.epoch:
        raise PermissionError
    return person


def _take(current: Any, person: Person, body: dict[str, Any], at: datetime) -> dict[str, Any]:
    program = current.scalars(select(Program).where(Program.code == body["program"])).one()
    scenario = current.scalars(
        select(Scenario).where(Scenario.program_id == program.id, Scenario.code == body["scenario"])
    ).one()
    source = current.scalars(select(Source).where(Source.program_id == program.id, Source.kind == "citizen")).first()
    current.scalars(
        select(Membership).where(Membership.program_id == program.id, Membership.person_id == person.id)
    ).one()
    consent = select(Consent).where(Consent.person_id == person.id, Consent.purpose == scenario.consent_purpose)
    current.scalars(consent.where(Consent.withdrawn_at.is_(None))).one()
    reference = f"{person.id}:{body['client_ref']}"
    same = select(Record).where(Record.program_id == program.id, Record.source_id == source.id)
    if current.scalars(same.where(Record.reference == reference)).first() is not None:
        raise ValueError("known")
    version = _version(current, scenario.methodology, body["occurred_at"])
    result = methodologies.method(version).calculate(
        {name: str(value) for name, value in body["facts"].items()}, program.region
    )
    record = Record(
        program_id=program.id,
        person_id=person.id,
        scenario_id=scenario.id,
        source_id=source.id,
        reference=reference,
        facts={name: str(value) for name, value in body["facts"].items()},
        occurred_at=body["occurred_at"],
        ended_at=body["ended_at"],
        received_at=at,
    )
    current.add(record)
    current.flush()
    transfer = _move(current, f"avoided:{program.id}", f"mg:{person.id}", result.counted_mg, "reduction", record.id, at)
    current.add(
        Reduction(
            record_id=record.id,
            version_id=version.id,
            inputs=dict(result.inputs),
            raw_mg=result.raw_mg,
            transfer_id=transfer.id,
        )
    )
    credits = _award(current, program, scenario, person, record, result, at)
    current.add(Outbox(event="record.counted", payload={"record_ids": [record.id]}))
    return {
        "id": str(record.id),
        "state": "counted",
        "reason": None,
        "mg": str(result.counted_mg),
        "credits": credits,
        "award_state": "paid",
        "paid_in": None,
    }


def _version(current: Any, methodology: str, when: datetime) -> Any:
    """The version in force; its compiled formula is remembered, as the product does."""
    book = methodologies.book_of_all() if not _books else _books[0]
    _books[:] = [book]
    found = book.in_force(methodology, clock.business_day(when))
    if found is None:
        raise ValueError("no version")
    current.get_one(MethodologyVersion, found.id)
    return found


_books: list[Any] = []


def _award(
    current: Any, program: Program, scenario: Scenario, person: Person, record: Record, result: Any, at: datetime
) -> int:
    terms = current.scalars(
        select(Terms).where(Terms.program_id == program.id).order_by(Terms.effective_at.desc())
    ).first()
    earned = result.counted_mg * terms.credits_per_kg * terms.tier_bps["E"] // 10_000
    day = clock.business_day(record.occurred_at)
    allowed = earned
    for kind, most in [*scenario.caps.items(), ("program", terms.daily_credits_cap)]:
        period = day.isoformat() if kind == "program" else clock.period(kind, day).key
        use = _cap(current, person.id, f"{kind}:{scenario.id}", period)
        allowed = min(allowed, int(most) * 1_000_000 - use.used)
        use.used += allowed
    wallet = _account(current, f"wallet:{person.id}")
    credits, wallet.carry = divmod(wallet.carry + allowed, 1_000_000)
    award = Award(record_id=record.id, earned=earned, cut=earned - allowed, credits=credits)
    if credits:
        budget = f"budget:{program.id}"
        transfer = _move(current, budget, f"wallet:{person.id}", credits, "award", record.id, at)
        ends = lot_end(terms, at)
        lot = current.scalars(select(Lot).where(Lot.account_id == wallet.id, Lot.expires_at == ends)).first()
        if lot is None:
            lot = Lot(account_id=wallet.id, expires_at=ends, remaining=0)
            current.add(lot)
        lot.remaining += credits
        current.flush()
        award.transfer_id, award.lot_id = transfer.id, lot.id
    current.add(award)
    return int(credits)


def _cap(current: Any, person_id: int, scope: str, period: str) -> CapUse:
    query = select(CapUse).where(CapUse.person_id == person_id, CapUse.scope == scope, CapUse.period == period)
    use = current.scalars(query).first()
    if use is None:
        use = CapUse(person_id=person_id, scope=scope, period=period, used=0)
        current.add(use)
        current.flush()
    found: CapUse = use
    return found


def _account(current: Any, owner: str) -> Account:
    account = current.scalars(select(Account).where(Account.owner == owner).with_for_update()).first()
    if account is None:
        account = Account(owner=owner, balance=0, carry=0)
        current.add(account)
        current.flush()
    found: Account = account
    return found


def _move(
    current: Any, from_owner: str, to_owner: str, amount: int, reason: str, record_id: int, at: datetime
) -> Transfer:
    """Two entries and two balances. The payer's row is hot: everybody waits for it, the usual way."""
    payee, payer = _account(current, to_owner), _account(current, from_owner)
    transfer = Transfer(reason=reason, source_ref=f"record:{record_id}", posted_at=at)
    current.add(transfer)
    current.flush()
    for account, change in ((payer, -amount), (payee, amount)):
        account.balance += change
        current.add(Entry(transfer_id=transfer.id, account_id=account.id, amount=change, balance_after=account.balance))
    current.flush()
    return transfer
