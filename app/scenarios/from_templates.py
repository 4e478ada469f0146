"""Scenarios of a template or of another program, as ``flask programs create`` hands them over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from app.programs import Program, ScenarioDraft
from app.scenarios import listing, offer


def offer_all(program: Program, drafts: Sequence[ScenarioDraft], at: datetime) -> None:
    """Offer all of them. Raises SCENARIO_INVALID, for example for a method that isn't published."""
    for draft in drafts:
        offer(program_id=program.id, definition=draft)


def drafts_of(program: Program) -> list[ScenarioDraft]:
    """What a program offers now, to copy."""
    return [
        ScenarioDraft(
            code=one.code,
            methodology=one.methodology,
            name=one.name,
            name_en=one.name_en,
            text_zh=one.text_zh,
            text_en=one.text_en,
            source_kinds=dict(one.source_kinds),
            caps=dict(one.caps),
            claim=one.claim,
            consent_purpose=one.consent_purpose,
            fixed_facts=dict(one.fixed_facts),
            picture=one.picture,
        )
        for one in listing(program.id)
    ]
