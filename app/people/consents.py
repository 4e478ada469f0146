"""Consents: what a person agreed to, by purpose, with the words that were shown. Nothing is agreed by default."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert

from app.db import connection, session
from app.errors import NOT_FOUND, Kind, declare
from app.people.models import Consent

TERMS = "terms"
"""Purpose of agreeing to a program's terms version; the program is named beside it."""

CONSENT_REQUIRED = declare(
    "consent_required",
    Kind.NOT_ALLOWED,
    zh="此功能需要您先同意相应的数据使用说明（见 details.purpose）。不同意不影响其他功能。",
    en="This needs your consent to one use of data (see `details.purpose`). Everything else works without it.",
)
CONSENT_OUTDATED = declare(
    "consent_outdated",
    Kind.CONFLICT,
    zh="说明文字已更新，请阅读最新版本后再同意。",
    en="The text has changed. Read the present version and agree to that one.",
)


@dataclass(frozen=True, slots=True)
class Purpose:
    """One use of personal data that a person may agree to or not. A changed text is a new version."""

    key: str
    version: str
    zh: str
    en: str

    @property
    def text_hash(self) -> bytes:
        return hashlib.sha256(f"{self.version}\n{self.zh}\n{self.en}".encode()).digest()


PURPOSES: dict[str, Purpose] = {
    purpose.key: purpose
    for purpose in (
        Purpose(
            "steps",
            "2026-11",
            "读取您的微信运动每日步数，用于计算步行积分。只保存每天的步数，不保存轨迹；可随时撤回。",
            "We read your daily steps from WeRun to credit walking. Only the number per day is kept, no track; "
            "you can withdraw at any time.",
        ),
        Purpose(
            "vehicle",
            "2026-11",
            "从车辆平台或充电平台读取您绑定车辆的里程与充电量，用于计算减排量。不保存行驶轨迹；可随时撤回。",
            "We read mileage and charged energy of the vehicles you bind, from vehicle and charging platforms, to "
            "compute reductions. No track is kept; you can withdraw at any time.",
        ),
        Purpose(
            "rides",
            "2026-11",
            "从地铁、公交、共享单车平台读取您绑定账号的乘行记录（时间与里程），用于计算减排量；可随时撤回并解绑。",
            "We read the rides of the metro, bus and bike accounts you bind (time and distance) to compute reductions; "
            "you can withdraw and unbind at any time.",
        ),
        Purpose(
            "location",
            "2026-11",
            "现场签到时使用您的位置，仅用于判断是否到场，判断后不保存位置；可随时撤回。",
            "Your position is used at on-site check-ins, only to judge that you are there, and is not kept afterwards; "
            "you can withdraw at any time.",
        ),
        Purpose(
            "office",
            "2026-11",
            "从您所在单位读取无纸化办公、线上会议等记录，用于计算减排量。单位看不到您个人的其他行为；可随时撤回。",
            "We read paperless-office and meeting records from your employer to compute reductions. Your employer "
            "never sees your other acts; you can withdraw at any time.",
        ),
        Purpose(
            "household",
            "2026-11",
            "读取您绑定的家庭用电户号的电量与垃圾分类记录，用于计算减排量；可随时撤回并解绑。",
            "We read electricity use and waste-sorting records of the household you bind to compute reductions; "
            "you can withdraw and unbind at any time.",
        ),
    )
}


def purpose(key: str) -> Purpose:
    """The present words of a purpose. Raises NOT_FOUND."""
    if key not in PURPOSES:
        raise NOT_FOUND(purpose=key)
    return PURPOSES[key]


def agree(*, person_id: int, key: str, version: str, at: datetime) -> None:
    """Agree to the present text of a purpose; again is no change. Raises CONSENT_OUTDATED for another version."""
    wanted = purpose(key)
    if version != wanted.version:
        raise CONSENT_OUTDATED(purpose=key, version=wanted.version)
    record(person_id=person_id, key=key, version=version, text_hash=wanted.text_hash, at=at)


def record(
    *, person_id: int, key: str, version: str, text_hash: bytes, at: datetime, program_id: int | None = None
) -> None:
    """Write an agreement down. One to the same text stands; one to an older text is withdrawn and followed by this."""
    same_purpose = (
        Consent.person_id == person_id,
        Consent.purpose == key,
        Consent.program_id.is_not_distinct_from(program_id),
        Consent.withdrawn_at.is_(None),
    )
    older = (*same_purpose, (Consent.text_version != version) | (Consent.text_hash != text_hash))
    session().execute(update(Consent).where(*older).values(withdrawn_at=at))
    statement = insert(Consent).values(
        person_id=person_id,
        program_id=program_id,
        purpose=key,
        text_version=version,
        text_hash=text_hash,
        granted_at=at,
    )
    connection().execute(statement.on_conflict_do_nothing())


def withdraw(*, person_id: int, key: str, at: datetime, program_id: int | None = None) -> bool:
    """Withdraw: intake for that purpose stops at once, what is credited stays. Answers whether there was a consent."""
    live = (
        Consent.person_id == person_id,
        Consent.purpose == key,
        Consent.program_id.is_not_distinct_from(program_id),
        Consent.withdrawn_at.is_(None),
    )
    done = session().execute(update(Consent).where(*live).values(withdrawn_at=at).returning(Consent.id))
    return done.first() is not None


def live_of(person_id: int) -> list[Consent]:
    """All standing consents of a person."""
    query = select(Consent).where(Consent.person_id == person_id, Consent.withdrawn_at.is_(None))
    return list(session().scalars(query.order_by(Consent.id)))


def has(person_id: int, key: str) -> bool:
    """Whether a person's consent to a data purpose stands now."""
    return person_id in consenting([person_id], key)


def consenting(person_ids: Iterable[int], key: str) -> set[int]:
    """Those of many persons whose consent to a data purpose stands now: one statement for a whole batch."""
    statement = text(
        "select person_id from consents where person_id = any(:ids) and purpose = :key"
        " and program_id is null and withdrawn_at is null"
    )
    return {row[0] for row in connection().execute(statement, {"ids": list(person_ids), "key": key})}


def require(person_id: int, key: str | None) -> None:
    """Raise CONSENT_REQUIRED, naming the purpose, when the person's consent doesn't stand. None asks for nothing."""
    if key is not None and not has(person_id, key):
        raise CONSENT_REQUIRED(purpose=key)
