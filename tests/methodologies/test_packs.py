"""Packs: the library is sound, and an author is told what is wrong, on which line, all at once."""

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from time import perf_counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.methodologies.check import Report, check_pack
from app.methodologies.library import pack_files, reports
from app.methodologies.method import InputError, Method, ParameterMissing, RegionNotCovered
from app.methodologies.pack import canonical, content_hash
from app.methodologies.queries import unverified
from app.methodologies.toml_lines import locate

MASS = {
    "nev-mileage", "phev-mileage", "ev-charging", "bus-ride", "metro-ride", "metro-trip", "low-carbon-line", "cycling",
    "carpooling", "car-free-day", "online-meeting", "paperless-office", "no-disposable-cutlery", "own-cup",
    "reuse-and-recycling", "e-invoice-waybill", "household-electricity", "waste-sorting",
}  # fmt: skip
CREDITS = {
    "walking", "rush-hour-avoidance", "off-peak-charging", "attendance", "daily-check-in", "quiz", "photo",
    "green-consumption", "no-bottled-water",
}  # fmt: skip
LIBRARY = {report.key: report for _, report in reports()}

GOOD = '''\
key = "test-ride"
result = "mass"
sources = ["a rule of ours"]
regions = ["CN"]
name = { zh = "测试", en = "Test" }
formula = """
let be = distance_km * car
let pe = distance_km * grid * consumption
be - pe
"""

[variables.distance_km]
kind = "decimal"
unit = "km"
label = { zh = "里程", en = "distance" }
min = "0"
max = "100"

[parameters.car]
unit = "kgCO2e/km"
value = "0.15"
source = "somewhere"
year = "2024"
evidence = "S"

[parameters.consumption]
unit = "kWh/100km"
value = 15
source = "somewhere"
year = "2024"
evidence = "U"
unverified = true

[parameters.grid]
unit = "kgCO2e/kWh"
source = "somewhere"
year = "2023"
evidence = "S"
by_region = { CN = "0.5", CN-SC = "0.1" }

[[versions]]
version = "1"
from = 2026-01-01

[[examples]]
region = "CN-SC"
inputs = { distance_km = "10" }
mg = "1350000"
'''


def found(text: str) -> list[tuple[int, str]]:
    return [(f.line, f.code) for f in check_pack(text).findings]


def line_of(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.split("\n"), 1) if part in line)


def test_the_library_is_complete_and_sound() -> None:
    assert {key for key, report in LIBRARY.items() if report.contents[0]["result"] == "mass"} == MASS
    assert {key for key, report in LIBRARY.items() if report.contents[0]["result"] == "credits"} == CREDITS
    for key, report in LIBRARY.items():
        assert report.ok, report.findings
        assert not report.findings, report.findings
        assert {path.stem for path in pack_files()} >= {key}


@pytest.mark.parametrize("key", sorted(MASS | CREDITS))
def test_every_day_since_2014_has_one_version(key: str) -> None:
    spans = sorted((c["in_force"]["from"], c["in_force"]["to"]) for c in LIBRARY[key].contents)
    assert spans[0][0] == "2014-01-01"
    assert spans[-1][1] is None
    assert all(end == start for (_, end), (start, _) in pairwise(spans))
    demonstration = [c for c in LIBRARY[key].contents if c["demonstration"]]
    assert [c["in_force"]["to"] for c in demonstration] == ["2024-04-12"]


def test_every_parameter_names_source_and_year_and_marks_what_is_unverified() -> None:
    for report in LIBRARY.values():
        for content in report.contents:
            for entry in content["parameters"]:
                assert entry["source"].strip()
                assert entry["year"].strip()
                assert (entry["evidence"] == "U") == (entry.get("unverified", False) is True)
    flagged = unverified(LIBRARY["nev-mileage"].contents[0]["parameters"])
    assert flagged == ["fuel_car", "gasoline", "bev", "charge_efficiency", "grid CN"]


def test_grid_factors_of_the_published_tables() -> None:
    def grid(version: str, region: str) -> Any:
        content = next(c for c in LIBRARY["nev-mileage"].contents if c["version"] == version)
        return Method.from_content(content).bind(region).parameters["grid"]

    assert grid("2023", "CN-SC")["value"] == "0.1564"
    assert grid("2022", "CN-YN")["value"] == "0.1073"
    assert grid("2021", "CN-GD")["value"] == "0.4715"
    assert grid("2023", "CN-XJ")["value"] == "0.6021"
    assert grid("demo-2014", "CN-SC")["value"] == "0.1255"
    assert grid("2023", "CN-SC-CD")["region"] == "CN-SC"  # a district takes its province's
    assert grid("2023", "CN")["value"] == "0.5306"
    assert (
        len(next(p for p in LIBRARY["nev-mileage"].contents[3]["parameters"] if p["name"] == "grid")["by_region"]) == 31
    )


@pytest.mark.parametrize("region", ["CN-XZ", "CN-HK", "CN-TW", "CN-ZZ", "CN-sc"])
def test_a_region_without_a_value_is_never_guessed(region: str) -> None:
    method = Method.from_content(LIBRARY["nev-mileage"].contents[-1])
    with pytest.raises(ParameterMissing) as caught:
        method.calculate({"distance_km": "10"}, region)
    assert (caught.value.parameter, caught.value.region) == ("grid", region)


def test_a_region_outside_the_pack_is_refused() -> None:
    method = Method.from_content(LIBRARY["waste-sorting"].contents[-1])
    for region in ("", "US-CA", "CNX"):
        with pytest.raises(RegionNotCovered):
            method.calculate({"waste_kg": "5"}, region)


def test_results_floor_once_and_negative_ones_count_as_zero() -> None:
    line = Method.from_content(LIBRARY["low-carbon-line"].contents[-1])
    alone = line.calculate({"passengers": 1, "distance_km": "18"}, "CN-SC")
    assert (alone.raw_mg, alone.counted_mg) == (-717300, 0)
    charging = Method.from_content(LIBRARY["ev-charging"].contents[-1])
    tiny = charging.calculate({"energy_kwh": "0.000001"}, "CN-SC")
    assert 0 < tiny.exact < 1
    assert tiny.raw_mg == 0
    negative = LIBRARY["nev-mileage"].contents[-1]
    formula = negative["formula"].replace("be - pe", "pe - be")
    reversed_method = Method.from_content({**negative, "formula": formula})
    below = reversed_method.calculate({"distance_km": "0.0000001"}, "CN-SC")
    assert -1 < below.exact * 1_000_000 < 0
    assert (below.raw_mg, below.counted_mg) == (-1, 0)  # toward minus infinity, as computed
    paper = Method.from_content(LIBRARY["own-cup"].contents[-1]).calculate({}, "CN-SC")
    assert paper.exact == Fraction("0.01") * Fraction(57, 17)
    assert paper.exact_text() == "57/1700"


def test_credit_packs_give_micro_credits_and_no_grams() -> None:
    walking = Method.from_content(LIBRARY["walking"].contents[-1])
    result = walking.calculate({"steps": 7251}, "CN-SC")
    assert (result.raw_mg, result.counted_mg, result.credits_micro) == (0, 0, 14_502_000)


def test_a_stored_result_can_be_recomputed_from_itself() -> None:
    """Inputs and parameters of a result are enough to get it again."""
    for report in LIBRARY.values():
        for content in report.contents:
            method = Method.from_content(content)
            for example in content["examples"]:
                first = method.calculate(example["inputs"], example.get("region", ""))
                again = method.calculate(first.inputs, first.region)
                assert again.exact == first.exact
                assert again.inputs == first.inputs
                assert set(first.parameters) == {p["name"] for p in content["parameters"]}


SCALED = (
    GOOD.replace('unit = "km"', 'unit = "m"')
    .replace('max = "100"', 'max = "100000"\ndefault_parameter = "usual"')
    .replace('distance_km = "10"', 'distance_km = "10000"')
    + """
[[examples]]
region = "CN-SC"
inputs = {}
mg = "1350000"

[parameters.usual]
unit = "km"
value = "10"
source = "somewhere"
year = "2024"
evidence = "S"
"""
)


def test_inputs_are_in_the_unit_of_their_variable() -> None:
    """Metres in, kilometres in the factor; a default from a parameter in another unit is turned into the variable's."""
    report = check_pack(SCALED)
    assert report.findings == ()
    method = Method.from_content(report.contents[0])
    assert method.calculate({"distance_km": "1"}, "CN-SC").raw_mg == 135
    assert method.calculate({}, "CN-SC").inputs == {"distance_km": "10000"}


def test_a_pack_may_change_a_field_of_a_shared_parameter() -> None:
    old = 'unit = "kWh/100km"\nvalue = 15\nsource = "somewhere"\nyear = "2024"\nevidence = "U"\nunverified = true\n'
    text = GOOD.replace(old, 'use = "bev"\nvalue = "16"\n').replace(
        "[variables", 'include = ["_common.toml"]\n[variables', 1
    )
    text = text.replace('mg = "1350000"', 'mg = "1340000"')
    report = check_pack(text)
    assert report.findings == ()
    shared = next(p for p in report.contents[0]["parameters"] if p["name"] == "consumption")
    assert (shared["value"], shared["unit"], shared["evidence"]) == ("16", "kWh/100km", "U")


# -- facts of records


def facts(key: str, given: dict[str, Any], **options: Any) -> list[tuple[str, str, str]]:
    method = Method.from_content(LIBRARY[key].contents[-1])
    return [(p.kind, p.code, p.name) for p in method.check_facts(given, **options)]


def test_facts_are_told_apart_into_wrong_and_out_of_range() -> None:
    assert facts("nev-mileage", {"distance_km": "32.3"}) == []
    assert facts("nev-mileage", {"distance_km": Decimal("32.30")}) == []
    assert facts("nev-mileage", {"distance_km": "2000"}) == [("range", "out_of_range", "distance_km")]
    assert facts("nev-mileage", {"distance_km": "-1"}) == [("range", "out_of_range", "distance_km")]
    assert facts("nev-mileage", {}) == [("invalid", "missing_fact", "distance_km")]
    assert facts("nev-mileage", {"distance_km": None}) == [("invalid", "missing_fact", "distance_km")]
    assert facts("nev-mileage", {"distance_km": "1", "vin": "X"}) == [("invalid", "unknown_fact", "vin")]
    assert facts("nev-mileage", {"distance_km": "1", "vin": "X"}, evidence=frozenset({"vin"})) == []
    assert facts("walking", {"steps": "7250.00"}) == []
    assert facts("walking", {"steps": "7250.5"}) == [("invalid", "not_whole", "steps")]
    assert facts("paperless-office", {}) == [("invalid", "one_needed", "sheets, duplex_pages")]
    assert facts("daily-check-in", {}) == []


@pytest.mark.parametrize(
    "value",
    ["NaN", "Infinity", "1e5", "", " ", "1,000", "٣", "0x10", "1.", ".5", "--1", "1" * 16, "=cmd", "12\x00", 1.5, True,
     float("nan"), Decimal("NaN"), Decimal("Infinity"), Decimal("1E+100000"), 10**18, [], {}, b"1"],
)  # fmt: skip
def test_values_that_are_no_numbers(value: Any) -> None:
    assert facts("nev-mileage", {"distance_km": value}) == [("invalid", "not_a_number", "distance_km")]
    with pytest.raises(InputError):
        Method.from_content(LIBRARY["nev-mileage"].contents[-1]).calculate({"distance_km": value}, "CN-SC")


def test_unknown_and_missing_inputs_are_refused_by_the_calculation_too() -> None:
    method = Method.from_content(LIBRARY["nev-mileage"].contents[-1])
    for inputs in ({}, {"distance_km": "1", "distance": "1"}, {"distance": "1"}):
        with pytest.raises(InputError):
            method.calculate(inputs, "CN-SC")


# -- what an author is told


def test_a_good_pack_has_no_findings_and_a_stable_hash() -> None:
    report = check_pack(GOOD)
    assert report.ok
    assert report.findings == ()
    content = report.contents[0]
    assert content["parameters"][1]["value"] == "15"  # texts only: no reader makes a float of it
    assert content_hash(content) == content_hash(check_pack(GOOD.replace("\n", "\r\n")).contents[0])
    assert b'"at"' not in canonical(content)
    assert content_hash(check_pack(GOOD.replace("0.15", "0.16")).contents[0]) != content_hash(content)


PLANTED = [
    ("[parameters.car]", "[parameters.car", "toml", "[parameters.car"),
    ('source = "somewhere"\nyear = "2024"\nevidence = "S"', 'year = "2024"\nevidence = "S"', "missing_source",
     "[parameters.car]"),
    ('year = "2023"', 'year = ""', "missing_year", 'year = ""'),
    ('unit = "kgCO2e/km"', 'unit = "kg/km"', "unlike_quantities", "be - pe"),
    ('unit = "kWh/100km"', 'unit = "kwh/100km"', "unit", "kwh/100km"),
    ("be - pe", "be - pee", "unknown_name", "be - pee"),
    ("be - pe", "be -", "expected", "be -"),
    ("be - pe", "(be - pe) / (car - car)", "division_by_zero", "(be - pe) /"),
    ("be - pe", "(be - pe) / 0", "division_by_zero", "(be - pe) /"),
    ("be - pe", "(be - pe) * be", "wrong_result", "(be - pe) * be"),
    ("be - pe", "(be - pe) / 1000", "conversion_constant", "(be - pe) / 1000"),
    ("let pe =", "let be =", "duplicate_name", "let be = distance_km * grid"),
    ("let pe =", "let car =", "duplicate_name", "let car ="),
    ("[parameters.consumption]", "[parameters.distance_km]", "duplicate_name", "[parameters.distance_km]"),
    ('mg = "1350000"', 'mg = "1350001"', "example_mismatch", 'mg = "1350001"'),
    ('mg = "1350000"', 'kg = "1.35"', "expectation", "[[examples]]"),
    ('inputs = { distance_km = "10" }', 'inputs = { distance_km = "1000" }', "example_out_of_range", "inputs ="),
    ('inputs = { distance_km = "10" }', 'inputs = { km = "10" }', "example_unknown_fact", "inputs ="),
    ('region = "CN-SC"', 'region = "US"', "example_fails", "[[examples]]"),
    ('CN-SC = "0.1"', 'CN-SC = "1.2"', "grid_guard", "by_region"),
    ('CN-SC = "0.1"', 'CN-ZZ = "0.1"', "region", "by_region"),
    ('value = "0.15"', 'value = "0.15"\nmin = "0.2"', "parameter_range", 'value = "0.15"'),
    ('value = "0.15"', 'value = "1,5"', "number", "1,5"),
    ('value = "0.15"', "value = nan", "number", "value = nan"),
    ('value = "0.15"', 'value = "1/0"', "number", "1/0"),
    ("unverified = true\n", "", "unverified", "[parameters.consumption]"),
    ('kind = "decimal"', 'kind = "real"', "kind", 'kind = "real"'),
    ('min = "0"', 'min = "200"', "range", 'max = "100"'),
    ('label = { zh = "里程", en = "distance" }', 'label = "distance"', "two_languages", "label ="),
    ('result = "mass"', 'result = "money"', "result", "result ="),
    ('sources = ["a rule of ours"]', "sources = []", "missing_source", "sources ="),
    ("from = 2026-01-01", "from = 2026-01-01\nto = 2026-01-01", "in_force", "to = 2026-01-01"),
    ("from = 2026-01-01", "", "in_force", "[[versions]]"),
    ('version = "1"', 'version = "1"\nauthor = "me"', "unknown_field", "author ="),
    ("[[versions]]", 'include = ["../../etc/passwd"]\n[[versions]]', "unknown_field", "include ="),
    ('regions = ["CN"]', 'regions = ["CN"]\ninclude = ["../_grid.toml"]', "unknown_include", "include ="),
    ('unit = "kgCO2e/km"', 'use = "nothing"', "unknown_shared", "use ="),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "code", "at"), PLANTED, ids=[f"{p[2]}-{i}" for i, p in enumerate(PLANTED)])
def test_a_planted_error_is_found_on_its_line(old: str, new: str, code: str, at: str) -> None:
    assert old in GOOD
    text = GOOD.replace(old, new, 1)
    report = check_pack(text)
    assert not report.ok
    wanted = [f for f in report.findings if f.code == code]
    assert wanted, report.findings
    assert line_of(text, at) in {f.line for f in wanted}, (wanted, line_of(text, at))
    assert all(f.zh and f.en for f in report.findings)


def test_all_problems_at_once() -> None:
    text = (
        GOOD.replace('year = "2023"', 'year = ""')
        .replace("be - pe", "be - pee")
        .replace('kind = "decimal"', 'kind = "x"')
    )
    assert {code for _, code in found(text)} >= {"missing_year", "unknown_name", "kind"}


def test_versions_that_overlap_or_repeat() -> None:
    second = '\n[[versions]]\nversion = "2"\nfrom = 2026-06-01\n'
    assert "overlap" in {code for _, code in found(GOOD + second)}
    closed = GOOD.replace("from = 2026-01-01", "from = 2026-01-01\nto = 2026-06-01") + second
    assert check_pack(closed).ok
    assert "duplicate_version" in {code for _, code in found(closed.replace('version = "2"', 'version = "1"'))}


def test_a_finding_says_in_which_version_it_is() -> None:
    text = GOOD.replace("from = 2026-01-01", "from = 2026-01-01\nto = 2026-06-01")
    text += '\n[[versions]]\nversion = "2"\nfrom = 2026-06-01\nparameters.car.value = "0.2"\n'
    finding = next(f for f in check_pack(text).findings if f.code == "example_mismatch")
    assert finding.versions == ("2",)
    assert "got 1850000" in finding.en


def test_a_pack_beyond_all_measure_is_refused_quickly() -> None:
    many = "".join(f'\n[[versions]]\nversion = "{i}"\nfrom = 2026-01-01\n' for i in range(2, 3000))
    started = perf_counter()
    assert [code for _, code in found(GOOD + many)] == ["too_many"]
    many = "".join(f'\n[[examples]]\ninputs = {{ distance_km = "{i}" }}\nmg = "1"\n' for i in range(2, 3000))
    assert [code for _, code in found(GOOD + many)] == ["too_many"]
    assert found(GOOD + "#" * 200_000) == [(1, "too_long")]
    assert perf_counter() - started < 5


def test_unused_names_are_a_warning_only() -> None:
    text = GOOD.replace("let be = ", "let idle = car\nlet be = ")
    report = check_pack(text)
    assert report.ok
    assert [(f.code, f.severity) for f in report.findings] == [("unused_name", "warning")]


@settings(max_examples=250, deadline=None)
@given(st.data())
def test_no_text_breaks_the_check(data: st.DataObject) -> None:
    """Cut, doubled and overwritten packs: a report, never an exception."""
    start = data.draw(st.integers(0, len(GOOD)))
    end = data.draw(st.integers(start, min(len(GOOD), start + 80)))
    patch = data.draw(
        st.one_of(st.text(max_size=30), st.sampled_from(["[]", "{}", "1", "true", '""', "[[x]]", "= 3", "\x00"]))
    )
    report = check_pack(GOOD[:start] + patch + GOOD[end:])
    assert isinstance(report, Report)
    assert all(f.line >= 1 for f in report.findings)


RICH = (
    GOOD.replace("be - pe\n", 'if(mode == "slow", be - pe, 0)\n')
    .replace(
        "[variables.distance_km]",
        """\
[variables.mode]
kind = "choice"
label = { zh = "方式", en = "mode" }
options = ["slow", "fast"]
default = "slow"

[variables.distance_km]""",
    )
    .replace(
        'key = "test-ride"',
        """\
key = "test-ride"
at_least_one = ["distance_km"]
include = ["_common.toml"]""",
    )
    .replace(
        "[parameters.car]",
        """\
[parameters.fuel]
use = "gasoline"
label = "x"
excluded = ["CN-XZ"]
default_parameter = "car"

[parameters.car]""",
    )
    .replace(
        'mg = "1350000"',
        """\
mg = "1350000"
kg = "1.35"
versions = ["1"]
steps = { be = "1.5" }""",
    )
    .replace('version = "1"', 'version = "1"\ndemonstration = false\nparameters = { car = { year = "2025" } }')
)
"""Every field that a pack can have."""


KEYS = [line.split(" = ")[0] for line in RICH.split("\n") if " = " in line and "let" not in line]
WRONG = ["1", "true", "[]", "{}", '""', '"x"', "[1, 2]", "{ a = 1 }", "2026-01-01", "nan", "[[]]", "12:00:00"]


def test_the_rich_pack_only_lacks_what_was_planted() -> None:
    assert {code for _, code in found(RICH)} == {"unknown_field", "unused_name"}


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(KEYS), st.sampled_from(WRONG))
def test_no_wrong_type_breaks_the_check(key: str, value: str) -> None:
    lines = [
        f"{key} = {value}" if line.startswith(f"{key} = ") and '"""' not in line else line for line in RICH.split("\n")
    ]
    assert isinstance(check_pack("\n".join(lines)), Report)


def test_places_of_keys() -> None:
    text = (
        'a = 1\n[b]\nc = """\nlet y = 0\nx = 1"""\nd.e = [\n  1,\n]\n[[f]]\ng = 1\n[[f]]\ng = { h = 2 }\n[f.i]\nj = 1\n'
    )
    places = locate(text)
    assert places.line(("a",)) == 1
    assert places.line(("b", "c")) == 3
    assert places.text_starts[("b", "c")] == 4
    assert places.line(("b", "d", "e")) == 6
    assert places.line(("f", 1, "g", "h")) == 12
    assert places.line(("f", 1, "i", "j")) == 14
    assert ("b", "x") not in places.lines


def test_the_versions_of_grid_packs_follow_the_days_of_publication() -> None:
    day = date(2025, 12, 30)
    for offset, version in ((0, "2022"), (1, "2023")):
        at = (day + timedelta(days=offset)).isoformat()
        held = [c["version"] for c in LIBRARY["ev-charging"].contents
                if c["in_force"]["from"] <= at and at < (c["in_force"]["to"] or "9999")]  # fmt: skip
        assert held == [version]
