"""The formula language: what it reads, what it refuses and where, and that nothing else comes out of it."""

from contextlib import suppress
from fractions import Fraction
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.methodologies.dimensions import MASS, UnitError, check_dimensions, parse_unit
from app.methodologies.evaluate import DivisionByZero, Range, check_ranges, compile_formula
from app.methodologies.grammar import MAX_DEPTH, MAX_NODES, FormulaError, check_names, parse


def value(text: str, **inputs: object) -> Fraction:
    """The result of a formula whose names are all variables."""
    return compile_formula(parse(text), tuple(inputs), {})(list(inputs.values()))[0]


def codes(text: str) -> list[tuple[str, int, int]]:
    with pytest.raises(FormulaError) as caught:
        parse(text)
    return [(p.code, p.line, p.column) for p in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("8 - 3 - 2", "3"),
        ("8 / 4 / 2", "1"),
        ("-2 * -3", "6"),
        ("2 × 3 ÷ 4 − 1", "1/2"),
        ("0.1 + 0.2", "3/10"),
        ("1 / 3 + 1 / 3 + 1 / 3", "1"),
        ("min(3, 1, 2) + max(3, 1, 2)", "4"),
        ("floor(7 / 2) + ceil(7 / 2)", "7"),
        ("floor(-7 / 2)", "-4"),
        ("if(2 < 3, 10, 20)", "10"),
        ("if(2 >= 3, 10, 20)", "20"),
        ("let a = 2\nlet b = a * a\nb + a", "6"),
        ("let a = (1 +\n  2)\na # a comment", "3"),
        ("\n\n  5  \n\n", "5"),
    ],
)
def test_formulas_are_exact(text: str, expected: str) -> None:
    assert value(text) == Fraction(expected)


def test_variables_choices_and_branches() -> None:
    text = 'if(fuel == "petrol", distance * 2, distance)'
    assert value(text, fuel="petrol", distance=Fraction(3)) == 6
    assert value(text, fuel="diesel", distance=Fraction(3)) == 3
    assert value('if(fuel != "petrol", 1, 0)', fuel="diesel") == 1


def test_a_branch_not_taken_is_not_evaluated() -> None:
    assert value("if(x > 0, 1 / x, 0)", x=Fraction(0)) == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [("no_result", 1, 1)]),
        ("let a = 1", [("no_result", 1, 10)]),
        ("1 +", [("expected", 1, 4)]),
        ("1 2", [("expected", 1, 3)]),
        ("(1", [("expected", 1, 3)]),
        ("1.2.3", [("bad_number", 1, 1)]),
        ("1e5", [("bad_number", 1, 1)]),
        ("5kg", [("bad_number", 1, 1)]),
        ("12345678901234567890123456789012", [("number_too_long", 1, 1)]),
        ("a ^ 2", [("unknown_character", 1, 3), ("expected", 1, 5)]),
        ('"abc', [("unclosed_text", 1, 1)]),
        ('"abc" + 1', [("text_outside_choice", 1, 1)]),
        ('if("a" == fuel, 1, 2)', [("text_outside_choice", 1, 4)]),
        ('if(fuel < "a", 1, 2)', [("text_outside_choice", 1, 11)]),
        ("if(1, 2, 3)", [("expected", 1, 5)]),
        ("if(1 < 2, 3)", [("argument_count", 1, 1)]),
        ("min(1)", [("argument_count", 1, 1)]),
        ("floor(1, 2)", [("argument_count", 1, 1)]),
        ("pow(1, 2)", [("unknown_name", 1, 1)]),
        ("__import__(1)", [("unknown_name", 1, 1)]),
        ("a.b", [("unknown_character", 1, 2), ("expected", 1, 3)]),
        ("let min = 1\n1", [("reserved_name", 1, 5)]),
        ("let = 1\n1", [("expected", 1, 5)]),
        ("let", [("expected", 1, 4), ("no_result", 1, 4)]),
        ("1\n2", [("after_result", 2, 1)]),
        ("1 < 2", [("expected", 1, 3)]),
        ("let a = 1 +\nlet b = * 2\na + b", [("expected", 1, 12), ("expected", 2, 9)]),
    ],
)
def test_every_problem_has_its_place(text: str, expected: list[tuple[str, int, int]]) -> None:
    assert codes(text) == expected


def test_problems_are_told_in_both_languages() -> None:
    with pytest.raises(FormulaError) as caught:
        parse("let floor = 1\nfloor")
    first = caught.value.problems[0]
    assert "保留字" in first.zh
    assert "cannot be a name" in first.en


def test_limits_on_depth_size_and_length() -> None:
    assert codes("(" * (MAX_DEPTH + 5) + "1" + ")" * (MAX_DEPTH + 5))[0][0] == "too_deep"
    assert codes("-" * (MAX_DEPTH + 5) + "1")[0][0] == "too_deep"
    assert codes("+".join(["1"] * (MAX_DEPTH + 5)))[0][0] == "too_deep"
    wide = "\n".join(f"let a{i} = " + "+".join(["1"] * 40) for i in range(MAX_NODES // 79 + 1)) + "\n1"
    assert "too_large" in {code for code, _, _ in codes(wide)}
    assert codes("1" * 5_000)[0][0] == "text_too_long"


def test_numbers_cannot_be_made_to_explode() -> None:
    """Squaring a step again and again would make numbers of 2^40 digits."""
    bomb = "let a0 = x * x\n" + "\n".join(f"let a{i} = a{i - 1} * a{i - 1}" for i in range(1, 40)) + "\na39"
    started = perf_counter()
    assert codes(bomb)[0][0] == "grows_too_fast"
    assert perf_counter() - started < 1


def test_names_unknown_hidden_unused() -> None:
    formula = parse("let a = x + y\nlet x = 2\nx")
    found = [(p.code, p.severity) for p in check_names(formula, {"x": None})]
    assert found == [("unknown_name", "error"), ("duplicate_name", "error"), ("unused_name", "warning")]
    formula = parse('if(fuel == "coal", 1, fuel)')
    found = [(p.code, p.severity) for p in check_names(formula, {"fuel": frozenset({"petrol"})})]
    assert found == [("unknown_option", "error"), ("text_outside_choice", "error")]


def test_division_by_zero_is_typed_and_placed() -> None:
    with pytest.raises(DivisionByZero) as caught:
        value("let a = 3\na / (x - x)", x=Fraction(5))
    assert (caught.value.line, caught.value.column) == (2, 3)
    with pytest.raises(DivisionByZero):
        compile_formula(parse("1 / (2 - 2)"), (), {})


def test_ranges_find_divisors_that_can_be_zero() -> None:
    def found(text: str, low: str, high: str) -> list[str]:
        problems, _ = check_ranges(parse(text), {"x": Range(Fraction(low), Fraction(high))})
        return [p.code for p in problems]

    assert found("1 / x", "0", "10") == ["division_may_be_zero"]
    assert found("1 / x", "0", "0") == ["division_by_zero"]
    assert found("1 / x", "-1", "1") == ["division_may_be_zero"]
    assert found("1 / x", "0.1", "10") == []
    assert found("1 / max(x, 1)", "0", "10") == []
    assert found("let d = x - 5\n1 / d", "0", "10") == ["division_may_be_zero"]
    _, result = check_ranges(parse("floor(min(x * -2, 3)) + 1"), {"x": Range(Fraction(1), Fraction(4))})
    assert result == Range(Fraction(-7), Fraction(-1))


# -- units and quantities


@pytest.mark.parametrize(
    ("text", "scale", "dimension"),
    [
        ("km", "1", {"km": 1}),
        ("L/100km", "1/100", {"L": 1, "km": -1}),
        ("kWh/100km/person", "1/100", {"kWh": 1, "km": -1, "person": -1}),
        ("gCO2e/piece", "1/1000", {"kgCO2e": 1, "piece": -1}),
        ("tCO2e/t", "1", {"kgCO2e": 1, "kg": -1}),
        ("kgCO2e/pkm", "1", {"kgCO2e": 1, "km": -1, "person": -1}),
        ("MJ", "5/18", {"kWh": 1}),
        ("kW", "1", {"kWh": 1, "h": -1}),
        ("km/day", "1/24", {"km": 1, "h": -1}),
        ("%", "1/100", {}),
        ("1", "1", {}),
        ("1/km", "1", {"km": -1}),
        ("m^2", "1/1000000", {"km": 2}),
        ("credit/step", "1", {"credit": 1, "step": -1}),
    ],
)
def test_units(text: str, scale: str, dimension: dict[str, int]) -> None:
    unit = parse_unit(text)
    assert unit.scale == Fraction(scale)
    assert dict(unit.dimension) == dimension


@pytest.mark.parametrize(
    "text", ["", "foo", "km//h", "km/", "a/b*c", "kgCO2e/km*person", "km^9", "100", "€", "k m m", "/km"]
)
def test_units_that_cannot_be_read(text: str) -> None:
    with pytest.raises(UnitError):
        parse_unit(text)


def dimension_codes(text: str, units: dict[str, str]) -> list[str]:
    known = {name: parse_unit(unit).dimension for name, unit in units.items()}
    return [p.code for p in check_dimensions(parse(text), known, MASS)[0]]


UNITS = {"d": "km", "fc": "L/100km", "ef": "kgCO2e/L", "e": "kWh", "g": "gCO2e/kWh", "paper": "kg", "n": "1", "t": "h"}


@pytest.mark.parametrize(
    "text",
    [
        "d * fc * ef - e * g",
        "max(0, d * fc * ef - e * g)",
        "if(e <= 0, 0, e * g)",
        "e * g * min(n, 1)",
        "floor(d / (d / n)) * e * g",
        "e * g * 44 / 12",
    ],
)
def test_formulas_that_are_mass_of_co2e(text: str) -> None:
    assert dimension_codes(text, UNITS) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("d * fc", ["wrong_result"]),
        ("paper * 3", ["wrong_result"]),
        ("e * g + paper", ["unlike_quantities"]),
        ("e * g + 1", ["unlike_quantities"]),
        ("floor(e) * g", ["rounding_needs_number", "wrong_result"]),
        ("if(d < e, e * g, 0)", ["unlike_quantities"]),
        ("if(n < 1, e * g, paper)", ["unlike_quantities"]),
        ("max(d * fc * ef, e)", ["unlike_quantities"]),
        ("d * fc * ef / 1000", ["conversion_constant"]),
        ("d / 100 * fc * ef", ["conversion_constant"]),
        ("e * g / 0.001", ["conversion_constant"]),
        ("0", ["wrong_result"]),
        ("d * d * fc * ef / t", ["wrong_result"]),
    ],
)
def test_formulas_that_are_not(text: str, expected: list[str]) -> None:
    found = dimension_codes(text, UNITS)
    assert found[: len(expected)] == expected[: len(found)]
    assert found


# -- nothing but its own errors, and the same value as plain arithmetic

WORDS = ["let", "if", "min", "max", "floor", "ceil", "a", "b", "1", "2.5", "0", "+", "-", "*", "/", "(", ")", ",", "=",
         "==", "<", ">=", "!=", '"x"', "\n", " ", "#", "×", "÷", "−", ".", "^", "\x00", "é", "1e9", "_"]  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(st.one_of(st.text(max_size=200), st.lists(st.sampled_from(WORDS), max_size=60).map(" ".join)))
def test_the_parser_raises_nothing_but_its_own_error(text: str) -> None:
    try:
        formula = parse(text)
    except FormulaError as error:
        assert error.problems
        assert all(p.line >= 1 and p.column >= 1 and p.zh and p.en for p in error.problems)
        return
    if any(p.severity == "error" for p in check_names(formula, {"a": None, "b": None})):
        return
    units = {"a": parse_unit("km").dimension, "b": ()}
    check_dimensions(formula, dict(units), MASS)
    check_ranges(formula, {"a": Range(Fraction(0), Fraction(9)), "b": Range(Fraction(1), Fraction(2))})
    with suppress(DivisionByZero):
        compile_formula(formula, ("a", "b"), {})([Fraction(3), Fraction(2)])


@st.composite
def arithmetic(draw: st.DrawFn, depth: int = 4) -> tuple[str, Fraction | None]:
    """A formula and its value by plain Fraction arithmetic; None where it divides by zero."""
    if depth == 0 or draw(st.booleans()):
        number = draw(st.decimals(min_value=0, max_value=1000, places=3))
        return format(number, "f"), Fraction(number)
    op = draw(st.sampled_from("+-*/"))
    (left, a), (right, b) = draw(arithmetic(depth - 1)), draw(arithmetic(depth - 1))
    text = f"({left} {op} {right})"
    if a is None or b is None or (op == "/" and b == 0):
        return text, None
    return text, {"+": a + b, "-": a - b, "*": a * b}[op] if op != "/" else a / b


@settings(max_examples=300, deadline=None)
@given(arithmetic())
def test_values_agree_with_plain_arithmetic(pair: tuple[str, Fraction | None]) -> None:
    text, expected = pair
    if expected is None:
        with pytest.raises(DivisionByZero):
            value(text)
    else:
        assert value(text) == expected
