"""What a content must be: every field, every unit, every source. The formula itself is checked in `check.py`."""

import re
from datetime import date
from fractions import Fraction
from typing import Any, Final

from app.methodologies.dimensions import FUEL_FACTOR, GRID_FACTOR, PURE, Unit, UnitError, parse_unit, shown
from app.methodologies.grammar import RESERVED
from app.methodologies.method import PROVINCES
from app.methodologies.pack import Content, Issue
from app.methodologies.quantities import NotANumber, exact_text, fraction, number_text
from app.methodologies.toml_lines import Path

EVIDENCE: Final = {"S": "sourced", "C": "computed", "U": "unverified", "P": "program rule"}
FUELS: Final = {"gasoline": (Fraction("2.0"), Fraction("2.4")), "diesel": (Fraction("2.4"), Fraction("2.8"))}
"""kgCO2e per litre. A factor above 3 is one per kilogram that slipped."""
GRID_LIMIT: Final = Fraction("1.2")

_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}\Z")
_KEY = re.compile(r"[a-z][a-z0-9-]{1,47}\Z")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,23}\Z")
_REGION = re.compile(r"[A-Z]{2}(-[A-Z]{2}(-[A-Z0-9]{1,8})?)?\Z")
_VARIABLE: Final = frozenset(
    "name unit kind label min max default default_parameter options".split()  # noqa: SIM905 - words read best as words
)
_PARAMETER: Final = frozenset(
    [
        "name",
        "label",
        "unit",
        "value",
        "by_region",
        "excluded",
        "source",
        "year",
        "evidence",
        "evidence_by_region",
        "unverified",
        "fuel",
        "min",
        "max",
    ]
)
_EXAMPLE: Final = frozenset({"at", "region", "inputs", "mg", "credits", "kg", "steps", "note"})


class _Findings:
    """Collects issues; most checks are one line each."""

    def __init__(self) -> None:
        self.issues: list[Issue] = []

    def add(self, path: Path, code: str, zh: str, en: str, severity: str = "error") -> None:
        self.issues.append(Issue(path, code, zh, en, severity))

    def fields(self, path: Path, table: dict[str, Any], known: frozenset[str]) -> None:
        for name in sorted(table.keys() - known):
            self.add((*path, name), "unknown_field", f"没有 {name} 这个字段", f"{name} is not a field here")

    def words(self, path: Path, value: Any) -> None:
        """A text in both languages."""
        if (
            not isinstance(value, dict)
            or set(value) != {"zh", "en"}
            or not all(isinstance(v, str) for v in value.values())
        ):
            self.add(path, "two_languages", '需要 { zh = "…", en = "…" }', 'needs { zh = "…", en = "…" }')

    def text(self, path: Path, value: Any, code: str, zh: str, en: str) -> None:
        if not isinstance(value, str) or not value.strip():
            self.add(path, code, zh, en)

    def unit(self, path: Path, value: Any) -> Unit | None:
        try:
            return parse_unit(value if isinstance(value, str) else "")
        except UnitError as error:
            self.add(path, "unit", f"单位不可识别:{value}", str(error))
            return None

    def number(self, path: Path, value: Any) -> Fraction | None:
        try:
            return fraction(number_text(value))
        except NotANumber as error:
            self.add(path, "number", f"不是有效的数字:{str(value)[:40]}", str(error))
            return None


def check_content(content: Content, index: int = 0) -> list[Issue]:
    """Everything wrong with a content apart from its formula and the results of its examples.

    `index` is the place of its version among the pack's versions.
    """
    found = _Findings()
    _check_head(found, content)
    _check_version(found, content, ("versions", index))
    names = [entry["name"] for entry in (*content["variables"], *content["parameters"])]
    for name in sorted({name for name in names if names.count(name) > 1}):
        words = (f"名称 {name} 既是变量又是参数", f"{name} is a variable and a parameter: a name is used once")
        found.add(("parameters", name), "duplicate_name", *words)
    parameters = {entry["name"] for entry in content["parameters"]}
    for entry in content["variables"]:
        _check_variable(found, entry, parameters)
    for entry in content["parameters"]:
        _check_parameter(found, entry)
    known = [entry["name"] for entry in content["variables"]]
    for name in content["at_least_one"] if isinstance(content["at_least_one"], list) else [content["at_least_one"]]:
        if name not in known:
            found.add(("at_least_one",), "unknown_name", f"没有变量 {name}", f"no variable {name}")
    if not content["variables"]:
        found.add(("variables",), "no_variable", "至少要有一个变量", "at least one variable is needed")
    _check_examples(found, content)
    return found.issues


def _check_head(found: _Findings, content: Content) -> None:
    key = content["key"]
    if not isinstance(key, str) or not _KEY.match(key):
        found.add(("key",), "key", "key 用小写字母、数字和连字符", "key is lower-case letters, digits and hyphens")
    found.words(("name",), content["name"])
    found.words(("summary",), content["summary"])
    if content["result"] not in ["mass", "credits"]:
        found.add(("result",), "result", 'result 只能是 "mass" 或 "credits"', 'result is "mass" or "credits"')
    sources, regions = content["sources"], content["regions"]
    if not isinstance(sources, list) or not sources or not all(isinstance(s, str) and s.strip() for s in sources):
        words = ("sources 至少写明一个标准或规则", "sources names at least one standard or rule")
        found.add(("sources",), "missing_source", *words)
    if not isinstance(regions, list) or not regions:
        found.add(
            ("regions",), "regions", 'regions 例如 ["CN"] 或 ["any"]', 'regions is a list such as ["CN"] or ["any"]'
        )
    for region in regions if isinstance(regions, list) else []:
        if region != "any":
            _check_region(found, ("regions",), region)
    if not isinstance(content["formula"], str) or not content["formula"].strip():
        found.add(("formula",), "no_formula", "缺少 formula", "formula is missing")


def _check_region(found: _Findings, path: Path, region: Any) -> None:
    known = isinstance(region, str) and _REGION.match(region)
    if not known or (region.startswith("CN-") and region.split("-")[1] not in PROVINCES):
        words = (f"地区代码不对:{region}", f"{region!r} is no region such as CN, CN-SC (ISO 3166-2)")
        found.add(path, "region", *words)


def _check_version(found: _Findings, content: Content, path: Path) -> None:
    if not _VERSION.match(content["version"]):
        words = ("version 用字母、数字、点和连字符", "version is letters, digits, . and -")
        found.add((*path, "version"), "version", *words)
    if not isinstance(content["demonstration"], bool):
        words = ("demonstration 只能是 true 或 false", "demonstration is true or false")
        found.add((*path, "demonstration"), "demonstration", *words)
    span = content["in_force"]
    days: list[date | None] = []
    for end in ("from", "to"):
        try:
            days.append(date.fromisoformat(span[end]) if span[end] is not None else None)
        except (TypeError, ValueError):
            found.add((*path, end), "in_force", f"{end} 不是日期", f"{end} is no date such as 2026-01-01")
            return
    if days[0] is None:
        found.add(path, "in_force", "缺少生效日 from", "from, the first day in force, is missing")
    elif days[1] is not None and days[1] <= days[0]:
        found.add((*path, "to"), "in_force", "to 必须晚于 from", "to, the first day after, must be later than from")


def _check_variable(found: _Findings, entry: dict[str, Any], parameters: set[str]) -> None:
    path: Path = ("variables", entry["name"])
    _check_name(found, path, entry["name"])
    found.fields(path, entry, _VARIABLE)
    found.words((*path, "label"), entry.get("label"))
    kind = entry.get("kind")
    if kind not in ("decimal", "integer", "choice"):
        found.add(
            (*path, "kind"), "kind", "kind 只能是 decimal、integer 或 choice", "kind is decimal, integer or choice"
        )
    if kind == "choice":
        options = entry.get("options")
        if not isinstance(options, list) or len(options) < 2 or len({str(option) for option in options}) < len(options):
            words = ("choice 至少需要两个不同的 options", "a choice needs at least two different options")
            found.add((*path, "options"), "options", *words)
        elif entry.get("default") is not None and entry["default"] not in options:
            found.add((*path, "default"), "options", "default 不在 options 中", "default is none of the options")
        return
    found.unit((*path, "unit"), entry.get("unit"))
    ends = [found.number((*path, end), entry.get(end)) for end in ("min", "max")]
    if ends[0] is not None and ends[1] is not None and ends[0] > ends[1]:
        found.add((*path, "max"), "range", "max 不能小于 min", "max must not be below min")
    if "default" in entry:
        value = found.number((*path, "default"), entry["default"])
        if value is not None and ends[1] is not None and value > ends[1]:
            found.add((*path, "default"), "range", "default 超过 max", "default is above max")
    if "default_parameter" in entry and entry["default_parameter"] not in parameters:
        name = entry["default_parameter"]
        found.add((*path, "default_parameter"), "unknown_name", f"没有参数 {name}", f"no parameter {name}")


def _check_name(found: _Findings, path: Path, name: str) -> None:
    if not _NAME.match(name) or name in RESERVED:
        words = (
            f"名称 {name} 不可用:小写字母、数字、下划线,且不是保留字",
            f"{name!r} cannot be a name: use a-z, 0-9, _",
        )
        found.add(path, "name", *words)


def _check_parameter(found: _Findings, entry: dict[str, Any]) -> None:
    path: Path = ("parameters", entry["name"])
    _check_name(found, path, entry["name"])
    found.fields(path, entry, _PARAMETER)
    words = ("缺少 source:参数必须注明来源", "source is missing: every parameter says where it comes from")
    found.text((*path, "source"), entry.get("source"), "missing_source", *words)
    words = ("缺少 year:参数必须注明年份", "year is missing: every parameter says of which year it is")
    found.text((*path, "year"), entry.get("year"), "missing_year", *words)
    marks = [entry.get("evidence"), *_table(entry.get("evidence_by_region")).values()]
    if not all(isinstance(mark, str) and mark in EVIDENCE for mark in marks):
        found.add((*path, "evidence"), "evidence", "evidence 只能是 S、C、U 或 P", "evidence is S, C, U or P")
    if entry.get("evidence") == "U" and entry.get("unverified") is not True:
        words = ("evidence 为 U 时必须写 unverified = true", "with evidence U say unverified = true")
        found.add((*path, "unverified"), "unverified", *words)
    unit = found.unit((*path, "unit"), entry.get("unit"))
    for place, value in _values(found, path, entry):
        number = found.number((*path, *place), value)
        if number is not None and unit is not None:
            _check_guards(found, (*path, *place), entry, unit, number)


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _values(found: _Findings, path: Path, entry: dict[str, Any]) -> list[tuple[Path, Any]]:
    by_region = entry.get("by_region")
    if ("value" in entry) == isinstance(by_region, dict):
        words = ("value 与 by_region 二选一", "give either value or by_region")
        found.add(path, "value", *words)
        return []
    if "value" in entry:
        return [(("value",), entry["value"])]
    regions = _table(by_region)
    for region in regions:
        _check_region(found, (*path, "by_region", region), region)
    return [(("by_region", region), value) for region, value in regions.items()]


def _check_guards(found: _Findings, path: Path, entry: dict[str, Any], unit: Unit, number: Fraction) -> None:
    """Sanity of a parameter: its own min and max, and the limits known for grid and fuel factors."""
    low = found.number((*path[:2], "min"), entry["min"]) if "min" in entry else None
    high = found.number((*path[:2], "max"), entry["max"]) if "max" in entry else None
    if (low is not None and number < low) or (high is not None and number > high):
        shown_range = f"{entry.get('min', '')}–{entry.get('max', '')}"
        words = (f"超出参数范围 {shown_range}", f"outside the parameter's own range {shown_range}")
        found.add(path, "parameter_range", *words)
    in_base = number * unit.scale
    if unit.dimension == GRID_FACTOR and not 0 < in_base < GRID_LIMIT:
        words = ("电网因子应在 0 与 1.2 kg/kWh 之间", "a grid factor lies between 0 and 1.2 kgCO2e/kWh")
        found.add(path, "grid_guard", *words)
    if unit.dimension == FUEL_FACTOR:
        fuel = entry.get("fuel")
        if not isinstance(fuel, str) or fuel not in FUELS:
            words = (
                '每升因子须注明 fuel = "gasoline" 或 "diesel"',
                'a factor per litre needs fuel = "gasoline" or "diesel"',
            )
            found.add(path, "fuel", *words)
        elif not FUELS[fuel][0] <= in_base <= FUELS[fuel][1]:
            limits = "–".join(exact_text(limit) for limit in FUELS[fuel]) + " kgCO2e/L"
            words = (f"{fuel} 因子应在 {limits};超过 3 多为每千克的因子", f"{fuel} must be {limits}: above 3 is per kg")
            found.add(path, "fuel_guard", *words)
    if unit.dimension == PURE and number < 0:
        words = (f"比例 {shown(PURE)} 不应为负", "a ratio must not be negative")
        found.add(path, "parameter_range", *words)


def _check_examples(found: _Findings, content: Content) -> None:
    if not content["examples"]:
        words = (f"版本 {content['version']} 没有算例", f"version {content['version']} has no worked example")
        found.add(("examples",), "no_example", *words)
    unit = "mg" if content["result"] == "mass" else "credits"
    for example in content["examples"]:
        path: Path = ("examples", example["at"])
        found.fields(path, example, _EXAMPLE)
        if not isinstance(example.get("region", ""), str) or not isinstance(example.get("steps", {}), dict):
            found.add(path, "example", "region 是文本,steps 是表", "region is a text, steps is a table")
        if not isinstance(example.get("inputs"), dict):
            found.add((*path, "inputs"), "inputs", "缺少 inputs", "inputs is missing")
        if unit not in example or (unit == "mg" and "credits" in example):
            found.add(path, "expectation", f"算例需要 {unit} 作为期望值", f"an example states its {unit}")
