"""Shadow runs: what a draft would have given over past records. Who gains, who loses, what it costs. Writes nothing."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.methodologies.evaluate import DivisionByZero
from app.methodologies.method import CalculationError, Method
from app.units import BPS, ceil_div


@dataclass(frozen=True, slots=True)
class Past:
    """A record as it was counted. `person` is any stable key; `share_bps` its tier share; micro in millionths."""

    person: str
    inputs: Mapping[str, Any]
    region: str
    counted_mg: int
    credits_micro: int
    share_bps: int = 10_000


@dataclass(slots=True)
class Change:
    """A person's difference: positive is gain. `micro` are millionths of a credit before caps and budget."""

    records: int = 0
    mg: int = 0
    micro: int = 0


@dataclass
class Shadow:
    """The outcome. `failed` counts the records by the reason why the draft could not calculate them."""

    records: int = 0
    changed: int = 0
    mg: int = 0
    micro: int = 0
    fen: int = 0
    people: dict[str, Change] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)

    def gainers(self, count: int = 10) -> list[tuple[str, Change]]:
        """Who would gain most credits, most first."""
        return sorted(((p, c) for p, c in self.people.items() if c.micro > 0), key=lambda pair: -pair[1].micro)[:count]

    def losers(self, count: int = 10) -> list[tuple[str, Change]]:
        """Who would lose most credits, most first."""
        return sorted(((p, c) for p, c in self.people.items() if c.micro < 0), key=lambda pair: pair[1].micro)[:count]


def shadow(draft: Method, records: Iterable[Past], *, credits_per_kg: int, fen_per_1000: int) -> Shadow:
    """Run a draft over past records, at a program's rate and price.

    `fen` is the cost of the difference, rounded up: what the sponsors would have paid more (negative: less).
    """
    outcome = Shadow()
    for past, mg, micro in _differences(draft, records, credits_per_kg, outcome):
        outcome.records += 1
        outcome.changed += bool(mg or micro)
        outcome.mg += mg
        outcome.micro += micro
        person = outcome.people.setdefault(past.person, Change())
        person.records, person.mg, person.micro = person.records + 1, person.mg + mg, person.micro + micro
    outcome.fen = ceil_div(outcome.micro * fen_per_1000, 1_000 * 1_000_000)
    return outcome


def _differences(
    draft: Method, records: Iterable[Past], credits_per_kg: int, outcome: Shadow
) -> Iterator[tuple[Past, int, int]]:
    for past in records:
        try:
            result = draft.calculate(past.inputs, past.region)
        except (CalculationError, DivisionByZero) as error:
            code = error.code if isinstance(error, CalculationError) else "division_by_zero"
            outcome.failed[code] = outcome.failed.get(code, 0) + 1
            continue
        before = _micro(past.counted_mg, past.credits_micro, credits_per_kg, past.share_bps)
        after = _micro(result.counted_mg, result.credits_micro, credits_per_kg, past.share_bps)
        yield past, result.counted_mg - past.counted_mg, after - before


def _micro(mg: int, micro: int, credits_per_kg: int, share_bps: int) -> int:
    """Micro-credits of one record: grams at the program's rate, credits as they are, both at the tier's share."""
    return (mg * credits_per_kg + micro) * share_bps // BPS
