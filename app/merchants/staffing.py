"""Who works in a shop: invited by a code that an owner or manager shows, dismissed at once.

An owner may invite and dismiss everybody; a manager clerks only. A shop keeps at least one owner.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update

from app import audit, vault
from app.db import connection, read, session
from app.errors import FORBIDDEN, NOT_FOUND, Kind, declare
from app.merchants.models import Invitation, Shop, Staff

INVITED_FOR = timedelta(hours=24)
HASHED = "staff-invitation"
BELOW = {"owner": ("clerk", "manager", "owner"), "manager": ("clerk",), "clerk": ()}

STAFF_INVITATION_INVALID = declare(
    "staff_invitation_invalid",
    Kind.INVALID,
    zh="邀请码无效、已使用或已过期，请店主重新生成。",
    en="This invitation is wrong, used or over. Ask the owner for a new one.",
)
LAST_OWNER = declare(
    "last_owner",
    Kind.CONFLICT,
    zh="门店至少需要一位店主。请先邀请另一位店主。",
    en="A shop keeps at least one owner. Invite another one first.",
)


def invite(*, shop_id: int, role: str, by_person: int, by_role: str, at: datetime) -> tuple[str, datetime]:
    """A code by which one person takes a job, shown this once; answers it with its end. Raises FORBIDDEN."""
    if role not in BELOW[by_role]:
        raise FORBIDDEN(role=by_role, wanted=role)
    token, ends = secrets.token_urlsafe(16), at + INVITED_FOR
    session().add(
        Invitation(
            shop_id=shop_id,
            role=role,
            token_hash=vault.keyed_hash(HASHED, token),
            made_by=by_person,
            made_at=at,
            expires_at=ends,
        )
    )
    session().flush()
    return token, ends


def accept(*, token: str, person_id: int, at: datetime) -> Staff:
    """Take the job of an invitation, once; for who has it already the role becomes that of the invitation.

    Raises STAFF_INVITATION_INVALID, alike for every reason, LAST_OWNER.
    """
    good = (
        Invitation.token_hash == vault.keyed_hash(HASHED, token),
        Invitation.expires_at > at,
        Invitation.used_by.is_(None),
    )
    taken = update(Invitation).where(*good).values(used_by=person_id, used_at=at)
    row = connection().execute(taken.returning(Invitation.shop_id, Invitation.role)).first()
    if row is None:
        raise STAFF_INVITATION_INVALID()
    live = select(Staff).where(Staff.shop_id == row.shop_id, Staff.person_id == person_id, Staff.active_until.is_(None))
    standing = session().scalars(live.with_for_update()).first()
    if standing is not None:
        if standing.role == row.role:
            return standing
        if standing.role == "owner":
            _another_owner(row.shop_id, person_id)
        standing.active_until = at
        session().flush()
    staff = Staff(shop_id=row.shop_id, person_id=person_id, role=row.role, active_from=at)
    session().add(staff)
    session().flush()
    _audit(f"person:{person_id}", "staff.join", row.shop_id, {"person": person_id, "role": row.role}, at)
    return staff


def dismiss_by(*, shop_id: int, person_id: int, by_person: int, by_role: str, at: datetime) -> None:
    """End somebody's work from this moment on, with the invitations that they made.

    Raises NOT_FOUND, FORBIDDEN, LAST_OWNER.
    """
    live = select(Staff).where(Staff.shop_id == shop_id, Staff.person_id == person_id, Staff.active_until.is_(None))
    standing = session().scalars(live.with_for_update()).first()
    if standing is None:
        raise NOT_FOUND(person=str(person_id))
    if standing.role not in BELOW[by_role] and person_id != by_person:
        raise FORBIDDEN(role=by_role, wanted=standing.role)
    if standing.role == "owner":
        _another_owner(shop_id, person_id)
    standing.active_until = at
    theirs = (Invitation.shop_id == shop_id, Invitation.made_by == person_id, Invitation.used_by.is_(None))
    session().execute(update(Invitation).where(*theirs, Invitation.expires_at > at).values(expires_at=at))
    session().flush()
    _audit(f"person:{by_person}", "staff.dismiss", shop_id, {"person": person_id}, at)


_STAFF = """
    select f.person_id, f.role, f.active_from, p.nickname, p.pseudonym from staff f join persons p on p.id = f.person_id
    where f.shop_id = %(shop)s and f.active_until is null order by f.id
"""


def staff_of(shop_id: int) -> list[Any]:
    """Who works in a shop now, longest first."""
    return read(_STAFF, {"shop": shop_id})


def _another_owner(shop_id: int, person_id: int) -> None:
    session().get(Shop, shop_id, with_for_update=True)  # two owners who leave at once come one after the other
    query = select(Staff.id).where(
        Staff.shop_id == shop_id, Staff.role == "owner", Staff.active_until.is_(None), Staff.person_id != person_id
    )
    if connection().execute(query.limit(1)).first() is None:
        raise LAST_OWNER()


def _audit(actor: str, action: str, shop_id: int, after: dict[str, Any], at: datetime) -> None:
    audit.write(actor=actor, action=action, object_type="shop", object_id=shop_id, at=at, after=after)
