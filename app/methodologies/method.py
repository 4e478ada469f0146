"""A version of a methodology, ready to calculate: pure, exact, and the same on every machine.

`Method` is made from a stored content, once per process, and then shared by all threads: it only ever adds to its
table of regions. Nothing here reads a clock, a database or a setting.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

from app.methodologies.dimensions import CREDITS, MASS, Dimension, check_dimensions, parse_unit, shown
from app.methodologies.evaluate import Compiled, compile_formula
from app.methodologies.grammar import Formula, parse
from app.methodologies.pack import Content, content_hash
from app.methodologies.quantities import NotANumber, decimal_text, exact_text, floor_micro, fraction

Input = str | int | Any
"""A decimal as text, a whole number, or a Decimal. Never a float."""

PROVINCES: Final = frozenset(
    "AH BJ CQ FJ GD GS GX GZ HA HB HE HI HK HL HN JL JS JX LN MO NM NX QH SC SD SH SN SX TJ TW XJ XZ YN ZJ".split()  # noqa: SIM905 - words read best as words
)
"""ISO 3166-2:CN. A code that is none of these is a slip, and must not fall back to the national value."""


MAX_REGIONS: Final = 500


class CalculationError(Exception):
    """No number can be given. The caller holds the record; nothing is guessed."""

    code = "calculation"


class ParameterMissing(CalculationError):
    """The version has no value of a parameter for this region."""

    code = "parameter_missing"

    def __init__(self, parameter: str, region: str) -> None:
        self.parameter, self.region = parameter, region
        super().__init__(f"no value of {parameter} for region {region!r}")


class RegionNotCovered(CalculationError):
    """The version is not made for this region."""

    code = "region_not_covered"

    def __init__(self, region: str) -> None:
        self.region = region
        super().__init__(f"this version does not cover region {region!r}")


class InputError(CalculationError):
    """An input is missing, unknown or no number."""

    code = "input_invalid"

    def __init__(self, problems: list["FactProblem"]) -> None:
        self.problems = problems
        super().__init__("; ".join(p.en for p in problems))


@dataclass(frozen=True, slots=True)
class FactProblem:
    """What is wrong with one fact. `kind` is "invalid" (refuse the record) or "range" (hold it for review)."""

    kind: str
    code: str
    name: str
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Variable:
    """What a record has to tell. `low` and `high` are in the variable's own unit, as all inputs are."""

    name: str
    kind: str  # decimal, integer, choice
    scale: Fraction
    dimension: Dimension | None
    low: Fraction | None
    high: Fraction | None
    required: bool
    default: str | None
    default_parameter: str | None
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bound:
    """A formula with the parameters of one region in it."""

    compiled: Compiled
    parameters: Mapping[str, Mapping[str, Any]]
    values: Mapping[str, Fraction]


@dataclass(frozen=True, slots=True)
class Amount:
    """A step's value in base units, and which."""

    value: Fraction
    unit: str

    def text(self) -> str:
        return exact_text(self.value)


@dataclass(frozen=True, slots=True)
class Result:
    """What one calculation gave, with all that is needed to repeat it.

    `exact` is in kgCO2e or credits. `raw_mg` is its floor toward minus infinity, so -0.25 mg becomes -1 mg, kept as
    computed; `counted_mg` is zero or more. For a credit-only method both are 0 and `credits_micro` holds millionths of
    a credit, zero or more.
    """

    exact: Fraction
    raw_mg: int
    counted_mg: int
    credits_micro: int
    steps: Mapping[str, Amount]
    inputs: Mapping[str, str]
    region: str
    parameters: Mapping[str, Mapping[str, Any]]

    def exact_text(self) -> str:
        """The exact result as a decimal or a ratio."""
        return exact_text(self.exact)


@dataclass
class Method:
    """One version of a methodology. Make it with `Method.from_content`; call `calculate` from any thread."""

    content: Content
    content_hash: str
    key: str
    version: str
    result: str  # mass or credits
    formula: Formula
    variables: tuple[Variable, ...]
    at_least_one: tuple[str, ...]
    step_units: Mapping[str, str]
    _scales: Mapping[str, Fraction]
    _by_name: Mapping[str, Variable]
    _bound: dict[str, Bound] = field(default_factory=dict)

    @classmethod
    def from_content(cls, content: Content) -> "Method":
        """Compile a content that has passed the check of packs. Raises ValueError for one that has not."""
        formula = parse(content["formula"])
        variables = tuple(_variable(entry) for entry in content["variables"])
        units = {entry["name"]: parse_unit(entry["unit"]) for entry in content["parameters"]}
        known: dict[str, Dimension | None] = {variable.name: variable.dimension for variable in variables}
        known |= {name: unit.dimension for name, unit in units.items()}
        wanted = MASS if content["result"] == "mass" else CREDITS
        problems, steps = check_dimensions(formula, known, wanted)
        if problems:
            raise ValueError(f"{content['key']} {content['version']}: {problems[0].en}")
        return cls(
            content=content,
            content_hash=content_hash(content),
            key=content["key"],
            version=content["version"],
            result=content["result"],
            formula=formula,
            variables=variables,
            at_least_one=tuple(content["at_least_one"]),
            step_units={name: shown(dimension or ()) for name, dimension in steps.items()},
            _scales={name: unit.scale for name, unit in units.items()},
            _by_name={variable.name: variable for variable in variables},
        )

    def calculate(self, inputs: Mapping[str, Input], region: str = "") -> Result:
        """The reduction or the credits of one act.

        Inputs are in the units of their variables. Raises InputError, ParameterMissing, RegionNotCovered or
        evaluate.DivisionByZero. Sanity ranges are not looked at here: see `check_facts`.
        """
        bound = self._bound.get(region) or self.bind(region)
        used, values = self._read(inputs, bound)
        exact, steps = bound.compiled(values)
        micro = floor_micro(exact)
        mass = self.result == "mass"
        return Result(
            exact=exact,
            raw_mg=micro if mass else 0,
            counted_mg=max(micro, 0) if mass else 0,
            credits_micro=0 if mass else max(micro, 0),
            steps={
                name: Amount(value, self.step_units[name])
                for name, value in zip(bound.compiled.step_names, steps, strict=True)
            },
            inputs=used,
            region=region,
            parameters=bound.parameters,
        )

    def bind(self, region: str) -> Bound:
        """The formula with this region's parameters, made once. Raises ParameterMissing or RegionNotCovered."""
        if not covers(self.content["regions"], region):
            raise RegionNotCovered(region)
        snapshot = {entry["name"]: _snapshot(entry, region) for entry in self.content["parameters"]}
        values = {name: fraction(taken["value"]) * self._scales[name] for name, taken in snapshot.items()}
        names = tuple(variable.name for variable in self.variables)
        if len(self._bound) >= MAX_REGIONS:
            self._bound.clear()
        bound = Bound(compile_formula(self.formula, names, values), snapshot, values)
        self._bound[region] = bound
        return bound

    def _read(self, inputs: Mapping[str, Input], bound: Bound) -> tuple[dict[str, str], list[Any]]:
        """Inputs as texts and as values in base units, defaults filled in."""
        used: dict[str, str] = {}
        values: list[Any] = []
        for variable in self.variables:
            given = inputs.get(variable.name)
            try:
                if given is None:
                    text = _default(variable, bound)
                elif variable.kind == "choice":
                    text = _option(variable, given)
                else:
                    text = decimal_text(given)
            except NotANumber:
                raise InputError(self.check_facts(inputs)) from None
            used[variable.name] = text
            values.append(text if variable.kind == "choice" else fraction(text) * variable.scale)
        if len(inputs) > len(used) or not inputs.keys() <= used.keys():
            raise InputError(self.check_facts(inputs))
        return used, values

    def check_facts(self, facts: Mapping[str, Any], *, evidence: frozenset[str] = frozenset()) -> list[FactProblem]:
        """Everything wrong with the facts of a record. `evidence` names facts that are kept but not calculated with.

        Missing, unknown and mistyped facts are "invalid"; a value outside its sanity range is "range", to be held.
        """
        problems = [
            _problem("invalid", "unknown_fact", name)
            for name in facts
            if name not in self._by_name and name not in evidence
        ]
        for variable in self.variables:
            problems += _check_fact(variable, facts.get(variable.name))
        if self.at_least_one and all(facts.get(name) is None for name in self.at_least_one):
            problems.append(_problem("invalid", "one_needed", ", ".join(self.at_least_one)))
        return problems


def covers(regions: list[str], region: str) -> bool:
    """Whether a list of regions holds the region or one around it. `any` covers everything."""
    return "any" in regions or any(part in regions for part in _outward(region))


def _outward(region: str) -> list[str]:
    """The region, then what lies around it: CN-SC-CD, CN-SC, CN."""
    parts = region.split("-")
    return ["-".join(parts[:count]) for count in range(len(parts), 0, -1)]


def _snapshot(entry: Mapping[str, Any], region: str) -> dict[str, Any]:
    """A parameter as used: its value here, where it comes from, and whether it still needs confirmation."""
    kept = {name: entry[name] for name in ("unit", "source", "year", "evidence")}
    if "value" in entry:
        return {**kept, "value": entry["value"], "unverified": kept["evidence"] == "U"}
    where = _place(entry, region)
    evidence = entry.get("evidence_by_region", {}).get(where, kept["evidence"])
    value = entry["by_region"][where]
    return {**kept, "evidence": evidence, "value": value, "region": where, "unverified": evidence == "U"}


def _place(entry: Mapping[str, Any], region: str) -> str:
    """Exact region, else the one around it, else none. A region the table excludes, or no known one, has no value."""
    parts = region.split("-")
    slip = parts[0] == "CN" and len(parts) > 1 and parts[1] not in PROVINCES
    for place in [] if slip else _outward(region):
        if place in entry.get("excluded", ()):
            break
        if place in entry["by_region"]:
            return place
    raise ParameterMissing(entry["name"], region)


def _variable(entry: Mapping[str, Any]) -> Variable:
    kind = entry["kind"]
    unit = None if kind == "choice" else parse_unit(entry["unit"])
    return Variable(
        name=entry["name"],
        kind=kind,
        scale=unit.scale if unit else Fraction(1),
        dimension=unit.dimension if unit else None,
        low=None if unit is None else fraction(entry["min"]),
        high=None if unit is None else fraction(entry["max"]),
        required="default" not in entry and "default_parameter" not in entry,
        default=entry.get("default"),
        default_parameter=entry.get("default_parameter"),
        options=tuple(entry.get("options", ())),
    )


def _default(variable: Variable, bound: Bound) -> str:
    """The text of a default in the variable's own unit. Raises NotANumber where there is none."""
    if variable.default_parameter is not None:
        return exact_text(bound.values[variable.default_parameter] / variable.scale)
    if variable.default is None:
        raise NotANumber(f"{variable.name} is missing")
    return variable.default


def _option(variable: Variable, given: Any) -> str:
    if not isinstance(given, str) or given not in variable.options:
        raise NotANumber(f"{variable.name} has no such option")
    return given


def _check_fact(variable: Variable, given: Any) -> list[FactProblem]:
    if given is None:
        return [_problem("invalid", "missing_fact", variable.name)] if variable.required else []
    if variable.kind == "choice":
        if isinstance(given, str) and given in variable.options:
            return []
        return [_problem("invalid", "no_option", variable.name, options=", ".join(variable.options))]
    try:
        value = fraction(decimal_text(given))
    except NotANumber:
        return [_problem("invalid", "not_a_number", variable.name)]
    if variable.kind == "integer" and value.denominator != 1:
        return [_problem("invalid", "not_whole", variable.name)]
    low, high = variable.low or Fraction(0), variable.high or Fraction(0)
    if low <= value <= high:
        return []
    return [_problem("range", "out_of_range", variable.name, low=exact_text(low), high=exact_text(high))]


_WORDS: Final[dict[str, tuple[str, str]]] = {
    "unknown_fact": ("没有 {name} 这个数据项", "{name} is not a fact of this methodology"),
    "missing_fact": ("缺少 {name}", "{name} is missing"),
    "one_needed": ("{name} 至少填写一项", "at least one of {name} is needed"),
    "no_option": ("{name} 只能是:{options}", "{name} must be one of: {options}"),
    "not_a_number": ("{name} 不是有效的数字,例如 12 或 12.5", "{name} is no decimal number such as 12 or 12.5"),
    "not_whole": ("{name} 必须是整数", "{name} must be a whole number"),
    "out_of_range": ("{name} 超出合理范围 {low}–{high}", "{name} is outside the sanity range {low}–{high}"),
}


def _problem(kind: str, code: str, name: str, **details: str) -> FactProblem:
    zh, en = _WORDS[code]
    return FactProblem(kind, code, name, zh.format(name=name, **details), en.format(name=name, **details))
