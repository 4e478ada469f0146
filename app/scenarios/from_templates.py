"""Scenarios of a template or of another program, as ``flask programs create`` hands them over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from app import sources
from app.programs import Program, ScenarioDraft
from app.scenarios import draft_of, listing, offer

# Sources that every program has from the start; partners are registered with their keys.
BUILT_IN = {"citizen": "本人申报", "file": "文件导入", "office": "单位上报", "device": "车辆与设备", "system": "系统"}


def offer_all(program: Program, drafts: Sequence[ScenarioDraft], at: datetime) -> None:
    """Offer all of them, with the sources that every program has. Raises SCENARIO_INVALID, for example for a method
    that isn't published."""
    for code, name in BUILT_IN.items():
        sources.register(program_id=program.id, code=code, kind=code, name=name)
    for draft in drafts:
        offer(program_id=program.id, definition=draft)


def drafts_of(program: Program) -> list[ScenarioDraft]:
    """What a program offers now, to copy."""
    return [draft_of(one) for one in listing(program.id)]
