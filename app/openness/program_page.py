"""The public page of a program: every figure with the query it comes from. Groups under five persons show no figure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app import sources
from app.db import run
from app.errors import Kind, declare
from app.funding.queries import BUDGETS, cover
from app.programs import Program

FEWEST = 5

FIGURE_UNKNOWN = declare(
    "figure_unknown",
    Kind.NOT_FOUND,
    zh="没有这个指标。请从项目公示页点开。",
    en="There is no such figure. Open one from the program's public page.",
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: its name, its words, and the query that gives it."""

    name: str
    zh: str
    en: str
    query: str


# Totals over programs never sum an act twice: only the paying record counts (state 'counted'), not its showings.
FIGURES = (
    Figure(
        "reductions",
        "减排量（毫克）与参与人数",
        "Reductions (mg) and people",
        """
    select coalesce(sum(d.counted_mg), 0)::bigint as mg, count(distinct r.person_id) as people, count(*) as acts
    from records r join reductions d on d.record_id = r.id
    where r.program_id = %(program)s and r.state = 'counted'
""",
    ),
    Figure(
        "acts",
        "按场景与证据等级",
        "Acts by scenario and evidence tier",
        """
    select s.code as scenario, s.name, s.name_en, r.tier, count(*) as acts, count(distinct r.person_id) as people,
           coalesce(sum(d.counted_mg), 0)::bigint as mg
    from records r join scenarios s on s.id = r.scenario_id join reductions d on d.record_id = r.id
    where r.program_id = %(program)s and r.state = 'counted'
    group by s.code, s.name, s.name_en, r.tier order by s.code, r.tier
""",
    ),
    Figure(
        "credits",
        "积分：已发放、已使用、已捐赠、已过期、待发放",
        "Credits: issued, spent, given, expired, waiting",
        """
    select coalesce(sum(credits) filter (where state = 'paid'), 0)::bigint as issued,
           coalesce(sum(credits) filter (where state = 'pending'), 0)::bigint as waiting,
           coalesce(sum(credits) filter (where state = 'reversed'), 0)::bigint as reversed,
           (select coalesce(sum(o.credits), 0) from orders o where o.program_id = %(program)s
              and o.state in ('paid', 'fulfilled'))::bigint as spent,
           (select coalesce(sum(g.credits), 0) from gifts g where g.program_id = %(program)s)::bigint as given,
           (select coalesce(sum(u.amount), 0) from lot_uses u join lots l on l.id = u.lot_id
            where l.program_id = %(program)s and u.kind = 'expire')::bigint as expired
    from awards where program_id = %(program)s
""",
    ),
    Figure("cover", "资金覆盖", "What covers the promises", BUDGETS),
    Figure(
        "manual",
        "人工调整次数",
        "Changes made by hand",
        """
    select action, count(*) as times from approvals
    where program_id = %(program)s and state = 'executed' and action in ('funding.grant', 'records.reverse')
    group by action order by action
""",
    ),
    Figure(
        "appeals",
        "申诉",
        "Appeals",
        """
    select state, count(*) as appeals from appeals where program_id = %(program)s group by state order by state
""",
    ),
    Figure(
        "reviews",
        "复核：待核实、已驳回、已撤销",
        "Reviews: held, rejected, reversed",
        """
    select state, count(*) as records from records
    where program_id = %(program)s and state in ('held', 'rejected', 'reversed') group by state order by state
""",
    ),
)
_BY_NAME = {figure.name: figure for figure in FIGURES}


def figure(program: Program, name: str) -> tuple[Figure, list[dict[str, Any]]]:
    """One figure with its rows as the public may see them. Raises FIGURE_UNKNOWN."""
    found = _BY_NAME.get(name)
    if found is None:
        raise FIGURE_UNKNOWN(figure=name, known=sorted(_BY_NAME))
    return found, _rows(program, found)


def _windup(program: Program) -> dict[str, Any] | None:
    """Since when a program that ends awards nothing, and until when credits can be spent."""
    if program.no_awards_from is None:
        return None
    return {"no_awards_from": program.no_awards_from, "redeem_until": program.redeem_until}


def page(program: Program, *, at: datetime) -> dict[str, Any]:
    """Everything on a program's public page."""
    figures = {one.name: _rows(program, one) for one in FIGURES if one.name != "cover"}
    funds = cover(program.id, at=at)
    return {
        "windup": _windup(program),
        "reductions": figures["reductions"][0],
        "acts": figures["acts"],
        "credits": figures["credits"][0],
        "cover": {
            "money_fen": funds.money_fen,
            "cost_fen": funds.cost_fen,
            "outstanding": funds.outstanding,
            "capacity": funds.capacity,
            "ratio_bps": funds.ratio_bps,
            "covered": funds.covered,
            "runway_days": funds.runway_days,
        },
        "manual": {row["action"]: row["times"] for row in figures["manual"]},
        "appeals": {row["state"]: row["appeals"] for row in figures["appeals"]},
        "reviews": {row["state"]: row["records"] for row in figures["reviews"]},
        "sources": [
            {name: row[name] for name in ("code", "name", "kind", "state", "newest_act_at", "lag_hours", "late")}
            for row in sources.freshness(program.id, at=at)
        ],
    }


def _rows(program: Program, wanted: Figure) -> list[dict[str, Any]]:
    rows = [row._asdict() for row in run(wanted.query, {"program": program.id})]
    if wanted.name == "reductions":
        return [_few(rows[0])]
    return _acts(rows) if wanted.name == "acts" else rows


def _few(row: dict[str, Any]) -> dict[str, Any]:
    """Under five persons, no figure (domain.md, boards)."""
    return row if row["people"] == 0 or row["people"] >= FEWEST else {**row, "mg": None, "people": None, "acts": None}


def _acts(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of under five persons show no figure; where only one is hidden, the smallest other one hides it from being
    found by subtraction."""
    hidden = [row for row in rows if row["people"] < FEWEST]
    if len(hidden) == 1 and len(rows) > 1:
        hidden.append(min((row for row in rows if row["people"] >= FEWEST), key=lambda row: row["people"]))
    return [{**row, "acts": None, "people": None, "mg": None} if row in hidden else row for row in rows]


__all__ = ["FIGURES", "FIGURE_UNKNOWN", "Figure", "figure", "page"]
