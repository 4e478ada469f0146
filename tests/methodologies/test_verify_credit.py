"""The offline check agrees with the server on every example of the library, and sees every tampered value.

It is run as a stranger would run it: a fresh interpreter, no packages of ours.
"""

import copy
import importlib.util
import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.methodologies.check import check_pack
from app.methodologies.dimensions import UNIT_NAMES, parse_unit
from app.methodologies.evaluate import DivisionByZero, compile_formula
from app.methodologies.grammar import FormulaError, check_names, parse
from app.methodologies.library import reports
from app.methodologies.method import Method
from app.methodologies.pack import content_hash
from tests.methodologies.test_grammar import arithmetic
from tests.methodologies.test_packs import SCALED

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "verify_credit.py"
CONTENTS = {(r.key, c["version"]): c for _, r in reports() for c in r.contents}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("verify_credit", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def document(content: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    """What "open a credit" exports for one example, with a carry, a tier and transfers."""
    method = Method.from_content(content)
    result = method.calculate(example["inputs"], example.get("region", ""))
    earned = (result.counted_mg * 100 + result.credits_micro) * 8_000 * 20_000 // 100_000_000
    credits, carry = divmod(250_000 + earned - earned // 4, 1_000_000)
    extra = bonus(carry, result.counted_mg * 100 + result.credits_micro)
    return {
        "format": "diandi.credit/1",
        "record": {
            "id": "1",
            "occurred_at": content["in_force"]["from"] + "T12:00:00+08:00",
            "facts": dict(example["inputs"]),
        },
        "methodology": {
            "key": content["key"],
            "version": content["version"],
            "content": content,
            "content_hash": content_hash(content),
            "region": result.region,
            "parameters": {name: taken["value"] for name, taken in result.parameters.items()},
        },
        "inputs": dict(result.inputs),
        "result": {
            "raw_mg": str(result.raw_mg),
            "counted_mg": str(result.counted_mg),
            "credits_micro": str(result.credits_micro),
        },
        "conversion": {
            "credits_per_kg": 100,
            "tier": "B",
            "tier_bps": 8_000,
            "boost_bps": 20_000,
            "carry_before_micro": "250000",
            "earned_micro": str(earned),
            "cut_micro": str(earned // 4),
            "credits": str(credits),
            "carry_after_micro": str(carry),
        },
        "bonuses": [extra],
        "transfers": [
            transfer("1", "reduction", "mg", result.counted_mg),
            transfer("2", "award.record", "credits", credits),
            transfer("3", "award.boost.Double Monday", "credits", int(extra["credits"])),
        ],
    }


def bonus(carry: int, base: int) -> dict[str, Any]:
    """Half again on top, by a rule of its own; it goes on with the carry that the act's own award left."""
    earned = base * 8_000 * 5_000 // 100_000_000
    credits, rest = divmod(carry + earned, 1_000_000)
    return {
        "rule": "boost.Double Monday",
        "credits_per_kg": 100,
        "tier_bps": 8_000,
        "boost_bps": 5_000,
        "carry_before_micro": str(carry),
        "earned_micro": str(earned),
        "cut_micro": "0",
        "credits": str(credits),
        "carry_after_micro": str(rest),
    }


def transfer(number: str, reason: str, asset: str, amount: int) -> dict[str, Any]:
    entries = [
        {"account": "a", "asset": asset, "amount": str(-amount)},
        {"account": "b", "asset": asset, "amount": str(amount)},
    ]
    return {"id": number, "reason": reason, "source_ref": "record:1", "entries": entries}


@pytest.mark.parametrize("name", sorted(CONTENTS), ids="-".join)
def test_every_example_of_the_library_recomputes(script: ModuleType, name: tuple[str, str]) -> None:
    for example in CONTENTS[name]["examples"]:
        check = script.verify(json.loads(json.dumps(document(CONTENTS[name], example))))
        assert check.differences == []
        assert check.compared >= 12


def test_units_of_inputs_are_converted_too(script: ModuleType) -> None:
    content = check_pack(SCALED).contents[0]
    for example in content["examples"]:
        assert script.verify(document(content, example)).differences == []


NEV = CONTENTS["nev-mileage", "2023"]

TAMPERED = [
    (("inputs", "distance_km"), "32.4"),
    (("record", "facts", "distance_km"), "32.4"),
    (("record", "occurred_at"), "2025-12-30T23:59:59+08:00"),
    (("methodology", "region"), "CN-YN"),
    (("methodology", "version"), "2022"),
    (("methodology", "content_hash"), "0" * 64),
    (("methodology", "content", "parameters", 0, "value"), "7.1"),
    (("methodology", "content", "name", "zh"), "别的"),
    (("methodology", "content", "formula"), "distance_km * fuel_car * gasoline"),
    (("methodology", "parameters", "grid"), "0.1563"),
    (("result", "raw_mg"), "4136177"),
    (("result", "counted_mg"), "4136177"),
    (("result", "credits_micro"), "1"),
    (("conversion", "credits_per_kg"), 101),
    (("conversion", "tier_bps"), 10_000),
    (("conversion", "boost_bps"), 10_000),
    (("conversion", "carry_before_micro"), "250001"),
    (("conversion", "earned_micro"), "1"),
    (("conversion", "cut_micro"), "0"),
    (("conversion", "credits"), "497"),
    (("conversion", "carry_after_micro"), "0"),
    (("bonuses", 0, "earned_micro"), "1"),
    (("bonuses", 0, "carry_after_micro"), "1"),
    (("transfers", 2, "entries", 1, "amount"), "1"),
    (("transfers", 0, "entries", 1, "amount"), "1"),
    (("transfers", 1, "entries", 0, "amount"), "-1"),
    (("transfers", 1, "reason"), "reduction"),
]


@pytest.mark.parametrize(("path", "value"), TAMPERED, ids=[".".join(map(str, path)) for path, _ in TAMPERED])
def test_every_tampered_value_is_seen(script: ModuleType, path: tuple[Any, ...], value: Any) -> None:
    good = document(copy.deepcopy(NEV), NEV["examples"][0])
    assert script.verify(good).differences == []
    place = good
    for key in path[:-1]:
        place = place[key]
    assert place[path[-1]] != value
    place[path[-1]] = value
    assert script.verify(good).differences != []


LACKING = [
    ("format",), ("record",), ("inputs", "distance_km"), ("methodology", "content", "formula"),
    ("methodology", "content", "parameters", 3), ("result", "raw_mg"), ("conversion", "credits"),
]  # fmt: skip


@pytest.mark.parametrize("path", LACKING)
def test_a_file_that_lacks_something_is_not_ok(script: ModuleType, path: tuple[Any, ...]) -> None:
    good = document(copy.deepcopy(NEV), NEV["examples"][0])
    place = good
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    with pytest.raises(script.Unreadable):
        script.verify(good)


def run(*words: str, text: str = "") -> tuple[int, str, str]:
    """As a stranger runs it: isolated, without our packages."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", SCRIPT, *words], input=text, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_run_by_a_stranger(tmp_path: Path) -> None:
    good = document(NEV, NEV["examples"][0])
    file = tmp_path / "credit.json"
    file.write_text(json.dumps(good, ensure_ascii=False), encoding="utf-8")
    code, said, _ = run(str(file))
    assert (code, said[:2]) == (0, "OK")
    good["result"]["raw_mg"] = "4136177"
    code, said, _ = run("-", text=json.dumps(good))
    assert (code, said) == (1, "DIFFERENT result raw_mg: computed 4136176, the file says 4136177\n")
    code, said, _ = run("-", "--json", text=json.dumps(good))
    assert (code, json.loads(said)["ok"]) == (1, False)
    for broken in ("", "{", "[]", "{}", '{"format": "diandi.credit/1"}', "[" * 100_000):
        code, said, error = run("-", text=broken)
        assert (code, said) == (2, "")
        assert error.startswith("cannot be verified: ")
        assert "Traceback" not in error
    assert run(str(tmp_path / "none.json"))[0] == 2
    assert run()[0] == 2


# -- two evaluators, written apart, that must agree


def test_units_agree(script: ModuleType) -> None:
    for name in UNIT_NAMES:
        assert script.scale(name) == parse_unit(name).scale
    for text in ("L/100km", "kWh/100km/person", "kgCO2e/kWh", "km/day", "gCO2e/piece", "tCO2e/t", "kW/person", "m^2"):
        assert script.scale(text) == parse_unit(text).scale


@settings(max_examples=200, deadline=None)
@given(arithmetic())
def test_evaluators_agree_on_arithmetic(pair: tuple[str, Any]) -> None:
    text, expected = pair
    script = _loaded()
    if expected is None:
        with pytest.raises(script.Unreadable):
            script.Calculator({}).run(text)
    else:
        assert script.Calculator({}).run(text) == expected


WORDS = ["let a = ", "if(", "min(", "max(", "floor(", "ceil(", "x", "a", "1", "2.5", "+", "-", "*", "/", "(", ")", ",",
         "<", ">=", "==", "\n", "×", "÷", "−", "# c\n", "\nlet b = ", "b", "\n-", "=", '"']  # fmt: skip


@settings(max_examples=1500, deadline=None)
@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=25).map("".join))
def test_what_the_server_calculates_the_script_calculates_the_same(text: str) -> None:
    try:
        formula = parse(text)
    except FormulaError:
        return
    if any(p.severity == "error" for p in check_names(formula, {"x": None})):
        return
    script = _loaded()
    x = Fraction(7, 2)
    try:
        expected = compile_formula(formula, ("x",), {})([x])[0]
    except DivisionByZero:
        return
    assert script.Calculator({"x": x}).run(text) == expected


_module: list[ModuleType] = []


def _loaded() -> ModuleType:
    if not _module:
        spec = importlib.util.spec_from_file_location("verify_credit_again", SCRIPT)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        _module.append(module)
    return _module[0]
