"""Presets: how the columns of a file become acts. A TOML file beside the shipped ones, or one of the operator's own."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from app.errors import Kind, declare

FOLDER = Path(__file__).with_name("presets")
FACT_KINDS = ("decimal", "integer", "text")
PERSON_BY = ("account", "roster")

PRESET_INVALID = declare(
    "preset_invalid",
    Kind.INVALID,
    zh="导入预设有误，请按 details 修改。写法见 docs/connectors.md。",
    en="The import preset is not right; `details` says what to mend. docs/connectors.md shows how to write one.",
)


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact from one column. ``zero``: keep, or reject a row whose quantity is nothing."""

    column: str
    kind: str
    zero: str = "keep"


@dataclass(frozen=True, slots=True)
class Rule:
    """Which scenario a row reports, and with which facts beside the common ones."""

    scenario: str
    facts: Mapping[str, Fact]
    column: str | None = None
    equals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Preset:
    """A mapping from columns to acts."""

    name: str
    content_hash: bytes
    reference: str
    zone: ZoneInfo
    source: str
    person_by: str
    person_column: str
    unit_column: str | None
    test_persons: bool
    test_vehicle: bool
    start: str | None
    end: str | None
    day: str | None
    time_format: str
    replace: Mapping[str, str]
    rules: tuple[Rule, ...]
    columns: frozenset[str] = field(default_factory=frozenset)

    def rule_for(self, row: Mapping[str, str]) -> Rule | None:
        """The rule that a row falls under."""
        for rule in self.rules:
            if rule.column is None or row.get(rule.column, "").strip() in rule.equals:
                return rule
        return None


def names() -> list[str]:
    """The shipped presets."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str) -> Preset:
    """A shipped preset by name, or one's own by path. Raises PRESET_INVALID."""
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.is_file():
        raise PRESET_INVALID(preset=name, known=names(), expected="a name of these, or the path of a .toml file")
    return parse(path.stem, path.read_bytes())


def parse(name: str, content: bytes) -> Preset:
    """A preset from its text. Raises PRESET_INVALID with everything that is wrong."""
    try:
        data = tomllib.loads(content.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PRESET_INVALID(preset=name, problems=[str(error)]) from None
    problems: list[str] = []
    preset = _read(name, content, data, problems)
    if problems or preset is None:
        raise PRESET_INVALID(preset=name, problems=problems)
    return preset


def _read(name: str, content: bytes, data: dict[str, Any], problems: list[str]) -> Preset | None:
    person, time = data.get("person", {}), data.get("time", {})
    common = _facts(data.get("facts", {}), problems)
    rules = _rules(data, common, problems)
    zone = _zone(data.get("zone"), problems)
    for key, holder, where in (
        ("reference", data, "at the top"),
        ("column", person, "in [person]"),
        ("format", time, "in [time]"),
    ):
        if not isinstance(holder.get(key), str):
            problems.append(f"{key} is missing {where}")
    if person.get("by") not in PERSON_BY:
        problems.append(f"person.by is one of {', '.join(PERSON_BY)}")
    if not time.get("day") and not time.get("start"):
        problems.append("[time] names a day column, or a start column")
    if problems or zone is None:
        return None
    preset = Preset(
        name=name,
        content_hash=hashlib.sha256(content).digest(),
        reference=data["reference"],
        zone=zone,
        source=data.get("source", "file"),
        person_by=person["by"],
        person_column=person["column"],
        unit_column=person.get("unit_column"),
        test_persons=bool(person.get("test_persons", False)),
        test_vehicle=bool(person.get("test_vehicle", False)),
        start=time.get("start"),
        end=time.get("end"),
        day=time.get("day"),
        time_format=time["format"],
        replace=dict(time.get("replace", {})),
        rules=rules,
    )
    return _with_columns(preset)


def _with_columns(preset: Preset) -> Preset:
    wanted = {preset.person_column, preset.unit_column, preset.start, preset.end, preset.day}
    wanted |= {name for name in re.findall(r"\{([^}]+)\}", preset.reference) if not name.startswith("@")}
    for rule in preset.rules:
        wanted |= {rule.column} | {fact.column for fact in rule.facts.values()}
    object.__setattr__(preset, "columns", frozenset(column for column in wanted if column))
    return preset


def _rules(data: dict[str, Any], common: dict[str, Fact], problems: list[str]) -> tuple[Rule, ...]:
    if "acts" in data:
        found = []
        for entry in data["acts"]:
            facts = {**common, **_facts(entry.get("facts", {}), problems)}
            if not {"scenario", "column", "equals"} <= entry.keys():
                problems.append("each [[acts]] has scenario, column and equals")
                continue
            found.append(Rule(entry["scenario"], facts, entry["column"], tuple(entry["equals"])))
        return tuple(found)
    if not isinstance(data.get("scenario"), str):
        problems.append("scenario is missing at the top (or [[acts]] for several)")
        return ()
    return (Rule(data["scenario"], common),)


def _facts(entries: dict[str, Any], problems: list[str]) -> dict[str, Fact]:
    found = {}
    for name, entry in entries.items():
        kind, zero = entry.get("kind", "decimal"), entry.get("zero", "keep")
        if "column" not in entry or kind not in FACT_KINDS or zero not in ("keep", "reject"):
            problems.append(f"facts.{name}: column, kind ({', '.join(FACT_KINDS)}), zero (keep or reject)")
            continue
        found[name] = Fact(entry["column"], kind, zero)
    return found


def _zone(name: Any, problems: list[str]) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, TypeError):
        problems.append("zone is missing or unknown: clock times in files have none, so the preset must say which")
        return None
