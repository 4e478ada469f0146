"""Becoming a merchant: a citizen asks, an operator approves or refuses with a reason, the applicant is the owner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select

from app import audit, ledger, notices, vault
from app.db import session
from app.errors import NOT_FOUND, STATE_CONFLICT, Kind, declare
from app.merchants.models import Application, Merchant, Shop, Staff
from app.units import FEN

SEALED = "merchant-phone"
_LICENCE = "0123456789ABCDEFGHJKLMNPQRTUWXY"

LICENCE_WRONG = declare(
    "licence_wrong",
    Kind.INVALID,
    zh="统一社会信用代码有误（18 位，末位为校验码），请核对营业执照。",
    en="This is not a licence number: 18 characters, the last one a check character. Look at the business licence.",
)
LICENCE_KNOWN = declare(
    "licence_known",
    Kind.CONFLICT,
    zh="该营业执照已提交申请或已是本项目商户。请联系店主邀请您加入，或等待审核结果。",
    en="A business of this licence has applied or is a merchant already. Ask its owner for an invitation.",
)


def licence(written: str) -> str:
    """A licence number in its one form. The last character checks the others (GB 32100-2015). Raises LICENCE_WRONG."""
    number = written.strip().upper()
    if len(number) != 18 or any(character not in _LICENCE for character in number):
        raise LICENCE_WRONG()
    total = sum(_LICENCE.index(character) * pow(3, place, 31) for place, character in enumerate(number[:17]))
    if _LICENCE[-total % 31] != number[17]:
        raise LICENCE_WRONG()
    return number


def apply(
    *,
    program_id: int,
    person_id: int,
    name: str,
    name_en: str,
    licence_no: str,
    phone: str,
    shops: Sequence[Mapping[str, Any]],
    at: datetime,
) -> Application:
    """Ask to become a merchant. The same person's open application is answered again, with what it says now.

    ``shops``: name, address, lat_e6, lng_e6, opening_hours. Raises LICENCE_WRONG, LICENCE_KNOWN.
    """
    number = licence(licence_no)
    open_ones = Application.state.in_(("submitted", "approved"))
    query = select(Application).where(Application.program_id == program_id, Application.licence_no == number, open_ones)
    found = session().scalars(query.with_for_update()).first()
    if found is not None and (found.person_id != person_id or found.state == "approved"):
        raise LICENCE_KNOWN()
    if found is None:
        found = Application(program_id=program_id, person_id=person_id, licence_no=number, asked_at=at)
        session().add(found)
    found.name, found.name_en, found.shops = name, name_en, [dict(shop) for shop in shops]
    found.phone_sealed = vault.encrypt(SEALED, phone)
    session().flush()
    return found


def applications_of(person_id: int) -> list[Application]:
    """What a person has asked for, newest first."""
    query = select(Application).where(Application.person_id == person_id).order_by(Application.id.desc())
    return list(session().scalars(query.limit(20)))


def waiting(program_id: int) -> list[Application]:
    """What waits for a decision, oldest first."""
    query = select(Application).where(Application.program_id == program_id, Application.state == "submitted")
    return list(session().scalars(query.order_by(Application.id)))


def phone_of(application: Application) -> str:
    """The number to call, for the operator who decides; the reading is audited by the caller."""
    return "" if application.phone_sealed is None else vault.decrypt(SEALED, bytes(application.phone_sealed))


def approve(*, application_id: int, code: str, by: str, at: datetime, group_code: str | None = None) -> Merchant:
    """Make the merchant and its shops, with the applicant as owner of all, and say so. Twice is the same answer.

    Raises NOT_FOUND, STATE_CONFLICT.
    """
    found = _locked(application_id)
    if found.state == "approved" and found.merchant_id is not None:
        return session().get_one(Merchant, found.merchant_id)
    _undecided(found)
    payable = ledger.account(program_id=found.program_id, asset=FEN, kind="payable", owner_key=code)
    merchant = Merchant(
        program_id=found.program_id,
        code=code,
        name=found.name,
        name_en=found.name_en,
        payable_account_id=payable,
        licence_no=found.licence_no,
        group_code=group_code,
        state="active",
    )
    session().add(merchant)
    session().flush()
    for told in found.shops:
        shop = Shop(program_id=found.program_id, merchant_id=merchant.id, **told)
        session().add(shop)
        session().flush()
        session().add(Staff(shop_id=shop.id, person_id=found.person_id, role="owner", active_from=at))
    found.state, found.merchant_id, found.decided_at, found.decided_by = "approved", merchant.id, at, by
    session().flush()
    audit.write(
        actor=by, action="merchant.approve", object_type="merchant_application", object_id=found.id, at=at,
        program_id=found.program_id, after={"merchant": code, "licence_no": found.licence_no},
    )  # fmt: skip
    _tell(found, "approved", f"商户“{found.name}”已通过审核。", f"“{found.name}” is a merchant now.", at)
    return merchant


def refuse(*, application_id: int, reason: str, by: str, at: datetime) -> None:
    """Refuse with a reason that the applicant reads. Raises NOT_FOUND, STATE_CONFLICT."""
    found = _locked(application_id)
    _undecided(found)
    found.state, found.reason, found.decided_at, found.decided_by = "refused", reason, at, by
    session().flush()
    audit.write(
        actor=by, action="merchant.refuse", object_type="merchant_application", object_id=found.id, at=at,
        program_id=found.program_id, reason=reason,
    )  # fmt: skip
    zh, en = f"商户“{found.name}”未通过审核：{reason}", f"“{found.name}” was not approved: {reason}"
    _tell(found, "refused", zh, en, at)


def _locked(application_id: int) -> Application:
    found = session().get(Application, application_id, with_for_update=True)
    if found is None:
        raise NOT_FOUND(application=str(application_id))
    return found


def _undecided(found: Application) -> None:
    if found.state != "submitted":
        raise STATE_CONFLICT(state=found.state)


def _tell(found: Application, what: str, zh: str, en: str, at: datetime) -> None:
    notices.tell(
        key=f"merchant-application:{found.id}:{what}", person_id=found.person_id, program_id=found.program_id,
        kind=f"merchant.{what}", zh=zh, en=en, at=at,
    )  # fmt: skip
