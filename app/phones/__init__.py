"""Phone numbers: one per person, encrypted to be shown masked, hashed to be found; and what asking for them costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from app import clock, vault
from app.db import connection, read, session
from app.errors import NOT_FOUND, Kind, declare
from app.phones.models import Cost, Phone

SEALED = "phone-number"
HASHED = "phone-number-hash"
NUMBER_COST = "phone_number"

PHONE_TAKEN = declare(
    "phone_taken",
    Kind.CONFLICT,
    zh="该手机号已绑定另一个账号。如果那是您的旧账号，请使用“找回账号”。",
    en="This number is bound to another account. If that is your old one, ask for its recovery.",
)


@dataclass(frozen=True, slots=True)
class Bound:
    """A person's number as it may be shown: three first and two last digits."""

    masked: str
    bound_at: datetime
    number: str = field(repr=False)


def bind(*, person_id: int, country: str, number: str, at: datetime) -> Bound:
    """Bind a number that WeChat has proven; it takes the place of an older one. Raises PHONE_TAKEN."""
    whole = f"{country}-{number}"
    hashes = number_hashes(country, number)
    mine = _live(person_id)
    if mine is not None and bytes(mine.number_hash) in hashes:
        return Bound(masked(number), mine.bound_at, number)
    if holder_of(hashes) not in (None, person_id):  # perhaps under the secret of before
        raise PHONE_TAKEN()
    if mine is not None:
        session().delete(mine)
        session().flush()
    row = {
        "person_id": person_id,
        "number_hash": hashes[0],
        "number_sealed": vault.encrypt(SEALED, whole),
        "bound_at": at,
    }
    done = connection().execute(insert(Phone).values(row).on_conflict_do_nothing().returning(Phone.id))
    if done.first() is None:
        raise PHONE_TAKEN()
    return Bound(masked(number), at, number)


def unbind(*, person_id: int, at: datetime) -> None:
    """Forget the number. Raises NOT_FOUND when none is bound."""
    mine = _live(person_id)
    if mine is None:
        raise NOT_FOUND(phone="")
    session().delete(mine)
    session().flush()


def of_person(person_id: int) -> Bound | None:
    """A person's number, or None."""
    query = "select number_sealed, bound_at from phones where person_id = %(id)s and unbound_at is null"
    rows = read(query, {"id": person_id})
    if not rows:
        return None
    number = vault.decrypt(SEALED, bytes(rows[0].number_sealed)).partition("-")[2]
    return Bound(masked(number), rows[0].bound_at, number)


def holder_of(hashes: Sequence[bytes]) -> int | None:
    """Whose number it is, by :func:`number_hashes`."""
    query = "select person_id from phones where number_hash = any (%(h)s::bytea[]) and unbound_at is null"
    rows = read(query, {"h": list(hashes)})
    return int(rows[0].person_id) if rows else None


def number_hashes(country: str, number: str) -> list[bytes]:
    """The keyed hashes by which a number is found: the present one first, then those of the secrets of before."""
    whole = f"{country}-{number}"
    return [vault.keyed_hash(HASHED, whole), *vault.former_hashes(HASHED, whole)]


def masked(number: str) -> str:
    """``138******78``, as platform rules want a number shown."""
    return f"{number[:3]}{'*' * max(len(number) - 5, 1)}{number[-2:]}"


def charge(*, appid: str, what: str, at: datetime) -> int:
    """Count a use that WeChat charges for; answers how many there were today."""
    row = {"day": clock.business_day(at), "appid": appid, "what": what, "calls": 1}
    statement = insert(Cost).values(row)
    more = statement.on_conflict_do_update(index_elements=["day", "appid", "what"], set_={"calls": Cost.calls + 1})
    return int(connection().execute(more.returning(Cost.calls)).scalar_one())


def costs(*, days: int = 31) -> list[Cost]:
    """What was used in the last days, newest first."""
    return list(session().scalars(select(Cost).order_by(Cost.day.desc(), Cost.appid, Cost.what).limit(days * 4)))


def _live(person_id: int) -> Phone | None:
    query = select(Phone).where(Phone.person_id == person_id, Phone.unbound_at.is_(None))
    return session().scalars(query.with_for_update()).first()


__all__ = [
    "NUMBER_COST",
    "PHONE_TAKEN",
    "Bound",
    "Phone",
    "bind",
    "charge",
    "costs",
    "holder_of",
    "masked",
    "number_hashes",
    "of_person",
    "unbind",
]
