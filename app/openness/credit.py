"""Open a credit: the page-ready answer for its owner, and the file that ``scripts/verify_credit.py`` recomputes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import text

from app.db import connection
from app.errors import NOT_FOUND
from app.units import BPS, MICRO

FORMAT = "diandi.credit/1"
WAITING_ZH = "预算暂时用完，积分已登记，出资方补充资金后按先后顺序自动发放，无需操作。"
WAITING_EN = "The budget is used up for now. Your credits are noted and paid in turn when the sponsor adds money."
ENDED_ZH = "该项目自 {day} 起不再发放积分；记录照常保存，已有积分仍可在兑换期内使用。"
ENDED_EN = "This program awards nothing since {day}. The record stands, and what you have can be spent in its window."
CAPPED_ZH = "超过{whose}{span}积分上限，超出的 {cut} 分不计；减排量照常计入。{next}再行动又可获得积分。"
CAPPED_EN = "Above the {span} cap of {whose}; the {cut} credits above it are not paid. The grams count in full. {next}"
CARRIED_ZH = "不足 1 个积分，已累积到下一次。"
CARRIED_EN = "Less than one whole credit; it is carried toward the next."
ELSEWHERE_ZH = "这次行为由您排序更靠前的项目「{what}」发放积分，这里只展示减排量。可在“我的项目”调整顺序。"
ELSEWHERE_EN = "“{what}” pays this act, because it comes first in your order of programs; here it only shows."

_RECORD = text(
    """
    select r.*, p.code as program_code, p.name as program_name, p.name_en as program_name_en,
           s.code as scenario_code, s.name as scenario_name, s.name_en as scenario_name_en, s.methodology,
           o.code as source_code, o.name as source_name, o.kind as source_kind
    from records r join programs p on p.id = r.program_id join scenarios s on s.id = r.scenario_id
    join sources o on o.id = r.source_id where r.id = :id
    """
)
_REDUCTION = text(
    """
    select d.*, m.key, v.version, v.content, v.content_hash
    from reductions d join methodology_versions v on v.id = d.version_id join methodologies m on m.id = v.methodology_id
    where d.record_id = :id
    """
)
_AWARDS = text(
    """
    select w.*, t.version as terms_version, t.credits_per_kg, b.code as budget_code, b.price_fen,
           s.name as sponsor_name, s.name_en as sponsor_name_en, s.logo_url, l.expires_at as lot_expires_at
    from awards w join terms t on t.id = w.terms_id left join budgets b on b.id = w.budget_id
    left join sponsors s on s.id = b.sponsor_id left join lots l on l.id = w.lot_id
    where w.record_id = :id order by w.id
    """
)
_TRANSFERS = text(
    """
    select t.id, t.reason, t.source_ref, t.posted_at, a.asset, a.kind, e.amount
    from transfers t join entries e on e.transfer_id = t.id join accounts a on a.id = e.account_id
    where t.id = any (cast(:ids as bigint[])) or t.reverses = any (cast(:ids as bigint[])) order by t.id, e.leg
    """
)


def opened(*, record_id: int, person_id: int) -> dict[str, Any]:
    """Everything behind one record of a person, in page order. Raises NOT_FOUND for somebody else's."""
    record = _row(_RECORD, record_id)
    if record is None or record.person_id != person_id:
        raise NOT_FOUND(record=str(record_id))
    paying_id = record.primary_id or record.id
    reduction = _row(_REDUCTION, paying_id)
    awards = list(connection().execute(_AWARDS, {"id": paying_id}))
    elsewhere = _row(_RECORD, paying_id) if record.primary_id else None
    return {
        "record": _record(record),
        "methodology": _methodology(reduction),
        "inputs": reduction.inputs if reduction else None,
        "result": _result(reduction),
        "awards": [] if elsewhere else [_award(award) for award in awards],
        "transfers": [] if elsewhere else transfers_of(reduction, awards),
        "why": _why(record, elsewhere, awards),
        "can_appeal": record.state in ("held", "rejected", "reversed", "duplicate"),
    }


def document(*, record_id: int, person_id: int | None = None) -> dict[str, Any]:
    """The file of one counted record (format diandi.credit/1). Names no person. Raises NOT_FOUND."""
    record = _row(_RECORD, record_id)
    if record is None or (person_id is not None and record.person_id != person_id):
        raise NOT_FOUND(record=str(record_id))
    reduction = _row(_REDUCTION, record.primary_id or record.id)
    if reduction is None:
        raise NOT_FOUND(record=str(record_id), state=record.state)
    awards = list(connection().execute(_AWARDS, {"id": record.primary_id or record.id}))
    shown = _record(record)
    return {
        "format": FORMAT,
        "record": {**shown, "facts": _method_facts(record.facts, reduction.inputs)},
        "methodology": {
            "key": reduction.key,
            "version": reduction.version,
            "content": reduction.content,
            "content_hash": reduction.content_hash,
            "region": reduction.region,
            "parameters": reduction.parameters,
        },
        "inputs": reduction.inputs,
        "result": _result(reduction),
        "conversion": _conversion(awards[0]) if awards else None,
        "bonuses": [{"rule": award.reason, **_conversion(award)} for award in awards[1:]],
        "transfers": transfers_of(reduction, awards),
    }


def transfers_of(reduction: Any, awards: list[Any]) -> list[dict[str, Any]]:
    """The transfers behind a record and their reversals, each with its entries; accounts are named by kind only."""
    ids = [award.transfer_id for award in awards if award.transfer_id]
    if reduction is not None and reduction.transfer_id:
        ids.append(reduction.transfer_id)
    found: dict[int, dict[str, Any]] = {}
    for row in connection().execute(_TRANSFERS, {"ids": ids}):
        transfer = found.setdefault(
            row.id,
            {
                "id": str(row.id),
                "reason": row.reason,
                "source_ref": row.source_ref,
                "posted_at": row.posted_at.isoformat(),
                "entries": [],
            },
        )
        transfer["entries"].append({"account": row.kind, "asset": row.asset, "amount": str(row.amount)})
    return list(found.values())


def _row(query: Any, record_id: int) -> Any | None:
    return connection().execute(query, {"id": record_id}).first()


def _record(record: Any) -> dict[str, Any]:
    return {
        "id": str(record.id),
        "program": {"code": record.program_code, "name": record.program_name, "name_en": record.program_name_en},
        "scenario": {"code": record.scenario_code, "name": record.scenario_name, "name_en": record.scenario_name_en},
        "source": {"code": record.source_code, "name": record.source_name, "kind": record.source_kind},
        "reference": record.reference,
        "tier": record.tier,
        "facts": record.facts,
        "occurred_at": record.occurred_at.isoformat(),
        "ended_at": record.ended_at.isoformat(),
        "local_date": record.local_date.isoformat(),
        "received_at": record.received_at.isoformat(),
        "state": record.state,
        "supersedes_id": str(record.supersedes_id) if record.supersedes_id else None,
    }


def _methodology(reduction: Any) -> dict[str, Any] | None:
    if reduction is None:
        return None
    content = reduction.content
    sources = {entry["name"]: entry for entry in content["parameters"]}
    parameters = [
        {
            "name": name,
            "value": value,
            "unit": sources[name]["unit"],
            "source": sources[name]["source"],
            "year": sources[name]["year"],
            "evidence": sources[name]["evidence"],
        }
        for name, value in reduction.parameters.items()
    ]
    return {
        "key": reduction.key,
        "version": reduction.version,
        "name": content["name"],
        "formula": content["formula"],
        "region": reduction.region,
        "parameters": parameters,
        "content_hash": reduction.content_hash,
        "page": f"/public/methodologies/{reduction.key}/{reduction.version}",
    }


def _result(reduction: Any) -> dict[str, str] | None:
    if reduction is None:
        return None
    return {
        "raw_mg": str(reduction.raw_mg),
        "counted_mg": str(reduction.counted_mg),
        "credits_micro": str(reduction.credits_micro),
    }


def _award(award: Any) -> dict[str, Any]:
    sponsor = award.sponsor_name and {
        "name": award.sponsor_name,
        "name_en": award.sponsor_name_en,
        "logo_url": award.logo_url,
    }
    return {
        "id": str(award.id),
        "rule": award.reason,
        "state": award.state,
        "credits": str(award.credits),
        "conversion": _conversion(award),
        "cut_by": award.cut_by,
        "terms_version": award.terms_version,
        "budget": award.budget_code,
        "price_fen_per_1000": award.price_fen,
        "sponsor": sponsor or None,
        "lot_id": str(award.lot_id) if award.lot_id else None,
        "expires_at": award.lot_expires_at.isoformat() if award.lot_expires_at else None,
        "paid_at": award.paid_at.isoformat() if award.paid_at else None,
    }


def _conversion(award: Any) -> dict[str, Any]:
    return {
        "credits_per_kg": award.credits_per_kg,
        "tier_bps": award.share_bps,
        "boost_bps": award.boost_bps,
        "carry_before_micro": str(award.carry_before),
        "earned_micro": str(award.earned_micro),
        "cut_micro": str(award.cut_micro),
        "credits": str(award.credits),
        "carry_after_micro": str(award.carry_after),
    }


def _method_facts(facts: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
    """The facts that the formula used; evidence such as a station or a note is not for strangers."""
    return {name: str(value) for name, value in facts.items() if name in inputs}


def _why(record: Any, elsewhere: Any, awards: list[Any]) -> list[dict[str, str]]:
    """Why it earned less or nothing, in plain words, with what to do. Empty when it earned in full."""
    if record.reason_code:
        return [{"code": record.reason_code, "zh": record.reason_zh, "en": record.reason_en}]
    if elsewhere is not None:
        name, name_en = elsewhere.program_name, elsewhere.program_name_en
        return [_said("paid_elsewhere", ELSEWHERE_ZH.format(what=name), ELSEWHERE_EN.format(what=name_en))]
    found = []
    for award in awards:
        if award.state == "pending":
            found.append(_said("budget_empty", WAITING_ZH, WAITING_EN))
        if award.cut_micro:
            found.append(_capped(award))
        if award.credits == 0 and not award.cut_micro:
            found.append(_said("carried", CARRIED_ZH, CARRIED_EN))
        if award.share_bps < BPS:
            share = f"{award.share_bps / 100:g} %"
            zh, en = f"证据等级 {record.tier}，按 {share} 发放。", f"Evidence tier {record.tier} pays {share}."
            found.append(_said("tier_share", zh, en))
    return found


_SPANS = {
    "day": ("每日", "daily", "次日", "From the next day acts earn again."),
    "week": ("每周", "weekly", "下周", "From next week acts earn again."),
    "month": ("每月", "monthly", "下月", "From next month acts earn again."),
    "year": ("每年", "yearly", "明年", "From next year acts earn again."),
}


def _capped(award: Any) -> dict[str, str]:
    """Which cap cut an award (``scenario:23/2026-11-18``, ``program:1/2026-W47``), by how much, until when."""
    scope, _, period = str(award.cut_by).partition("/")
    if scope.startswith("ended:"):
        return _said("program_ended", ENDED_ZH.format(day=period), ENDED_EN.format(day=period))
    kind = "week" if "W" in period else ("year", "month", "day")[period.count("-")]
    span_zh, span_en, next_zh, next_en = _SPANS[kind]
    whose_zh, whose_en = ("该项目", "this program") if scope.startswith("program:") else ("该场景", "this scenario")
    cut = f"{Decimal(award.cut_micro) / MICRO:f}"
    return _said(
        "capped",
        CAPPED_ZH.format(whose=whose_zh, span=span_zh, cut=cut, next=next_zh),
        CAPPED_EN.format(whose=whose_en, span=span_en, cut=cut, next=next_en),
    )


def _said(code: str, zh: str, en: str) -> dict[str, str]:
    return {"code": code, "zh": zh, "en": en}
