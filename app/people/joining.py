"""Joining a program is one act of two halves: agreeing to its present terms, and being let in."""

from __future__ import annotations

from datetime import datetime

from app import programs
from app.people import consents
from app.people.consents import CONSENT_OUTDATED, TERMS
from app.programs import Membership, Pass, Program


def join_program(*, person_id: int, program: Program, terms_version: int, shown: Pass, at: datetime) -> Membership:
    """Agree to the terms that were shown and join. Raises CONSENT_OUTDATED when they are not the present ones.

    Else as ``programs.join``.
    """
    agree_to_terms(person_id=person_id, program=program, terms_version=terms_version, at=at)
    return programs.join(program=program, person_id=person_id, shown=shown, at=at)


def agree_to_terms(*, person_id: int, program: Program, terms_version: int, at: datetime) -> None:
    """Agree to a program's present terms, at the door or when they have changed. Raises CONSENT_OUTDATED."""
    present = programs.terms_in_force(program.id, at)
    if terms_version != present.version:
        raise CONSENT_OUTDATED(purpose=TERMS, program=program.code, version=str(present.version))
    consents.record(
        person_id=person_id,
        key=TERMS,
        version=str(present.version),
        text_hash=present.text_hash,
        at=at,
        program_id=program.id,
    )


def leave_program(*, person_id: int, program: Program, at: datetime) -> Membership:
    """Leave, and withdraw the agreement to the terms. Raises NOT_FOUND for a stranger."""
    consents.withdraw(person_id=person_id, key=TERMS, at=at, program_id=program.id)
    return programs.leave(program=program, person_id=person_id, at=at)
