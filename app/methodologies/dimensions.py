"""Units: how each converts to its base, and the proof that a formula yields what its pack promises.

Values are converted to base units (exactly) before a formula sees them, so a formula is written as physics, without
conversion constants. What is proved here is the kind of quantity: kgCO2e/kWh times kWh is a mass of CO2e, kWh plus
km is nonsense. Mass of CO2e and mass of material are different quantities: 5 kg of paper is not 5 kg of CO2e.
This module imports nothing of the project but the formula language.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from app.methodologies.grammar import Binary, Call, Compare, Formula, Name, Negative, Node, Number, Problem, Text

Dimension = tuple[tuple[str, int], ...]
"""Base quantities and their powers, sorted; empty for a pure number."""

PURE: Final[Dimension] = ()
MASS: Final[Dimension] = (("kgCO2e", 1),)
CREDITS: Final[Dimension] = (("credit", 1),)
GRID_FACTOR: Final[Dimension] = (("kWh", -1), ("kgCO2e", 1))
FUEL_FACTOR: Final[Dimension] = (("L", -1), ("kgCO2e", 1))

_COUNTED: Final = (
    "person piece trip ride sheet page pair set cup slip step vehicle order checkin answer photo session floor lesson"
)

_UNITS: Final[dict[str, tuple[dict[str, int], Fraction]]] = {
    "kgCO2e": ({"kgCO2e": 1}, Fraction(1)),
    "gCO2e": ({"kgCO2e": 1}, Fraction(1, 1_000)),
    "mgCO2e": ({"kgCO2e": 1}, Fraction(1, 1_000_000)),
    "tCO2e": ({"kgCO2e": 1}, Fraction(1_000)),
    "credit": ({"credit": 1}, Fraction(1)),
    "kg": ({"kg": 1}, Fraction(1)),
    "g": ({"kg": 1}, Fraction(1, 1_000)),
    "mg": ({"kg": 1}, Fraction(1, 1_000_000)),
    "t": ({"kg": 1}, Fraction(1_000)),
    "km": ({"km": 1}, Fraction(1)),
    "m": ({"km": 1}, Fraction(1, 1_000)),
    "pkm": ({"km": 1, "person": 1}, Fraction(1)),
    "kWh": ({"kWh": 1}, Fraction(1)),
    "Wh": ({"kWh": 1}, Fraction(1, 1_000)),
    "MWh": ({"kWh": 1}, Fraction(1_000)),
    "MJ": ({"kWh": 1}, Fraction(5, 18)),
    "GJ": ({"kWh": 1}, Fraction(5_000, 18)),
    "kW": ({"kWh": 1, "h": -1}, Fraction(1)),
    "W": ({"kWh": 1, "h": -1}, Fraction(1, 1_000)),
    "L": ({"L": 1}, Fraction(1)),
    "mL": ({"L": 1}, Fraction(1, 1_000)),
    "m3": ({"L": 1}, Fraction(1_000)),
    "h": ({"h": 1}, Fraction(1)),
    "min": ({"h": 1}, Fraction(1, 60)),
    "s": ({"h": 1}, Fraction(1, 3_600)),
    "day": ({"h": 1}, Fraction(24)),
    "year": ({"year": 1}, Fraction(1)),
    "%": ({}, Fraction(1, 100)),
    "1": ({}, Fraction(1)),
    **{word: ({word: 1}, Fraction(1)) for word in _COUNTED.split()},
}
UNIT_NAMES: Final = tuple(_UNITS)

WORDS: Final[dict[str, tuple[str, str]]] = {
    "unlike_quantities": ("{left} 与 {right} 不是同一种量,不能 {verb_zh}", "cannot {verb_en} {left} and {right}"),
    "rounding_needs_number": (
        "{name} 只能用于纯数,这里是 {left};请先除以一个单位",
        "{name} needs a pure number, not {left}: divide by a unit first",
    ),
    "conversion_constant": (
        "不要乘除 {value}:单位会自动换算;确有需要请声明为带单位和来源的参数",
        "do not multiply or divide by {value}: units convert themselves; if it is a real quantity, declare a parameter",
    ),
    "wrong_result": ("结果是 {left},应当是 {right}", "the result is {left}, but must be {right}"),
}


class UnitError(ValueError):
    """A unit that is not known or not written as this module reads it."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit as written, the quantity it measures, and how many base units one of it is."""

    text: str
    dimension: Dimension
    scale: Fraction


_TERM = re.compile(r"(?P<number>[1-9][0-9]{0,5})?(?P<name>[A-Za-z]+[0-9]?[A-Za-z]*|%)?(\^(?P<power>[2-4]))?\Z")


def parse_unit(text: str) -> Unit:
    """Read a unit such as `kgCO2e/kWh`, `L/100km`, `kWh/100km/person`, `1`. Raises UnitError.

    Terms after the first `/` each need their own `/`: `a/b*c` can be read in two ways, so it is refused.
    """
    if not text or len(text) > 60:
        raise UnitError(f"a unit is 1 to 60 characters, for example km or kgCO2e/kWh, not {text[:60]!r}")
    above, *below = text.replace(" ", "").split("/")
    powers: dict[str, int] = {}
    scale = Fraction(1)
    for term in above.split("*"):
        scale *= _read_term(term, 1, powers, text)
    for term in below:
        scale *= _read_term(term, -1, powers, text)
    return Unit(text, _dimension(powers), scale)


def _read_term(term: str, sign: int, powers: dict[str, int], whole: str) -> Fraction:
    match = _TERM.match(term)
    if match is None or not term:
        hint = "write a/b/c instead of a/b*c" if "*" in term else "for example kgCO2e/kWh or L/100km"
        raise UnitError(f"cannot read {term!r} in the unit {whole!r}: {hint}")
    number, name = match["number"], match["name"]
    if number == "1" and name is None:
        number, name = None, "1"
    if name is None or name not in _UNITS:
        raise UnitError(f"unknown unit {term!r} in {whole!r}")
    bases, scale = _UNITS[name]
    power = int(match["power"] or 1)
    for base, base_power in bases.items():
        powers[base] = powers.get(base, 0) + sign * power * base_power
    factor = scale**power * int(number or 1)
    return factor if sign > 0 else 1 / factor


def _dimension(powers: dict[str, int]) -> Dimension:
    return tuple(sorted((base, power) for base, power in powers.items() if power))


def multiplied(left: Dimension, right: Dimension, sign: int = 1) -> Dimension:
    """The quantity of a product (`sign` 1) or a quotient (`sign` -1)."""
    powers = dict(left)
    for base, power in right:
        powers[base] = powers.get(base, 0) + sign * power
    return _dimension(powers)


def shown(dimension: Dimension) -> str:
    """A quantity in words: `kgCO2e/kWh`; `1` for a pure number."""
    above = [base if power == 1 else f"{base}^{power}" for base, power in dimension if power > 0]
    below = [f"/{base}" if power == -1 else f"/{base}^{-power}" for base, power in dimension if power < 0]
    return ("*".join(above) or "1") + "".join(below)


class _Checker:
    """Walks a formula and works out the quantity of each part. None means: unknown, already reported, or a zero,
    which is zero of any quantity."""

    def __init__(self, known: dict[str, Dimension | None]) -> None:
        self.known = known
        self.problems: list[Problem] = []

    def report(self, code: str, node: Node, **details: object) -> None:
        zh, en = WORDS[code]
        self.problems.append(Problem(code, node.line, node.column, zh.format(**details), en.format(**details)))

    def of(self, node: Node) -> Dimension | None:
        if isinstance(node, Number):
            return None if node.value == 0 else PURE
        if isinstance(node, Name):
            return self.known.get(node.name)
        if isinstance(node, Negative):
            return self.of(node.operand)
        if isinstance(node, Binary):
            return self.of_binary(node)
        if isinstance(node, Call):
            return self.of_call(node)
        return None

    def of_binary(self, node: Binary) -> Dimension | None:
        left, right = self.of(node.left), self.of(node.right)
        if node.op in "+-":
            verbs = ("相加", "add") if node.op == "+" else ("相减", "subtract")
            return self.same(node, left, right, *verbs)
        for side in (node.left, node.right):
            if isinstance(side, Number) and side.value in _CONVERSIONS:
                self.report("conversion_constant", side, value=side.value)
        if left is None or right is None:
            return None
        return multiplied(left, right, 1 if node.op == "*" else -1)

    def of_call(self, node: Call) -> Dimension | None:
        if node.name == "if":
            condition, then, other = node.arguments
            if isinstance(condition, Compare) and not isinstance(condition.right, Text):
                left, right = self.of(condition.left), self.of(condition.right)
                self.same(condition, left, right, "比较", "compare")
            return self.same(node, self.of(then), self.of(other), "放在同一个 if 里", "choose between")
        found = [self.of(argument) for argument in node.arguments]
        if node.name in ("floor", "ceil"):
            if found[0] not in (None, PURE):
                self.report("rounding_needs_number", node, name=node.name, left=shown(found[0] or PURE))
            return PURE
        result = found[0]
        for dimension in found[1:]:
            result = self.same(node, result, dimension, "比较", "compare")
        return result

    def same(self, node: Node, left: Dimension | None, right: Dimension | None, zh: str, en: str) -> Dimension | None:
        if left is not None and right is not None and left != right:
            self.report("unlike_quantities", node, left=shown(left), right=shown(right), verb_zh=zh, verb_en=en)
            return None
        return left if left is not None else right


_CONVERSIONS: Final = frozenset(Fraction(10) ** power for power in range(-9, 10) if abs(power) >= 2) | {Fraction(3600)}


def check_dimensions(
    formula: Formula, known: dict[str, Dimension | None], wanted: Dimension
) -> tuple[list[Problem], dict[str, Dimension | None]]:
    """Prove that the formula yields `wanted`.

    `known` gives the quantity of each variable and parameter (None for a choice). Returns the problems, empty when it
    is proved, and the quantity of each step.
    """
    checker = _Checker(dict(known))
    steps: dict[str, Dimension | None] = {}
    for step in formula.steps:
        steps[step.name] = checker.known[step.name] = checker.of(step.expression)
    result = checker.of(formula.result)
    if not checker.problems and result != wanted:
        left = shown(result) if result is not None else "0"
        checker.report("wrong_result", formula.result, left=left, right=shown(wanted))
    return checker.problems, steps
