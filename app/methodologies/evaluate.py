"""Exact evaluation of a formula, and the range that its result and its divisors can take.

`compile_formula` turns the tree once into nested Python functions over a list of values; parameters and everything
that follows from them alone become constants. Arithmetic is `Fraction` throughout: no binary float, no rounding.
This module imports nothing of the project but the formula language.
"""

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from app.methodologies.grammar import (
    Binary,
    Call,
    Compare,
    Formula,
    Name,
    Negative,
    Node,
    Number,
    Problem,
    Text,
    problem,
)

Values = list[Any]
"""Variables in their order, then the steps; a Fraction each, a str for a choice."""

Function = Callable[[Values], Fraction]


class DivisionByZero(ArithmeticError):
    """A divisor came out as zero; the caller holds the record, nothing is guessed."""

    def __init__(self, line: int, column: int) -> None:
        self.line, self.column = line, column
        super().__init__(f"division by zero in line {line}, column {column} of the formula")


@dataclass(frozen=True, slots=True)
class Constant:
    """A part whose value is known before any input is."""

    value: Fraction


Part = Constant | Function

_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_ARITHMETIC: Final[dict[str, Callable[[Fraction, Fraction], Fraction]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
}
_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {"min": min, "max": max, "floor": math.floor, "ceil": math.ceil}


@dataclass(frozen=True, slots=True)
class Compiled:
    """A formula bound to its parameters. `steps` follow the order of the formula."""

    variables: tuple[str, ...]
    step_names: tuple[str, ...]
    steps: tuple[Part, ...]
    result: Part

    def __call__(self, values: Values) -> tuple[Fraction, list[Fraction]]:
        """The result and the steps for the variables in their order. Raises DivisionByZero."""
        slots = list(values)
        count = len(slots)
        for step in self.steps:
            slots.append(step.value if isinstance(step, Constant) else step(slots))
        result = self.result
        return (result.value if isinstance(result, Constant) else result(slots)), slots[count:]


def compile_formula(formula: Formula, variables: tuple[str, ...], parameters: Mapping[str, Fraction]) -> Compiled:
    """Bind a checked formula to its parameters. Raises DivisionByZero when constants alone divide by zero."""
    parts: dict[str, Part] = {name: Constant(value) for name, value in parameters.items()}
    for slot, name in enumerate(variables):
        parts[name] = operator.itemgetter(slot)
    steps: list[Part] = []
    for slot, step in enumerate(formula.steps, len(variables)):
        part = _build(step.expression, parts)
        steps.append(part)
        parts[step.name] = part if isinstance(part, Constant) else operator.itemgetter(slot)
    names = tuple(step.name for step in formula.steps)
    return Compiled(variables, names, tuple(steps), _build(formula.result, parts))


def _build(node: Node, parts: Mapping[str, Part]) -> Part:
    if isinstance(node, Number):
        return Constant(node.value)
    if isinstance(node, Name):
        return parts[node.name]
    if isinstance(node, Negative):
        return _negative(_build(node.operand, parts))
    if isinstance(node, Binary):
        left, right = _build(node.left, parts), _build(node.right, parts)
        return _quotient(left, right, node) if node.op == "/" else _arithmetic(node.op, left, right)
    if isinstance(node, Call) and node.name == "if":
        return _choice(node, parts)
    if isinstance(node, Call):
        return _call(node.name, [_build(argument, parts) for argument in node.arguments])
    raise TypeError(f"{type(node).__name__} has no value of its own")


def _negative(part: Part) -> Part:
    if isinstance(part, Constant):
        return Constant(-part.value)
    inner = part
    return lambda values: -inner(values)


def _arithmetic(op: str, left: Part, right: Part) -> Part:
    apply = _ARITHMETIC[op]
    if isinstance(left, Constant):
        a = left.value
        if isinstance(right, Constant):
            return Constant(apply(a, right.value))
        after = right
        return lambda values: apply(a, after(values))
    before = left
    if isinstance(right, Constant):
        b = right.value
        return lambda values: apply(before(values), b)
    then = right
    return lambda values: apply(before(values), then(values))


def _quotient(left: Part, right: Part, node: Node) -> Part:
    line, column = node.line, node.column
    if isinstance(right, Constant):
        if right.value == 0:
            raise DivisionByZero(line, column)
        return _arithmetic("*", left, Constant(1 / right.value))
    above, below = _function(left), right

    def divide(values: Values) -> Fraction:
        divisor = below(values)
        if not divisor:
            raise DivisionByZero(line, column)
        return above(values) / divisor

    return divide


def _call(name: str, parts: list[Part]) -> Part:
    apply = _FUNCTIONS[name]
    constants = [part.value for part in parts if isinstance(part, Constant)]
    if len(constants) == len(parts):
        return Constant(Fraction(apply(*constants)))
    functions = [_function(part) for part in parts]
    if len(functions) == 1:
        only = functions[0]
        return lambda values: Fraction(apply(only(values)))
    if len(functions) == 2:
        first, second = functions
        return lambda values: Fraction(apply(first(values), second(values)))
    return lambda values: Fraction(apply(function(values) for function in functions))


def _choice(node: Call, parts: Mapping[str, Part]) -> Part:
    condition = node.arguments[0]
    assert isinstance(condition, Compare)  # the parser lets nothing else stand here
    compare = _COMPARE[condition.op]
    left = _function(_build(condition.left, parts))
    right: Callable[[Values], Any] = (
        _text(condition.right) if isinstance(condition.right, Text) else _function(_build(condition.right, parts))
    )
    then, other = (_function(_build(argument, parts)) for argument in node.arguments[1:])
    return lambda values: then(values) if compare(left(values), right(values)) else other(values)


def _text(node: Text) -> Callable[[Values], Any]:
    text = node.value
    return lambda values: text


def _function(part: Part) -> Function:
    if not isinstance(part, Constant):
        return part
    value = part.value
    return lambda values: value


@dataclass(frozen=True, slots=True)
class Range:
    """Everything between two values, both included."""

    low: Fraction
    high: Fraction


class _Ranger:
    """Interval arithmetic over a formula: never narrower than the truth, sometimes wider (a name used twice)."""

    def __init__(self, known: Mapping[str, Range]) -> None:
        self.known = dict(known)
        self.problems: list[Problem] = []

    def of(self, node: Node) -> Range | None:
        """The range of a part; None where it is unknown, already reported, or a choice."""
        if isinstance(node, Number):
            return Range(node.value, node.value)
        if isinstance(node, Name):
            return self.known.get(node.name)
        if isinstance(node, Negative):
            inner = self.of(node.operand)
            return inner and Range(-inner.high, -inner.low)
        if isinstance(node, Binary):
            return self.of_binary(node)
        if isinstance(node, Call):
            return self.of_call(node)
        return None

    def of_binary(self, node: Binary) -> Range | None:
        left, right = self.of(node.left), self.of(node.right)
        if node.op == "/" and right is not None and right.low <= 0 <= right.high:
            code = "division_by_zero" if right.low == right.high else "division_may_be_zero"
            self.problems.append(problem(code, node.line, node.column))
            return None
        if left is None or right is None:
            return None
        if node.op == "+":
            return Range(left.low + right.low, left.high + right.high)
        if node.op == "-":
            return Range(left.low - right.high, left.high - right.low)
        apply = operator.mul if node.op == "*" else operator.truediv
        corners = [apply(a, b) for a in (left.low, left.high) for b in (right.low, right.high)]
        return Range(min(corners), max(corners))

    def of_call(self, node: Call) -> Range | None:
        if node.name == "if":
            condition = node.arguments[0]
            if isinstance(condition, Compare) and not isinstance(condition.right, Text):
                self.of(condition.left), self.of(condition.right)
            parts = [self.of(argument) for argument in node.arguments[1:]]
        else:
            parts = [self.of(argument) for argument in node.arguments]
        ranges = [part for part in parts if part is not None]
        if len(ranges) < len(parts):
            return None
        lows, highs = [part.low for part in ranges], [part.high for part in ranges]
        if node.name == "if":
            return Range(min(lows), max(highs))
        if node.name in ("min", "max"):
            pick = min if node.name == "min" else max
            return Range(pick(lows), pick(highs))
        whole = math.floor if node.name == "floor" else math.ceil
        return Range(Fraction(whole(lows[0])), Fraction(whole(highs[0])))


def check_ranges(formula: Formula, known: Mapping[str, Range]) -> tuple[list[Problem], Range | None]:
    """Where a divisor can be zero within the allowed ranges; and the range of the result, None if it cannot be told."""
    ranger = _Ranger(known)
    for step in formula.steps:
        found = ranger.of(step.expression)
        ranger.known.pop(step.name, None)
        if found is not None:
            ranger.known[step.name] = found
    result = ranger.of(formula.result)
    return ranger.problems, result
