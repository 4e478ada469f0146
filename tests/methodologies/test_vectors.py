"""The worked examples of the reference, family by family, reproduced exactly by our packs and our formula language.

They live beside the repository; without them these tests are skipped, and the examples inside the packs remain.
"""

import json
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from app.methodologies.check import check_pack
from app.methodologies.evaluate import compile_formula
from app.methodologies.grammar import parse
from app.methodologies.library import pack_files
from app.methodologies.method import Method, Result
from app.methodologies.quantities import MICRO, floor_micro, fraction

FILE = Path(__file__).resolve().parents[3] / "shared" / "reference" / "vectors" / "methodologies.json"
VECTORS: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))["vectors"] if FILE.is_file() else []
PACKS = {path.stem: check_pack(path.read_text(encoding="utf-8")) for path in pack_files()}
REGIONS = {"national average": "CN", "Sichuan 四川": "CN-SC", "Yunnan 云南": "CN-YN"}

needs_vectors = pytest.mark.skipif(not VECTORS, reason="the reference's vectors are not beside this repository")


def method(key: str, version: str = "2023") -> Method:
    content = next(c for c in PACKS[key].contents if c["version"] in (version, "1"))
    return Method.from_content(content)


def formula(text: str, inputs: Mapping[str, Any]) -> Fraction:
    """A family that is no scenario of ours, calculated by the formula language alone."""
    names = tuple(inputs)
    return compile_formula(parse(text), names, {})([fraction(str(inputs[name])) for name in names])[0]


def half_up(value: Fraction, places: int) -> str:
    exact = Decimal(value.numerator) / Decimal(value.denominator)
    return str(exact.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP))


def agree(expected: Mapping[str, str], result: Result, total: str | None = None, **steps: str) -> None:
    """BE, PE, ER of a vector against the steps and the result; the stored milligrams are their floor."""
    for name, step in {"be_kg": "be", "pe_kg": "pe", **steps}.items():
        if name in expected:
            assert result.steps[step].value == fraction(expected[name]), name
    exact = result.steps[total].value if total else result.exact
    assert exact == fraction(expected["er_kg"])
    assert result.raw_mg == floor_micro(result.exact)


def check_nev(v: dict[str, Any]) -> None:
    i = v["inputs"]
    result = method("nev-mileage", i["grid_year"]).calculate(
        {"distance_km": i["distance_km"]}, REGIONS[i["grid_region"]]
    )
    assert result.parameters["grid"]["value"] == i["grid_kg_per_kwh"]
    assert result.parameters["grid"]["year"] == i["grid_year"]
    agree(v["expected"], result)


def check_phev(v: dict[str, Any]) -> None:
    inputs = {"distance_km": v["inputs"]["distance_km"]}
    given = {**inputs, "electric_share": v["inputs"]["electric_share_u"]}
    agree(v["expected"], method("phev-mileage").calculate(given, "CN-SC"))
    assert method("phev-mileage").calculate(inputs, "CN-SC").exact == fraction(v["expected"]["er_kg"])  # the default


def check_ams_baseline(v: dict[str, Any]) -> None:
    i = v["inputs"]
    improvement = " * ".join(["ir"] * i["t"]) or "1"
    value = formula(f"sfc_g_per_km / 1000 * ncv_mj_per_kg * ef_fuel_g_per_mj * ({improvement})", _numbers(i))
    assert half_up(value, 6) == v["expected"]["ef_bl_g_per_km"]


def check_ams_annual(v: dict[str, Any]) -> None:
    text = """
        let factor = sfc_g_per_km / 1000 * ncv_mj_per_kg * ef_fuel_g_per_mj * ir * ir * ir
        let be = distance_km * factor / 1000
        let pe = distance_km * elec_kwh_per_100km / 100 * grid_kg_per_kwh / (1 - tdl)
    """
    for name, line in {"be_kg": "be", "pe_kg": "pe", "er_kg": "be - pe"}.items():
        assert half_up(formula(text + "\n" + line, _numbers(v["inputs"])), 3) == v["expected"][name]


def _numbers(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in inputs.items() if name != "t"}


def check_charging(v: dict[str, Any]) -> None:
    result = method("ev-charging").calculate({"energy_kwh": v["inputs"]["energy_kwh"]}, "CN-SC")
    agree(v["expected"], result, km="distance")


def check_car_free(v: dict[str, Any]) -> None:
    if "litres" in v["inputs"]:  # a published pair, not a formula: 98 kg for 44 L
        assert formula("litres * 98 / 44", v["inputs"]) == fraction(v["expected"]["kg"])
        return
    result = method("car-free-day").calculate({"stopped_hours": 24 * v["inputs"]["days"]}, "CN-SC")
    assert result.exact == fraction(v["expected"]["er_kg"])


def check_metro_trip(v: dict[str, Any]) -> None:
    result = method("metro-trip").calculate({"trips": v["inputs"]["trips"]}, "CN")
    assert result.parameters["per_trip"]["value"] == v["inputs"]["factor_kg_per_trip"]
    assert result.exact == fraction(v["expected"]["er_kg"])


def check_transit(v: dict[str, Any]) -> None:
    i = v["inputs"]
    key, mode = ("metro-ride", "metro_consumption") if i["mode"] == "metro" else ("bus-ride", "bus")
    result = method(key).calculate({"distance_km": i["distance_pkm"]}, REGIONS[i["grid_region"]])
    assert result.steps["car"].value == fraction(i["ef_base_kg_per_pkm"])
    if mode == "bus":
        assert result.steps["bus"].value == fraction(i["ef_mode_kg_per_pkm"])
    assert result.exact == fraction(v["expected"]["er_kg"])


def check_line(v: dict[str, Any]) -> None:
    i = v["inputs"]
    given = {"passengers": i["passengers"], "distance_km": i["distance_km"]}
    result = method("low-carbon-line").calculate(given, "CN-SC")
    agree(v["expected"], result, total="whole_bus")
    assert result.exact == fraction(v["expected"]["er_kg_per_head"])


def check_bike(v: dict[str, Any]) -> None:
    result = method("cycling").calculate({"distance_km": v["inputs"]["distance_km"]}, "CN-SC")
    for mode, share in v["inputs"]["shares"].items():
        assert result.parameters["share_" + mode.replace("-", "")]["value"] == share
    for mode, factor in v["inputs"]["ef_kg_per_pkm"].items():
        if mode.replace("-", "") in result.steps:
            assert result.steps[mode.replace("-", "")].value == fraction(factor)
    assert result.steps["base"].value == fraction(v["expected"]["ef_base_kg_per_pkm"])
    assert result.exact == fraction(v["expected"]["er_kg"])


def check_walk(v: dict[str, Any]) -> None:
    assert formula("steps * step_length_m / 1000", v["inputs"]) == fraction(v["expected"]["km"])
    walking = method("walking")
    assert walking.result == "credits"
    assert walking.calculate({"steps": v["inputs"]["steps"]}, "CN-SC").counted_mg == 0


def check_wuhan(v: dict[str, Any]) -> None:
    text = "steps * per_step" if "steps" in v["inputs"] else "floor(proof_credits / 2)"
    assert formula(text, v["inputs"]) == next(iter(v["expected"].values()))


def check_packaging(v: dict[str, Any]) -> None:
    result = method("e-invoice-waybill").calculate({"cartons": v["inputs"]["n"]}, "CN")
    assert result.exact == fraction(v["expected"]["t"]) * 1000


def check_tableware(v: dict[str, Any]) -> None:
    if "pairs" in v["inputs"]:
        result = method("no-disposable-cutlery").calculate({"pairs": v["inputs"]["pairs"]}, "CN")
        assert result.exact == fraction(v["expected"]["kg"])
        return
    result = method("own-cup").calculate({}, "CN")
    assert result.parameters["paper_factor"]["value"] == v["inputs"]["ef_paper"]
    assert half_up(result.exact * 1000, 4) == v["expected"]["g"]


def check_garment(v: dict[str, Any]) -> None:
    result = method("reuse-and-recycling").calculate({"garments": v["inputs"]["n"]}, "CN")
    assert result.exact == fraction(v["expected"]["kg"])


def check_grain(v: dict[str, Any]) -> None:
    assert formula("grain_kg * 0.47 / 0.5", v["inputs"]) == fraction(v["expected"]["kg_co2"])


def check_grid(v: dict[str, Any]) -> None:
    assert formula("kwh * grid_kg_per_kwh / 1000", v["inputs"]) == fraction(v["expected"]["t"])
    assert method("ev-charging").bind("CN").values["grid"] == fraction(v["inputs"]["grid_kg_per_kwh"])


def check_carpool(v: dict[str, Any]) -> None:
    given = {"distance_km": v["inputs"]["distance_km"], "persons": v["inputs"]["riders"]}
    result = method("carpooling").calculate(given, "CN")
    agree(v["expected"], result, total="whole_ride")
    assert result.exact * v["inputs"]["riders"] == fraction(v["expected"]["er_kg"])  # the parts are the whole


def check_meeting(v: dict[str, Any]) -> None:
    given = {name: v["inputs"][name] for name in ("participants", "round_trip_km", "hours")}
    agree(v["expected"], method("online-meeting").calculate(given, "CN-SC"))


def check_waste(v: dict[str, Any]) -> None:
    result = method("waste-sorting").calculate({"waste_kg": v["inputs"]["waste_kg"]}, "CN-SC")
    assert result.exact == fraction(v["expected"]["er_kg"])


def check_home(v: dict[str, Any]) -> None:
    i = v["inputs"]
    if "saved_kwh" in i:  # 50 kWh below the baseline
        given = {"actual_kwh": "10", "baseline_kwh": "20", "persons": 3, "mean7_kwh": "0"}
        result = method("household-electricity").calculate(given, "CN-SC")
    else:
        given = {"actual_kwh": i["actual_kwh"], "baseline_kwh": "2", "persons": 3, "mean7_kwh": i["ma7_kwh"]}
        result = method("household-electricity").calculate(given, "CN-GD")
    assert result.exact == fraction(v["expected"]["er_kg"])


def check_appliance(v: dict[str, Any]) -> None:
    text = "(base_kwh_per_year - new_kwh_per_year) * grid_kg_per_kwh"
    assert formula(text, v["inputs"]) == fraction(v["expected"]["er_kg_per_year"])


def check_tree(v: dict[str, Any]) -> None:
    text = "volume_m3 * wood_density_t_per_m3 * bef * (1 + root_shoot_r) * carbon_fraction * 44 / 12"
    assert formula(text, v["inputs"]) == fraction(v["expected"]["t_co2"])


def check_paper(v: dict[str, Any]) -> None:
    result = method("paperless-office").calculate({"duplex_pages": v["inputs"]["pages"]}, "CN")
    assert result.steps["saved_by_duplex"].value == v["inputs"]["sheets_saved"]
    assert half_up(result.exact, 6) == v["expected"]["er_kg_rounded_6"]
    assert result.raw_mg == v["expected"]["er_mg"]


def check_credits(v: dict[str, Any]) -> None:
    """These cases floor credits per record, as other platforms do; ours carry (ledger). The arithmetic is the same."""
    i = v["inputs"]
    given = {"er": i["er_kg"], "weight": i["weight"]}
    grams = "max(0, er * 1000) * weight"
    assert formula(f"floor({grams})", given) == v["expected"]["credits"]
    assert formula(f"floor({grams} / 100)", given) == v["expected"]["points"]
    assert half_up(formula("er * 1000", given), 0) == str(v["expected"]["grams_display"])


def check_guard(v: dict[str, Any]) -> None:
    pack = (pack_files()[0].parent / "nev-mileage.toml").read_text(encoding="utf-8")
    own = (
        f'unit = "kgCO2e/L"\nvalue = "{v["inputs"]["ef_fuel_kg_per_l"]}"\nfuel = "gasoline"\nsource = "x"\nyear = "x"\n'
    )
    changed = pack.replace('use = "gasoline"', own + 'evidence = "S"')
    refused = any(f.code == "fuel_guard" for f in check_pack(changed).findings)
    assert refused is not v["expected"]["accepted"]


FAMILIES: dict[str, Callable[[dict[str, Any]], None]] = {
    "nev-mileage": check_nev,
    "nev-phev": check_phev,
    "ams-iii-c-baseline": check_ams_baseline,
    "ams-iii-c-annual": check_ams_annual,
    "charging": check_charging,
    "car-free-day": check_car_free,
    "metro-per-trip": check_metro_trip,
    "transit-pkm": check_transit,
    "special-line": check_line,
    "shared-bike": check_bike,
    "walk": check_walk,
    "wuhan-credits": check_wuhan,
    "packaging": check_packaging,
    "tableware": check_tableware,
    "garment": check_garment,
    "grain": check_grain,
    "grid-arithmetic": check_grid,
    "carpool": check_carpool,
    "online-meeting": check_meeting,
    "waste-sorting": check_waste,
    "home-electricity": check_home,
    "appliance": check_appliance,
    "tree": check_tree,
    "paper": check_paper,
    "credits": check_credits,
    "fuel-factor-guard": check_guard,
}


@needs_vectors
@pytest.mark.parametrize("vector", VECTORS, ids=[v["id"] for v in VECTORS])
def test_vector(vector: dict[str, Any]) -> None:
    FAMILIES[vector["family"]](vector)


@needs_vectors
def test_no_family_is_left_out() -> None:
    assert {v["family"] for v in VECTORS} == set(FAMILIES)
    assert len(VECTORS) >= 47
    assert MICRO == 1_000_000
