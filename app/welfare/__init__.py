"""Welfare: credits given to a cause; the sponsors of those credits pay it out."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, update

from app import funding, ledger
from app.db import connection, read, session
from app.errors import IDEMPOTENCY_CONFLICT, NOT_FOUND, Kind, declare
from app.funding.models import Budget
from app.funding.spending import worth_fen
from app.ledger import Draft
from app.units import CREDITS, FEN
from app.welfare.models import Gift, WelfareProject

PROJECT_CLOSED = declare(
    "project_closed",
    Kind.CONFLICT,
    zh="该公益项目已结束，感谢您的心意。请看看其他项目。",
    en="This project is closed; thank you for the thought. See the other projects.",
)


@dataclass(frozen=True, slots=True)
class Given:
    """A gift, and whether this call made it."""

    gift: Gift
    fresh: bool


def open_project(
    *, program_id: int, code: str, name: str, name_en: str, target_credits: int, text_zh: str = "", text_en: str = ""
) -> WelfareProject:
    """The project of this code, made with its money account when there is none."""
    query = select(WelfareProject).where(WelfareProject.program_id == program_id, WelfareProject.code == code)
    found = session().scalars(query).first()
    if found is None:
        money = ledger.account(program_id=program_id, asset=FEN, kind="welfare", owner_key=code)
        found = WelfareProject(
            program_id=program_id,
            code=code,
            name=name,
            name_en=name_en,
            text_zh=text_zh,
            text_en=text_en,
            target_credits=target_credits,
            given_credits=0,
            money_account_id=money,
            state="open",
        )
        session().add(found)
        session().flush()
    return found


def give(*, person_id: int, program_id: int, project_id: int, credits: int, client_ref: str, at: datetime) -> Given:
    """Give credits to a project: they are spent, and each lot's sponsor pays its whole fen to the project.

    The same ``client_ref`` with the same content is answered with the first gift. Raises IDEMPOTENCY_CONFLICT,
    NOT_FOUND, PROJECT_CLOSED, INSUFFICIENT. Locks: wallet, project, ledger accounts.
    """
    body_hash = hashlib.sha256(f"{project_id}:{credits}".encode()).digest()
    wallet = funding.lock_wallet(person_id=person_id, program_id=program_id, at=at)
    first = session().scalars(select(Gift).where(Gift.person_id == person_id, Gift.client_ref == client_ref)).first()
    if first is not None:
        if bytes(first.body_hash) != body_hash:
            raise IDEMPOTENCY_CONFLICT(client_ref=client_ref)
        return Given(first, False)
    project = session().get(WelfareProject, project_id)
    if project is None or project.program_id != program_id:
        raise NOT_FOUND(project=str(project_id))
    if project.state != "open":
        raise PROJECT_CLOSED()
    spent_account = ledger.account(program_id=program_id, asset=CREDITS, kind="spent")
    source_ref = f"person:{person_id}:{client_ref}"
    spent = funding.spend(
        wallet=wallet, credits=credits, to_account_id=spent_account, reason="gift", source_ref=source_ref, at=at
    )
    fen = _pay_project(project, spent.parts, source_ref, at)
    counted = update(WelfareProject).where(WelfareProject.id == project_id)
    connection().execute(counted.values(given_credits=WelfareProject.given_credits + credits))
    gift = Gift(
        program_id=program_id,
        project_id=project_id,
        person_id=person_id,
        client_ref=client_ref,
        body_hash=body_hash,
        credits=credits,
        fen=fen,
        transfer_id=spent.transfer_id,
        certificate_no=f"G{at:%Y%m%d}-{secrets.token_hex(5).upper()}",
        given_at=at,
    )
    session().add(gift)
    session().flush()
    return Given(gift, True)


def _pay_project(project: WelfareProject, parts: Sequence[ledger.LotPart], source_ref: str, at: datetime) -> int:
    """Move what the credits are worth from their budgets' money to the project; answers the fen."""
    worth = worth_fen(parts)
    total = sum(worth)
    if total == 0:
        return 0
    wanted = select(Budget.id, Budget.money_account_id).where(Budget.id.in_({part.budget_id for part in parts}))
    money = {row.id: row.money_account_id for row in connection().execute(wanted)}
    legs = [(money[part.budget_id], -fen) for part, fen in zip(parts, worth, strict=True) if fen]
    legs.append((project.money_account_id, total))
    ledger.post([Draft(project.program_id, "gift.pay", source_ref, legs)], at=at)
    return total


def projects(program_id: int) -> list[WelfareProject]:
    """A program's welfare projects by code."""
    query = select(WelfareProject).where(WelfareProject.program_id == program_id).order_by(WelfareProject.code)
    return list(session().scalars(query))


_SHOWN = """
    select w.id, w.code, w.name, w.name_en, w.text_zh, w.text_en, w.target_credits, w.given_credits, w.state,
           coalesce(a.balance, 0) as owed_fen, (select count(*) from gifts g where g.project_id = w.id) as gifts
    from welfare_projects w join accounts a on a.id = w.money_account_id
    where w.program_id = %(program)s order by w.code
"""


def projects_shown(program_id: int) -> list[Any]:
    """A program's projects by code, with what was given and what sponsors owe them for it (fen, from the ledger)."""
    return read(_SHOWN, {"program": program_id})


_GIFTS = """
    select g.id, g.credits, g.fen, g.certificate_no, g.given_at, g.project_id, w.name, w.name_en, p.code as program
    from gifts g join welfare_projects w on w.id = g.project_id join programs p on p.id = g.program_id
    where g.person_id = %(person)s
"""


def gifts_of(person_id: int, *, before: int | None, limit: int) -> list[Any]:
    """A person's gifts, newest first, below the cursor."""
    values = {"person": person_id, "before": before or 2**63 - 1, "limit": limit}
    return read(_GIFTS + " and g.id < %(before)s order by g.id desc limit %(limit)s", values)


def gift(gift_id: int, person_id: int) -> Any:
    """One of a person's gifts as in the list."""
    return read(_GIFTS + " and g.id = %(gift)s", {"person": person_id, "gift": gift_id})[0]


def gifts_of_transfers(person_id: int, transfer_ids: Sequence[int]) -> dict[int, int]:
    """The gifts that a person made with these transfers, by transfer."""
    query = "select transfer_id, id from gifts where person_id = %(person)s and transfer_id = any (%(ids)s::bigint[])"
    return {row.transfer_id: row.id for row in read(query, {"person": person_id, "ids": list(transfer_ids)})}


def program_of(project_id: int) -> int:
    """The program of a project. Raises NOT_FOUND."""
    rows = read("select program_id from welfare_projects where id = %(id)s", {"id": project_id})
    if not rows:
        raise NOT_FOUND(project=str(project_id))
    return int(rows[0].program_id)


def certificate(certificate_no: str) -> tuple[Gift, WelfareProject] | None:
    """A gift by its certificate number: anybody may check it; it names no person."""
    query = select(Gift, WelfareProject).join(WelfareProject, WelfareProject.id == Gift.project_id)
    found = session().execute(query.where(Gift.certificate_no == certificate_no)).first()
    return None if found is None else (found[0], found[1])


__all__ = [
    "PROJECT_CLOSED",
    "Gift",
    "Given",
    "WelfareProject",
    "certificate",
    "gift",
    "gifts_of",
    "gifts_of_transfers",
    "give",
    "open_project",
    "program_of",
    "projects",
    "projects_shown",
]
