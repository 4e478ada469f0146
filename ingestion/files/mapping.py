"""From a row to an act: numbers, times and the reference by the preset's rules; never guessed, never silently cut."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

from ingestion.files.preset import Fact, Preset
from ingestion.files.reading import Row

_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,9})?", re.ASCII)
MAX_REFERENCE = 100


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a row is refused."""

    code: str
    zh: str
    en: str


@dataclass(slots=True)
class Mapped:
    """A row understood: whose, what, when. The person is still the file's own name for it."""

    number: int
    who: str
    unit: str | None
    scenario: str
    reference: str
    facts: dict[str, str]
    occurred_at: datetime
    ended_at: datetime


def understand(row: Row, preset: Preset) -> Mapped | Problem:
    """A row as an act, or why not."""
    if row.problem is not None:
        return Problem(*row.problem)
    rule = preset.rule_for(row.cells)
    if rule is None:
        return Problem(
            "unknown_act", "没有与这一行对应的行为类型。", "No rule of the preset fits this row's kind of act."
        )
    who = row.cells.get(preset.person_column, "")
    if not who or who == "NA":
        return Problem("no_person", f"缺少 {preset.person_column}。", f"{preset.person_column} is empty.")
    times = _times(row, preset)
    if isinstance(times, Problem):
        return times
    facts: dict[str, str] = {}
    for name, fact in rule.facts.items():
        value = _fact(row, fact)
        if isinstance(value, Problem):
            return value
        if value is not None:
            facts[name] = value
    reference = _reference(row, preset, times[0])
    if not 1 <= len(reference) <= MAX_REFERENCE:
        return Problem("bad_reference", "记录编号为空或过长。", "The row's reference is empty or too long.")
    unit = row.cells.get(preset.unit_column) if preset.unit_column else None
    return Mapped(row.number, who, unit, rule.scenario, reference, facts, times[0], times[1])


def _times(row: Row, preset: Preset) -> tuple[datetime, datetime] | Problem:
    if preset.day is not None:
        day = _moment(row, preset.day, preset)
        if isinstance(day, Problem):
            return day
        return day, day + timedelta(days=1) - timedelta(microseconds=1)
    start = _moment(row, preset.start or "", preset)
    if isinstance(start, Problem):
        return start
    end = _moment(row, preset.end, preset) if preset.end else start
    if isinstance(end, Problem):
        return end
    if end < start:
        return Problem("end_before_start", "结束时间早于开始时间。", "It ends before it starts.")
    return start, end


def _moment(row: Row, column: str, preset: Preset) -> datetime | Problem:
    """A clock time of the file with the preset's zone. The year rules of the preset come first; nothing is guessed."""
    written = row.cells.get(column, "")
    told = written
    for before, after in preset.replace.items():
        if told.startswith(before):
            told = after + told.removeprefix(before)
            break
    for form in (preset.time_format, "%Y-%m-%d %H:%M:%S"):
        try:
            naive = datetime.strptime(told, form)  # noqa: DTZ007 - the zone follows in the next line
        except ValueError:
            continue
        if not 2000 <= naive.year <= 2100:
            zh = f"年份 {told[:4]} 不合理；如属已知问题，请在预设的 time.replace 中写明。"
            en = f"The year {told[:4]} is not plausible; if it is a known quirk, say so in the preset's time.replace."
            return Problem("bad_year", zh, en)
        return naive.replace(tzinfo=preset.zone).astimezone(UTC)
    return Problem("bad_time", f"{column} 不是有效时间：{written[:40]}", f"{column} is no valid time: {written[:40]}")


def _fact(row: Row, fact: Fact) -> str | Problem | None:
    written = row.cells.get(fact.column, "")
    if fact.kind == "text":
        return written[:200] if written not in ("", "NA") else None
    if written in ("", "NA", "NaN", "null"):
        return Problem("missing_value", f"{fact.column} 没有数值。", f"{fact.column} has no value.")
    if not _NUMBER.fullmatch(written):
        return Problem(
            "not_a_number", f"{fact.column} 不是数字：{written[:40]}", f"{fact.column} is no number: {written[:40]}"
        )
    try:
        value = Decimal(written)
    except InvalidOperation:
        return Problem("not_a_number", f"{fact.column} 不是数字。", f"{fact.column} is no number.")
    if value < 0:
        return Problem("negative", f"{fact.column} 为负数。", f"{fact.column} is negative.")
    if value == 0 and fact.zero == "reject":
        return Problem(
            "nothing_happened", f"{fact.column} 为 0，没有发生行为。", f"{fact.column} is zero: nothing happened."
        )
    if fact.kind == "integer":
        if value != value.to_integral_value():
            return Problem("not_whole", f"{fact.column} 不是整数。", f"{fact.column} is no whole number.")
        return str(int(value))
    return format(value.normalize(), "f")


def _reference(row: Row, preset: Preset, occurred_at: datetime) -> str:
    local = occurred_at.astimezone(preset.zone)
    values = {"@day": local.date().isoformat(), **row.cells}
    return re.sub(r"\{([^}]+)\}", lambda found: values.get(found.group(1), ""), preset.reference)
