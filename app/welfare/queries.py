"""Reads of welfare: projects with what became of their money, gifts, certificates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from app.db import read, session
from app.errors import NOT_FOUND
from app.people import masked
from app.welfare.models import Evidence, Gift, Milestone, WelfareProject


def projects(program_id: int) -> list[WelfareProject]:
    """A program's welfare projects by code."""
    query = select(WelfareProject).where(WelfareProject.program_id == program_id).order_by(WelfareProject.code)
    return list(session().scalars(query))


_SHOWN = """
    select w.id, w.code, w.name, w.name_en, w.text_zh, w.text_en, w.target_credits, w.given_credits, w.state,
           w.kind, w.over_rule,
           coalesce(a.balance, 0) as owed_fen, (select count(*) from gifts g where g.project_id = w.id) as gifts
    from welfare_projects w join accounts a on a.id = w.money_account_id
    where w.program_id = %(program)s order by w.code
"""


def projects_shown(program_id: int) -> list[Any]:
    """A program's projects by code, with what was given and what sponsors owe them for it (fen, from the ledger)."""
    return read(_SHOWN, {"program": program_id})


_GIFTS = """
    select g.id, g.credits, g.fen, g.matched_fen, g.returned_credits, g.show_name, g.person_id, g.certificate_no,
           g.given_at, g.project_id, w.name, w.name_en, p.code as program
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


_PROJECT = """
    select w.*, p.code as program, coalesce(a.balance, 0) as held_fen, o.code as overflow_code,
           (select count(*) from gifts g where g.project_id = w.id) as gifts,
           (select coalesce(sum(g.credits), 0) from gifts g where g.project_id = w.id)::bigint as all_credits,
           (select coalesce(sum(g.fen), 0) from gifts g where g.project_id = w.id)::bigint as gifts_fen,
           (select coalesce(sum(x.fen), 0) from gift_matches x join gifts g on g.id = x.gift_id
            where g.project_id = w.id)::bigint as matched_fen,
           (select coalesce(sum(y.fen), 0) from welfare_payouts y where y.project_id = w.id)::bigint as paid_fen,
           (select coalesce(sum(r.fen + r.matched_fen), 0) from gift_returns r join gifts g on g.id = r.gift_id
            where g.project_id = w.id and r.returned_at is not null)::bigint as returned_fen,
           (select coalesce(sum(g.returned_credits), 0) from gifts g
            where g.project_id = w.id)::bigint as returned_credits,
           (select coalesce(sum(r.credits), 0) from gift_returns r join gifts g on g.id = r.gift_id
            where g.project_id = w.id and r.why = 'taken' and r.returned_at is not null)::bigint as taken_credits
    from welfare_projects w join programs p on p.id = w.program_id join accounts a on a.id = w.money_account_id
    left join welfare_projects o on o.id = w.overflow_project_id where w.id = %(id)s
"""
_MILESTONES = """
    select m.id, m.position, m.title, m.title_en, m.planned_fen, m.due_on, m.state, m.reached_on, m.site, m.payee,
           m.fail_reason, coalesce(array_agg(e.id order by e.id) filter (where e.id is not null), '{}') as photos
    from welfare_milestones m left join welfare_evidence e on e.milestone_id = m.id
    where m.project_id = %(id)s group by m.id order by m.position
"""
_PAYOUTS = """
    select y.fen, y.payee, y.paid_on, y.bank_reference, encode(y.evidence_hash, 'hex') as evidence, m.position,
           x.code as plot, y.transfer_id from welfare_payouts y join welfare_milestones m on m.id = y.milestone_id
    left join welfare_plots x on x.id = y.plot_id where y.project_id = %(id)s order by y.id
"""
_PLOTS = """
    select x.code, x.place, x.households, x.carbon_kg, x.price_fen,
           coalesce(sum(y.fen), 0)::bigint as income_fen,
           coalesce(sum(y.fen), 0)::bigint / x.households as per_household_fen
    from welfare_plots x left join welfare_payouts y on y.plot_id = x.id where x.project_id = %(id)s
    group by x.id order by x.code
"""
_MATCHES = """
    select s.name, s.name_en, x.rate_bps, x.reserved_fen, x.used_fen, x.returned_fen from welfare_matches x
    join sponsors s on s.id = x.sponsor_id where x.project_id = %(id)s order by x.id
"""


def trail(project_id: int) -> dict[str, Any]:
    """A project with its milestones and where each fen is: given and matched = held + paid out + returned.

    Raises NOT_FOUND.
    """
    rows = read(_PROJECT, {"id": project_id})
    if not rows:
        raise NOT_FOUND(project=str(project_id))
    found: dict[str, Any] = rows[0]._asdict()
    for name, query in (("milestones", _MILESTONES), ("payouts", _PAYOUTS), ("plots", _PLOTS), ("matches", _MATCHES)):
        found[name] = [row._asdict() for row in read(query, {"id": project_id})]
    found["agrees"] = found["gifts_fen"] + found["matched_fen"] == (
        found["held_fen"] + found["paid_fen"] + found["returned_fen"]
    )
    return found


def photo(evidence_id: int) -> bytes:
    """A photo of a reached milestone, for everybody. Raises NOT_FOUND, also before two persons have agreed."""
    found = session().get(Evidence, evidence_id)
    milestone = session().get(Milestone, found.milestone_id) if found is not None else None
    if found is None or milestone is None or milestone.state != "reached":
        raise NOT_FOUND(photo=str(evidence_id))
    return bytes(found.picture)


def photo_for_operators(evidence_id: int) -> bytes:
    """A photo before its milestone is confirmed: whoever approves looks at it. Raises NOT_FOUND."""
    found = session().get(Evidence, evidence_id)
    if found is None:
        raise NOT_FOUND(photo=str(evidence_id))
    return bytes(found.picture)


def donor(row: Any) -> str:
    """How a certificate names its giver: as on boards if wished, else not at all; a deleted one by pseudonym."""
    found = read("select nickname, pseudonym, state from persons where id = %(id)s", {"id": row.person_id})[0]
    if not row.show_name or found.state == "deleted":
        return str(found.pseudonym)
    return str(found.nickname or masked(found.nickname, found.pseudonym))
