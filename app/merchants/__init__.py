"""Merchants: businesses that redeem codes and are owed for it, their shops, and the people who scan."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select, update

from app import ledger
from app.db import connection, read, session
from app.errors import Kind, declare
from app.merchants.applying import LICENCE_KNOWN, LICENCE_WRONG
from app.merchants.models import Application, Invitation, Merchant, Shop, Staff
from app.merchants.running import PAUSED_BY_OPERATOR, STILL_LIVE
from app.merchants.staffing import LAST_OWNER, STAFF_INVITATION_INVALID
from app.units import FEN

NOT_STAFF = declare(
    "not_staff",
    Kind.NOT_ALLOWED,
    zh="您不是这家店的店员，或已被移除。请联系店主。",
    en="You do not work in this shop, or no longer. Ask the owner.",
)


def register(*, program_id: int, code: str, name: str, name_en: str = "") -> Merchant:
    """The merchant of this code, made with its payable account when there is none."""
    found = session().scalars(select(Merchant).where(Merchant.program_id == program_id, Merchant.code == code)).first()
    if found is None:
        payable = ledger.account(program_id=program_id, asset=FEN, kind="payable", owner_key=code)
        found = Merchant(
            program_id=program_id, code=code, name=name, name_en=name_en, payable_account_id=payable, state="active"
        )
        session().add(found)
        session().flush()
    return found


def open_shop(*, merchant: Merchant, name: str, address: str = "") -> Shop:
    """The shop of this name, made when there is none."""
    query = select(Shop).where(Shop.merchant_id == merchant.id, Shop.name == name)
    found = session().scalars(query).first()
    if found is None:
        found = Shop(program_id=merchant.program_id, merchant_id=merchant.id, name=name, address=address)
        session().add(found)
        session().flush()
    return found


def employ(*, shop_id: int, person_id: int, role: str, at: datetime) -> Staff:
    """Let a person scan for a shop; employed already, that row is answered."""
    query = select(Staff).where(Staff.shop_id == shop_id, Staff.person_id == person_id, Staff.active_until.is_(None))
    found = session().scalars(query).first()
    if found is None:
        found = Staff(shop_id=shop_id, person_id=person_id, role=role, active_from=at)
        session().add(found)
        session().flush()
    return found


def dismiss(*, shop_id: int, person_id: int, at: datetime) -> None:
    """End it; from this moment on the person's scans are refused."""
    live = (Staff.shop_id == shop_id, Staff.person_id == person_id, Staff.active_until.is_(None))
    session().execute(update(Staff).where(*live).values(active_until=at))


def shop_of_staff(*, shop_id: int, person_id: int, at: datetime) -> tuple[Shop, Merchant]:
    """The shop and its merchant, if the person works there at this moment. Raises NOT_STAFF."""
    query = (
        select(Shop, Merchant)
        .join(Merchant, Merchant.id == Shop.merchant_id)
        .join(Staff, Staff.shop_id == Shop.id)
        .where(Shop.id == shop_id, Staff.person_id == person_id, Staff.active_from <= at)
        .where((Staff.active_until.is_(None)) | (Staff.active_until > at))
    )
    found = session().execute(query).first()
    if found is None:
        raise NOT_STAFF()
    return found[0], found[1]


_ROLE = """
    select f.role, exists (
      select from sessions s join persons p on p.id = s.person_id
      where s.id = %(session)s and s.revoked_at is null and s.expires_at > %(at)s and s.epoch = p.epoch
        and p.state = 'active') as stands
    from (values (1)) as one (x)
    left join staff f on f.shop_id = %(shop)s and f.person_id = %(person)s and f.active_from <= %(at)s
      and (f.active_until is null or f.active_until > %(at)s)
"""


def role_in_shop(*, shop_id: int, person_id: int, session_id: int, at: datetime) -> tuple[str | None, bool]:
    """In which role a person works in a shop at this moment, if at all, and whether the login still stands: what a scan
    asks for before anything else, in one statement."""
    row = read(_ROLE, {"shop": shop_id, "person": person_id, "session": session_id, "at": at})[0]
    return row.role, row.stands


def shops(merchant_id: int) -> list[Shop]:
    """A merchant's shops by name."""
    return list(session().scalars(select(Shop).where(Shop.merchant_id == merchant_id).order_by(Shop.name)))


def shops_of_person(person_id: int, at: datetime) -> list[tuple[Shop, Merchant, str]]:
    """The shops where a person works now, with the role."""
    query = (
        select(Shop, Merchant, Staff.role)
        .join(Merchant, Merchant.id == Shop.merchant_id)
        .join(Staff, Staff.shop_id == Shop.id)
        .where(Staff.person_id == person_id, Staff.active_from <= at)
        .where((Staff.active_until.is_(None)) | (Staff.active_until > at))
        .order_by(Shop.id)
    )
    return [(row[0], row[1], row[2]) for row in session().execute(query)]


def owed_fen(merchant: Merchant) -> int:
    """What we owe the merchant now, from the ledger: what accrued, and what is approved and not paid yet."""
    mine = (ledger.Account.program_id == merchant.program_id, ledger.Account.owner_key == merchant.code)
    kinds = (ledger.Account.asset == FEN, ledger.Account.kind.in_(("payable", "payout")))
    return int(connection().execute(select(func.sum(ledger.Account.balance)).where(*mine, *kinds)).scalar_one() or 0)


__all__ = [
    "LAST_OWNER",
    "LICENCE_KNOWN",
    "LICENCE_WRONG",
    "NOT_STAFF",
    "PAUSED_BY_OPERATOR",
    "STAFF_INVITATION_INVALID",
    "STILL_LIVE",
    "Application",
    "Invitation",
    "Merchant",
    "Shop",
    "Staff",
    "dismiss",
    "employ",
    "open_shop",
    "owed_fen",
    "register",
    "role_in_shop",
    "shop_of_staff",
    "shops",
    "shops_of_person",
]  # fmt: skip
