"""Plant, grow, give. A tree grows by its owner's own verified grams since the grove began; what one tree has not used
goes on to the next, and nobody can take from another.

A full-grown tree stays, whatever becomes of the acts behind it; what is taken back then lacks the next one.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from app import clock, funding, notices, programs, welfare
from app.db import read, run, session
from app.errors import NOT_FOUND, Kind, declare
from app.funding import AwardRequest
from app.grove import rules
from app.grove.models import Grove, Tree
from app.units import MICRO

SHAPE_UNKNOWN = declare(
    "shape_unknown",
    Kind.NOT_FOUND,
    zh="这个季节没有这种植物，请从列表中选择。",
    en="There is no such shape in this season. Choose one of the list.",
)
TREE_GROWING = declare(
    "tree_growing",
    Kind.CONFLICT,
    zh="已有一棵正在成长，长成后再种下一棵。",
    en="One is growing already. Plant the next when it is full-grown.",
)
TREE_NOT_FULL = declare(
    "tree_not_full",
    Kind.CONFLICT,
    zh="这棵还没有长成，长成后可以捐赠。",
    en="It is not full-grown yet; then it can be given.",
)
NO_GIFTS_NOW = declare(
    "no_gifts_now",
    Kind.CONFLICT,
    zh="目前没有资金支持捐赠，证书会保留，请稍后再来。",
    en="No sponsor pays for such gifts at present. The certificate stays; come back later.",
)


@dataclass(frozen=True, slots=True)
class Growth:
    """A person's grove: verified grams in all, what is left for the growing tree, and the trees, newest first."""

    verified_mg: int
    free_mg: int
    trees: list[Any]

    @property
    def growing(self) -> Any | None:
        return next((tree for tree in self.trees if tree.full_at is None), None)


_TREES = """
    select id, number, shape, name, name_en, season, needs_mg, planted_at, full_at, certificate_no, gift_id
    from trees where program_id = %(program)s and person_id = %(person)s order by number desc
"""
_VERIFIED = """
    select coalesce((select mg from verified_grams(%(program)s, array[%(person)s::bigint], %(since)s)), 0)::bigint as mg
"""


def growth(grove: Grove, person_id: int) -> Growth:
    """Where a person's trees stand, from the records as they are now."""
    values = {"program": grove.program_id, "person": person_id, "since": grove.starts_at}
    trees, verified = read(_TREES, values), int(read(_VERIFIED, values)[0].mg)
    used = sum(tree.needs_mg for tree in trees if tree.full_at is not None)
    return Growth(verified, max(verified - used, 0), trees)


def plant(*, program_id: int, person_id: int, shape: str, at: datetime) -> tuple[Tree, bool]:
    """Plant a tree; answers it and whether it is new (the same shape again, while it grows, is answered with it).

    Raises NOT_FOUND (no grove), NOT_A_MEMBER, SHAPE_UNKNOWN, TREE_GROWING.
    """
    grove = rules.in_force(program_id)
    if grove is None:
        raise NOT_FOUND(grove="this program has none")
    if not programs.is_member(program_id, person_id):
        raise programs.NOT_A_MEMBER()
    season = clock.period("season", clock.business_day(at)).key
    chosen = next((one for one in grove.shapes if one["code"] == shape), None)
    funding.lock_wallet(person_id=person_id, program_id=program_id, at=at)  # two taps come one after the other
    standing = _growing(program_id, person_id)
    if standing is not None:
        if standing.shape == shape:
            return standing, False
        raise TREE_GROWING(shape=standing.shape)
    if chosen is None or (chosen["seasons"] and season not in chosen["seasons"]):
        raise SHAPE_UNKNOWN(shape=shape, season=season)
    number = int(run(_NUMBER, {"program": program_id, "person": person_id})[0].n)
    made = Tree(
        program_id=program_id, person_id=person_id, number=number, shape=shape, name=chosen["name"],
        name_en=chosen["name_en"], season=season, needs_mg=chosen["mg"], planted_at=at,
    )  # fmt: skip
    session().add(made)
    session().flush()
    ripen(program_id, [person_id], at=at)  # what an earlier one has left may be enough
    session().refresh(made)
    return made, True


_NUMBER = """
    select coalesce(max(number), 0) + 1 as n from trees where program_id = %(program)s and person_id = %(person)s
"""


def _growing(program_id: int, person_id: int) -> Tree | None:
    query = select(Tree).where(Tree.program_id == program_id, Tree.person_id == person_id, Tree.full_at.is_(None))
    return session().scalars(query).first()


_PEOPLE = """
    select distinct r.program_id, r.person_id from records r
    join trees t on t.program_id = r.program_id and t.person_id = r.person_id and t.full_at is null
    where r.id = any (%(ids)s::bigint[]) order by 1, 2
"""


def heard(record_ids: Sequence[int], *, at: datetime) -> int:
    """Acts count: trees that have what they need are full-grown now. Answers how many."""
    by_program: dict[int, list[int]] = defaultdict(list)
    for row in run(_PEOPLE, {"ids": list(record_ids)}) if record_ids else ():
        by_program[row.program_id].append(row.person_id)
    return sum(ripen(program_id, people, at=at) for program_id, people in by_program.items())


_RIPE = """
    select t.id, t.person_id, t.name, t.name_en from trees t
    join groves g on g.program_id = t.program_id
    join verified_grams(%(program)s, %(people)s::bigint[], g.starts_at) v on v.person_id = t.person_id
    where t.program_id = %(program)s and t.person_id = any (%(people)s::bigint[]) and t.full_at is null
      and v.mg - (select coalesce(sum(o.needs_mg), 0) from trees o where o.program_id = t.program_id
                    and o.person_id = t.person_id and o.full_at is not null) >= t.needs_mg
    order by t.id for update of t
"""
_FULL = (
    "update trees set full_at = %(at)s, certificate_no = %(number)s where id = %(id)s and full_at is null returning 1"
)


def ripen(program_id: int, people: Sequence[int], *, at: datetime) -> int:
    """Mark trees full-grown that have what they need: each once, with a certificate's number. The owner is told."""
    done = 0
    values = {"program": program_id, "people": list(people)}
    for row in run(_RIPE, values):
        number = f"T{at:%Y%m%d}-{secrets.token_hex(5).upper()}"
        if run(_FULL, {"at": at, "number": number, "id": row.id}):
            done += 1
            notices.tell(
                key=f"tree:{row.id}:full", person_id=row.person_id, program_id=program_id, kind="tree.full",
                zh=f"您的「{row.name}」长成了，证书编号 {number}。", en=f"Your {row.name_en} is full-grown: {number}.",
                details={"tree_id": str(row.id)}, at=at,
            )  # fmt: skip
    return done


def give(*, tree_id: int, person_id: int, at: datetime) -> tuple[Tree, bool]:
    """A full-grown tree becomes a gift to the grove's welfare project: a sponsor's credits, given in the person's name.

    Once per tree; again it is answered with the first. Raises NOT_FOUND, TREE_NOT_FULL, NO_GIFTS_NOW (no project, or
    its budget is empty), PROJECT_CLOSED, PROJECT_FULL.
    """
    tree = session().get(Tree, tree_id)
    if tree is None or tree.person_id != person_id:
        raise NOT_FOUND(tree=str(tree_id))
    wallet = funding.lock_wallet(person_id=person_id, program_id=tree.program_id, at=at)
    session().refresh(tree, with_for_update=True)
    if tree.gift_id is not None:
        return tree, False
    if tree.full_at is None:
        raise TREE_NOT_FULL()
    grove = session().get_one(Grove, tree.program_id)
    if grove.project_id is None:
        raise NO_GIFTS_NOW()
    request = AwardRequest(
        program_id=tree.program_id, person_id=person_id, reason="tree", source_ref=f"tree:{tree.id}", occurred_at=at,
        base_micro=grove.gift_credits * MICRO, budget_id=grove.budget_id, uncapped=True,
    )  # fmt: skip
    done = funding.award([request], at=at, wallets={(person_id, tree.program_id): wallet})[0]
    if done.state != "paid" or wallet.debt_credits:
        raise NO_GIFTS_NOW(state=done.state)
    given = welfare.give(
        person_id=person_id, program_id=tree.program_id, project_id=grove.project_id, credits=grove.gift_credits,
        client_ref=f"tree:{tree.id}", at=at, whole=True,
    )  # fmt: skip
    tree.gift_id = given.gift.id
    session().flush()
    return tree, True


_CERTIFICATE = """
    select t.certificate_no, t.name, t.name_en, t.needs_mg, t.planted_at, t.full_at, t.season, p.code as program,
           g.certificate_no as gift_no
    from trees t join programs p on p.id = t.program_id left join gifts g on g.id = t.gift_id
    where t.certificate_no = %(number)s
"""


def certificate(number: str) -> Any:
    """A certificate by its number, which names nobody. Raises NOT_FOUND."""
    rows = read(_CERTIFICATE, {"number": number})
    if not rows:
        raise NOT_FOUND(certificate=number)
    return rows[0]
