"""`flask methodologies check FILE`: everything that is wrong with a pack, line by line, all at once."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from app.methodologies.content import check_content
from app.methodologies.dimensions import CREDITS, MASS, Dimension, UnitError, check_dimensions, parse_unit
from app.methodologies.evaluate import DivisionByZero, Range, check_ranges
from app.methodologies.grammar import Formula, FormulaError, Name, Problem, check_names, parse, problem, walk
from app.methodologies.method import CalculationError, Method, Result
from app.methodologies.pack import Content, Issue, Pack, PackError, read_pack, sealed
from app.methodologies.quantities import MICRO, NotANumber, exact_text, fraction, number_text
from app.methodologies.toml_lines import Path


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem of a pack file: where, what, and in which of its versions (empty: in all)."""

    line: int
    column: int
    code: str
    zh: str
    en: str
    severity: str
    versions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found. `contents` are what would be stored; use them only when `ok`."""

    key: str
    findings: tuple[Finding, ...]
    contents: tuple[Content, ...]

    @property
    def ok(self) -> bool:
        """No error. Warnings do not stand in the way of publishing."""
        return not any(finding.severity == "error" for finding in self.findings)


def check_file(data: bytes) -> Report:
    """Check a pack as it lies in a file: UTF-8, with or without a byte order mark."""
    try:
        return check_pack(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        words = ("文件不是 UTF-8 编码,请另存为 UTF-8", "the file is not UTF-8: save it as UTF-8")
        return Report("", (Finding(line, 1, "encoding", *words, "error"),), ())


def check_stored(content: Content) -> list[str]:
    """Check a stored content once more, before it is published: fields, formula, examples. The errors, in English."""
    placed = {**content, "examples": [{**example, "at": at} for at, example in enumerate(content["examples"])]}
    issues = check_content(placed)
    problems, _ = _check_formula(placed)
    errors = [issue.en for issue in issues if issue.severity == "error"]
    errors += [found.en for found in problems if found.severity == "error"]
    return errors or [issue.en for issue in _check_results(placed)]


def check_pack(text: str) -> Report:
    """Check a pack file. Never raises for anything that can be in a text."""
    try:
        pack = read_pack(text)
    except PackError as error:
        finding = Finding(error.line, error.column, error.code, error.zh, error.en, "error")
        return Report("", (finding,), ())
    found: dict[Finding, list[str]] = {}
    for issue in pack.issues:
        found.setdefault(_placed(pack, issue), [])
    for index, content in enumerate(pack.contents):
        for finding in _findings(pack, content, index):
            found.setdefault(finding, []).append(content["version"])
    count = len(pack.contents)
    merged = [_with_versions(finding, versions, count) for finding, versions in found.items()]
    merged += _overlaps(pack)
    merged.sort(key=lambda finding: (finding.line, finding.column, finding.code))
    return Report(pack.key, tuple(merged), tuple(sealed(content) for content in pack.contents))


def _with_versions(finding: Finding, versions: list[str], count: int) -> Finding:
    shown = tuple(versions) if 0 < len(versions) < count else ()
    return Finding(finding.line, finding.column, finding.code, finding.zh, finding.en, finding.severity, shown)


def _findings(pack: Pack, content: Content, index: int) -> Iterator[Finding]:
    issues = check_content(content, index)
    for issue in issues:
        yield _placed(pack, issue)
    if not isinstance(content["formula"], str):
        return
    problems, formula = _check_formula(content)
    start = pack.places.text_starts.get(("formula",), 1)
    for each in problems:
        moved = each.moved(start - 1)
        yield Finding(moved.line, moved.column, moved.code, moved.zh, moved.en, moved.severity)
    broken = any(p.severity == "error" for p in problems) or any(i.severity == "error" for i in issues)
    if formula is not None and not broken:
        for issue in _check_results(content):
            yield _placed(pack, issue)


def _placed(pack: Pack, issue: Issue) -> Finding:
    return Finding(pack.places.line(issue.path), 1, issue.code, issue.zh, issue.en, issue.severity)


def _check_formula(content: Content) -> tuple[list[Problem], Formula | None]:
    """Syntax, names, quantities, divisors: as far as each can be told without the one before."""
    try:
        formula = parse(content["formula"])
    except FormulaError as error:
        return error.problems, None
    names: dict[str, frozenset[str] | None] = {entry["name"]: None for entry in content["parameters"]}
    for entry in content["variables"]:
        options = entry.get("options")
        is_choice = entry.get("kind") == "choice" and isinstance(options, list)
        names[entry["name"]] = frozenset(map(str, options or ())) if is_choice else None
    problems = check_names(formula, names)
    problems += _unused(formula, content)
    units = _dimensions(content)
    if units is None or any(p.severity == "error" for p in problems):
        return problems, formula
    wanted = CREDITS if content["result"] == "credits" else MASS
    problems += check_dimensions(formula, units, wanted)[0]
    ranges = _ranges(content)
    if ranges is not None:
        problems += check_ranges(formula, ranges)[0]
    return problems, formula


def _unused(formula: Formula, content: Content) -> list[Problem]:
    """Parameters that nothing uses; a stale table in a published version misleads its readers."""
    expressions = [*(step.expression for step in formula.steps), formula.result]
    used = {node.name for expression in expressions for node in walk(expression) if isinstance(node, Name)}
    used |= {entry.get("default_parameter") for entry in content["variables"]}
    idle = [entry["name"] for entry in (*content["parameters"], *content["variables"]) if entry["name"] not in used]
    return [problem("unused_name", 1, 1, name=name, severity="warning") for name in idle]


def _dimensions(content: Content) -> dict[str, Dimension | None] | None:
    """The quantity of every name; None as a whole when a unit cannot be read (reported by its own check)."""
    known: dict[str, Dimension | None] = {}
    for entry in (*content["variables"], *content["parameters"]):
        try:
            choice = entry.get("kind") == "choice"
            known[entry["name"]] = None if choice else parse_unit(str(entry.get("unit", ""))).dimension
        except UnitError:
            return None
    return known


def _ranges(content: Content) -> dict[str, Range] | None:
    """The range of every quantity in base units; None when a number cannot be read."""
    known: dict[str, Range] = {}
    try:
        for entry in content["variables"]:
            if entry.get("kind") != "choice":
                known[entry["name"]] = _range([entry.get("min"), entry.get("max")], entry["unit"])
        for entry in content["parameters"]:
            values = [entry["value"]] if "value" in entry else list(entry["by_region"].values())
            known[entry["name"]] = _range(values, entry["unit"])
    except (NotANumber, KeyError, ValueError, AttributeError):
        return None
    return known


def _range(values: list[Any], unit: str) -> Range:
    numbers = [fraction(number_text(value)) for value in values]
    scale = parse_unit(unit).scale
    return Range(min(numbers) * scale, max(numbers) * scale)


def _check_results(content: Content) -> Iterator[Issue]:
    """Calculate every example and compare exactly."""
    try:
        method = Method.from_content(sealed(content))
    except (ValueError, KeyError, TypeError) as error:
        yield Issue(("formula",), "unusable", f"无法计算:{error}", f"cannot be calculated: {error}")
        return
    for example in content["examples"]:
        path: Path = ("examples", example["at"])
        for fact in method.check_facts(example["inputs"]):
            yield Issue((*path, "inputs"), f"example_{fact.code}", f"算例:{fact.zh}", f"example: {fact.en}")
        try:
            result = method.calculate(example["inputs"], example.get("region", ""))
        except (CalculationError, DivisionByZero) as error:
            yield Issue(path, "example_fails", f"算例无法计算:{error}", f"the example cannot be calculated: {error}")
            continue
        yield from _compare(path, example, result)


def _compare(path: Path, example: dict[str, Any], result: Result) -> Iterator[Issue]:
    expected: list[tuple[Path, str, Fraction]] = []
    if "mg" in example:
        expected.append(((*path, "mg"), str(example["mg"]), Fraction(result.raw_mg)))
    if "credits" in example:
        expected.append(((*path, "credits"), str(example["credits"]), Fraction(result.credits_micro, MICRO)))
    if "kg" in example:
        expected.append(((*path, "kg"), str(example["kg"]), result.exact))
    for name, text in example.get("steps", {}).items():
        if name not in result.steps:
            yield Issue((*path, "steps"), "unknown_step", f"没有步骤 {name}", f"no step {name}")
            continue
        expected.append(((*path, "steps"), text, result.steps[name].value))
    for place, text, value in expected:
        if not _equal(text, value):
            got = exact_text(value)
            words = (f"算例不符:应为 {text},算得 {got}", f"example does not reproduce: expected {text}, got {got}")
            yield Issue(place, "example_mismatch", *words)


def _equal(text: str, value: Fraction) -> bool:
    try:
        return fraction(number_text(text)) == value
    except NotANumber:
        return False


def _overlaps(pack: Pack) -> list[Finding]:
    """Two versions of one methodology in force on one day."""
    spans = sorted(
        (str(c["in_force"]["from"]), str(c["in_force"]["to"] or "9999-12-31"), str(c["version"])) for c in pack.contents
    )
    line = pack.places.line(("versions", 0))
    found: list[Finding] = []
    for (_, end, first), (start, _, second) in itertools.pairwise(spans):
        if start < end:
            words = (f"版本 {first} 与 {second} 的生效期重叠", f"versions {first} and {second} are in force on one day")
            found.append(Finding(line, 1, "overlap", *words, "error"))
        if first == second:
            words = (f"版本 {first} 重复", f"version {first} is given twice")
            found.append(Finding(line, 1, "duplicate_version", *words, "error"))
    return found
