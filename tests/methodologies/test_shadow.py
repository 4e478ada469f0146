"""A shadow run: who gains, who loses, what it costs, before a draft is published."""

from app.methodologies.library import reports
from app.methodologies.method import Method
from app.methodologies.shadow import Past, shadow

NEV = next(report for _, report in reports() if report.key == "nev-mileage")
NOW = Method.from_content(NEV.contents[-1])


def past(person: str, km: str, share_bps: int = 10_000, region: str = "CN-SC") -> Past:
    counted = NOW.calculate({"distance_km": km}, region).counted_mg
    return Past(person, {"distance_km": km}, region, counted, 0, share_bps)


def draft(fuel: str) -> Method:
    content = NEV.contents[-1]
    parameters = [{**p, "value": fuel} if p["name"] == "fuel_car" else p for p in content["parameters"]]
    return Method.from_content({**content, "parameters": parameters})


def test_nothing_changes_under_the_same_method() -> None:
    outcome = shadow(NOW, [past("a", "10"), past("b", "20")], credits_per_kg=100, fen_per_1000=2000)
    assert (outcome.records, outcome.changed, outcome.mg, outcome.micro, outcome.fen) == (2, 0, 0, 0, 0)
    assert outcome.gainers() == outcome.losers() == []


def test_gain_by_person_and_cost_at_the_programs_price() -> None:
    records = [past("a", "100"), past("a", "50"), past("b", "10", share_bps=5_000)]
    outcome = shadow(draft("8.0"), records, credits_per_kg=100, fen_per_1000=2000)
    # one litre more on 100 km is 2.1645 kg
    assert outcome.mg == 2_164_500 + 1_082_250 + 216_450
    assert outcome.people["a"].mg == 3_246_750
    assert outcome.people["a"].micro == 324_675_000
    assert outcome.people["b"].micro == 10_822_500  # half
    assert [person for person, _ in outcome.gainers()] == ["a", "b"]
    assert outcome.fen == 671  # 335.4975 credits at 2 fen, rounded up
    assert shadow(draft("6.5"), records, credits_per_kg=100, fen_per_1000=2000).losers()[0][0] == "a"


def test_what_the_draft_cannot_calculate_is_counted_by_reason() -> None:
    records = [past("a", "10"), Past("b", {"distance_km": "10"}, "CN-XZ", 5, 0), Past("c", {"km": "1"}, "CN-SC", 5, 0)]
    records.append(Past("d", {"distance_km": "1"}, "US", 5, 0))
    outcome = shadow(NOW, records, credits_per_kg=100, fen_per_1000=2000)
    assert outcome.records == 1
    assert outcome.failed == {"parameter_missing": 1, "input_invalid": 1, "region_not_covered": 1}
