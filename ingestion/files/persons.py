"""Whose act a row is: by the account at the source, or by the line of the program's roster. Demo programs may make test
persons for accounts that nobody has."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from app import clock, sources, vehicles
from app.db import connection
from app.people import consents
from app.people.models import Consent, Person
from app.programs.actions import roster_hash
from app.programs.models import Membership, OrgUnit, Program, RosterEntry
from app.sources.models import AccountBinding
from ingestion.files.mapping import Mapped, Problem
from ingestion.files.preset import Preset

UNKNOWN = Problem(
    "unknown_person",
    "没有绑定该账号的用户，绑定后可重新导入。",
    "Nobody has bound this account; import again after they have.",
)
WRONG_UNIT = Problem("wrong_unit", "该员工不在这个部门。", "This employee does not belong to that department.")
TEST_PURPOSES = ("steps", "vehicle", "rides")


class Finder:
    """Finds the persons of a batch of rows with a few statements."""

    def __init__(self, *, program: Program, source_id: int, preset: Preset, at: datetime) -> None:
        self.program, self.source_id, self.preset, self.at = program, source_id, preset, at

    def find(self, rows: Sequence[Mapped]) -> list[int | Problem]:
        """The person of each row, or why there is none."""
        if self.preset.person_by == "roster":
            return self._by_roster(rows)
        if self.preset.test_persons and self.program.demo:
            self._make_missing(rows)
        wanted = [(row.who, row.occurred_at) for row in rows]
        holders = sources.holders_of(self.source_id, wanted)
        return [holders[pair] or UNKNOWN for pair in wanted]

    def subjects(self, people: Sequence[int | Problem]) -> list[str | None]:
        """The vehicle that goes with each test person, for presets about vehicles; one statement."""
        known = [person for person in people if isinstance(person, int)]
        if not self.preset.test_vehicle or not known:
            return [None] * len(people)
        held = vehicles.held_by(known)
        return [f"vehicle:{held[one]}" if isinstance(one, int) and one in held else None for one in people]

    def _by_roster(self, rows: Sequence[Mapped]) -> list[int | Problem]:
        hashes = {row.who: roster_hash(self.program.id, "number", row.who) for row in rows}
        query = (
            select(RosterEntry.number_hash, RosterEntry.claimed_by, OrgUnit.code)
            .outerjoin(OrgUnit, OrgUnit.id == RosterEntry.org_unit_id)
            .where(RosterEntry.program_id == self.program.id, RosterEntry.number_hash.in_(hashes.values()))
        )
        found = {bytes(row.number_hash): row for row in connection().execute(query)}
        return [self._of_line(found.get(hashes[row.who]), row) for row in rows]

    def _of_line(self, line: Any, row: Mapped) -> int | Problem:
        if line is None or line.claimed_by is None:
            return UNKNOWN
        if row.unit and line.code and row.unit != line.code:
            return WRONG_UNIT
        return int(line.claimed_by)

    def _make_missing(self, rows: Sequence[Mapped]) -> None:
        """A test person, member and consenting, for each account of the file that nobody has; once."""
        known = sources.holders_of(self.source_id, [(row.who, row.occurred_at) for row in rows])
        missing = sorted({row.who for row in rows if known[row.who, row.occurred_at] is None})
        for account in missing:
            self._make(account)

    def _make(self, account: str) -> None:
        since = clock.day_start(self.program.starts_on)
        link = connection()
        row = {"pseudonym": f"{secrets.token_hex(8)}-test", "created_at": since, "state": "active"}
        person_id = link.execute(insert(Person).values(row).returning(Person.id)).scalar_one()
        units = select(OrgUnit.id).where(OrgUnit.program_id == self.program.id).order_by(OrgUnit.id).limit(1)
        link.execute(
            insert(Membership).values(
                program_id=self.program.id,
                person_id=person_id,
                org_unit_id=link.execute(units).scalar_one_or_none(),
                state="active",
                rank=1,
                joined_by="test",
                joined_at=since,
            )
        )
        for key in TEST_PURPOSES:
            purpose = consents.purpose(key)
            link.execute(
                upsert(Consent).values(
                    person_id=person_id,
                    purpose=key,
                    text_version=purpose.version,
                    text_hash=purpose.text_hash,
                    granted_at=since,
                )
            )
        hashed = sources.actions.account_hash(self.source_id, account)
        link.execute(
            upsert(AccountBinding).values(
                source_id=self.source_id, account_hash=hashed, hint=account[-4:], person_id=person_id, bound_at=since
            )
        )
        if self.preset.test_vehicle:
            vehicle_id = vehicles.register(vin=f"TEST-{self.program.code}-{account}", fuel="bev")
            vehicles.bind(vehicle_id=vehicle_id, person_id=person_id, at=self.at, since=since)
