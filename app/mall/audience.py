"""Who may take an item: everybody of the program, or org-units, tags and levels of it (union benefits)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from app.db import read
from app.errors import Kind, declare
from app.memo import remember

NOT_FOR_YOU = declare(
    "not_for_you",
    Kind.NOT_ALLOWED,
    zh="该商品仅面向特定部门、标签或等级的成员，您目前不在范围内。",
    en="This item is for members of certain departments, tags or levels; at present you are not among them.",
)


class Wanted(Protocol):
    """What an item says about its audience."""

    @property
    def audience_units(self) -> Sequence[int] | None: ...
    @property
    def audience_tags(self) -> Sequence[str] | None: ...
    @property
    def least_level(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Standing:
    """What a person is in a program: the org-units above and around, tags, level. Nobody in particular by default."""

    units: frozenset[int] = frozenset()
    tags: frozenset[str] = frozenset()
    level: int = 0


EVERYBODY = Standing()
_STANDING = """
    select m.level, m.tags, u.path from memberships m left join org_units u on u.id = m.org_unit_id
    where m.program_id = %(program)s and m.person_id = %(person)s and m.state = 'active'
"""


_CHOOSY = """
    select exists (
      select from items where program_id = %(program)s and state = 'on_sale'
        and (audience_units is not null or audience_tags is not null or least_level > 0)) as choosy
"""


def standing(program_id: int, person_id: int) -> Standing:
    """A person's standing as far as a program's items ask for it: most are for everybody, and nobody is looked up.

    Remembered for a moment; what guards an order is read with the order.
    """
    if not remember(("choosy", program_id), lambda: bool(read(_CHOOSY, {"program": program_id})[0].choosy)):
        return EVERYBODY
    return remember(("standing", program_id, person_id), lambda: _standing(program_id, person_id))


def _standing(program_id: int, person_id: int) -> Standing:
    rows = read(_STANDING, {"program": program_id, "person": person_id})
    return of(rows[0].level, rows[0].tags, rows[0].path) if rows else EVERYBODY


def of(level: int | None, tags: Sequence[str] | None, unit_path: str | None) -> Standing:
    """The standing that a membership's row says; an org-unit's path is ``/3/17/``."""
    units = frozenset(int(part) for part in (unit_path or "").split("/") if part)
    return Standing(units, frozenset(tags or ()), level or 0)


def admits(item: Wanted, who: Standing) -> bool:
    """Whether an item is for somebody of this standing."""
    if who.level < item.least_level:
        return False
    if item.audience_units is not None and not who.units.intersection(item.audience_units):
        return False
    return item.audience_tags is None or bool(who.tags.intersection(item.audience_tags))
