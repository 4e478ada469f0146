"""A challenge as a manager writes it: a TOML file, read strictly, into the small units that are stored.

Amounts are written in the measure's own unit: g, km, kWh/100 km, times, days. Inside they are whole numbers:
milligrams, metres, Wh/100 km, times, days.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from app.clock import SHANGHAI
from app.errors import Kind, declare

KINDS = ("goal", "streak", "race", "team", "unit")
MEASURES = {"g": ("mg", 1000), "km": ("metres", 1000), "kwh_per_100km": ("wh_per_100km", 1000),
            "count": ("count", 1), "days": ("days", 1)}  # fmt: skip
LESS_IS_BETTER = "wh_per_100km"
TEAM_SIZE = 5
MOST_CREDITS = 1_000_000
FIELDS = {
    *("code", "kind", "measure", "scenarios", "enrol_from", "enrol_until", "starts", "ends", "late_days", "capacity"),
    *(
        "per_day",
        "least_km",
        "norms",
        "units",
        "per_head",
        "least_members",
        "on_reversal",
        "budget",
        "audience",
        "name",
    ),
    *("text", "prizes"),
}

CHALLENGE_INVALID = declare(
    "challenge_invalid",
    Kind.INVALID,
    zh="挑战定义有误，请按 details 的说明修改文件。",
    en="The challenge's definition is not right; `details` says what to mend.",
)


@dataclass(frozen=True, slots=True)
class Definition:
    """What a file says, checked; ``prizes`` are plain mappings: reach, or rank_from and rank_to; credits; names."""

    code: str
    kind: str
    measure: str
    scenarios: list[str]
    enrol_from: datetime
    enrol_until: datetime
    starts_at: datetime
    ends_at: datetime
    closes_at: datetime
    capacity: int | None
    per_day: int | None
    least_metres: int
    norms: dict[str, int]
    unit_kind: str | None
    per_head: bool
    least_members: int
    on_reversal: str
    budget: str
    units: list[str]
    tags: list[str]
    least_level: int
    name: str
    name_en: str
    text_zh: str
    text_en: str
    prizes: list[dict[str, Any]]

    def worst_case(self) -> int:
        """The most credits that the prizes can come to: what is reserved at launch."""
        reach: int = sum(prize["credits"] for prize in self.prizes if "reach" in prize)
        ranked = [prize for prize in self.prizes if "rank_from" in prize]
        ranks: list[tuple[int, int]] = [(one["rank_to"] - one["rank_from"] + 1, one["credits"]) for one in ranked]
        seats = self.capacity or 0
        if self.kind == "unit":
            return seats * (reach + max((credits for _, credits in ranks), default=0))
        heads = TEAM_SIZE if self.kind == "team" else 1
        return heads * (seats * reach + sum(places * credits for places, credits in ranks))

    def as_json(self) -> dict[str, Any]:
        """As it is kept, hashed and approved: values only."""
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in ((slot, getattr(self, slot)) for slot in self.__slots__)
        }


def from_json(content: Mapping[str, Any]) -> Definition:
    """The definition that :meth:`Definition.as_json` wrote."""
    times = {name: datetime.fromisoformat(content[name]) for name in
             ("enrol_from", "enrol_until", "starts_at", "ends_at", "closes_at")}  # fmt: skip
    return Definition(**{**content, **times})


def parse(text: str) -> Definition:
    """A definition from TOML. Raises CHALLENGE_INVALID with every problem at once."""
    try:
        content = tomllib.loads(text, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, ValueError, RecursionError) as error:
        raise CHALLENGE_INVALID(problems=[str(error)[:200]]) from None
    return _Reader(content).read()


class _Reader:
    """Reads one file and collects what is wrong with it."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self.content, self.problems = content, []  # type: tuple[Mapping[str, Any], list[str]]

    def read(self) -> Definition:
        """The definition. Raises CHALLENGE_INVALID."""
        self.problems += [f"{name}: no such field" for name in self.content if name not in FIELDS]
        kind = self.word("kind", KINDS)
        measure, self.scale = MEASURES[self.word("measure", tuple(MEASURES))]
        ends = self.moment("ends")
        found = Definition(
            code=self.code(), kind=kind, measure=measure, scenarios=self.words("scenarios"),
            enrol_from=self.moment("enrol_from"), enrol_until=self.moment("enrol_until"),
            starts_at=self.moment("starts"), ends_at=ends,
            closes_at=ends + timedelta(days=self.whole("late_days", 0, 31, 2) or 0),
            capacity=self.whole("capacity", 1, 10_000_000), per_day=self.amount(self.content.get("per_day"), "per_day"),
            least_metres=(self.whole("least_km", 0, 1_000_000, 0) or 0) * 1000, norms=self.norms(),
            unit_kind=self.content.get("units") if kind == "unit" else None,
            per_head=self.content.get("per_head", False) is True,
            least_members=self.whole("least_members", 1, 1_000_000, 1) or 1,
            on_reversal=self.word("on_reversal", ("take_back", "keep")), budget=str(self.content.get("budget", "")),
            units=self.words("units", self.audience()), tags=self.words("tags", self.audience()),
            least_level=self.whole("level", 0, 100, 0, self.audience()) or 0,
            **self.texts("name", "name", "name_en"), **self.texts("text", "text_zh", "text_en"), prizes=self.prizes(),
        )  # fmt: skip
        self._agree(found)
        if self.problems:
            raise CHALLENGE_INVALID(challenge=found.code, problems=self.problems[:20])
        return found

    def _agree(self, one: Definition) -> None:
        """What must fit together."""
        ranked = any("rank_from" in prize for prize in one.prizes)
        reached = any("reach" in prize for prize in one.prizes)
        energy = one.measure == LESS_IS_BETTER
        rules = (
            (one.enrol_from < one.enrol_until <= one.ends_at, "enrol_until: after enrol_from, at most at the end"),
            (one.starts_at < one.ends_at, "ends: after starts"),
            (one.ends_at - one.starts_at <= timedelta(days=366), "ends: at most a year after starts"),
            (one.kind != "streak" or one.measure == "days", "measure: a streak is measured in days"),
            (one.kind not in ("goal", "streak") or not ranked, "prizes: a goal or streak is reached, nobody is ranked"),
            (one.kind not in ("goal", "streak") or reached, "prizes: a goal or streak needs one with `reach`"),
            (not energy or one.kind in ("goal", "race"), "measure: kwh_per_100km is for goals and races of persons"),
            (not energy or "default" in one.norms, "norms: kwh_per_100km needs `default`, in kWh/100 km"),
            (not energy or one.least_metres > 0, "least_km: kwh_per_100km needs a least distance"),
            (one.kind != "unit" or isinstance(one.unit_kind, str), "units: the kind of org-unit, such as district"),
            (one.capacity is not None or not (reached or (one.kind == "unit" and ranked)),
             "capacity: needed, so that all prizes can be reserved"),
            (not one.prizes or bool(one.budget), "budget: the code of the budget that pays the prizes"),
            (not (one.per_head and one.kind not in ("team", "unit")), "per_head: for teams and org-units"),
        )  # fmt: skip
        self.problems += [words for holds, words in rules if not holds]

    def prizes(self) -> list[dict[str, Any]]:
        found = []
        given = self.content.get("prizes", [])
        for number, one in enumerate(given if isinstance(given, list) else [], start=1):
            prize = self._prize(number, one) if isinstance(one, dict) else None
            if prize is None:
                self.problems.append(f"prizes {number}: `reach` or `ranks = [from, to]`, whole `credits`, `name`")
            else:
                found.append(prize)
        if len(found) > 20:
            self.problems.append("prizes: at most 20")
        return found

    def _prize(self, number: int, one: Mapping[str, Any]) -> dict[str, Any] | None:
        names, ranks, credits = one.get("name", {}), one.get("ranks"), one.get("credits")
        if not isinstance(names, dict) or not names.get("zh") or type(credits) is not int:
            return None
        if not 0 <= credits <= MOST_CREDITS or ("reach" in one) == (ranks is not None):
            return None
        prize = {"no": number, "credits": credits, "name": names["zh"], "name_en": names.get("en") or names["zh"]}
        if ranks is None:
            return {**prize, "reach": self.amount(one["reach"], f"prizes {number}: reach") or 0}
        if not (isinstance(ranks, list) and len(ranks) == 2 and all(type(rank) is int for rank in ranks)):
            return None
        return {**prize, "rank_from": ranks[0], "rank_to": ranks[1]} if 1 <= ranks[0] <= ranks[1] <= 100_000 else None

    def norms(self) -> dict[str, int]:
        given = self.content.get("norms", {})
        if not isinstance(given, dict):
            self.problems.append("norms: kWh/100 km by model class")
            return {}
        return {str(name): self.amount(value, f"norms.{name}") or 0 for name, value in given.items()}

    def amount(self, value: Any, name: str) -> int | None:
        """An amount in small units: exact, above zero."""
        if value is None:
            return None
        try:
            found = Decimal(str(value)) * self.scale if not isinstance(value, bool) else Decimal(0)
        except InvalidOperation:
            found = Decimal(0)
        if not found.is_finite() or found != found.to_integral_value() or not 0 < found < 2**53:
            self.problems.append(f"{name}: a number above zero, exact to a thousandth")
            return None
        return int(found)

    def moment(self, name: str) -> datetime:
        """A time with its zone, or in Shanghai."""
        value = self.content.get(name)
        if not isinstance(value, datetime):
            self.problems.append(f"{name}: a time such as 2026-12-01T00:00:00+08:00")
            return datetime(2000, 1, 1, tzinfo=SHANGHAI)
        return value if value.tzinfo else value.replace(tzinfo=SHANGHAI)

    def whole(
        self, name: str, least: int, most: int, default: int | None = None, of: Mapping[str, Any] | None = None
    ) -> int | None:
        value = (self.content if of is None else of).get(name, default)
        if value is not None and (type(value) is not int or not least <= value <= most):
            self.problems.append(f"{name}: a whole number from {least} to {most}")
            return default
        return value

    def word(self, name: str, among: tuple[str, ...]) -> str:
        value = self.content.get(name, among[0] if name == "on_reversal" else None)
        if value not in among:
            self.problems.append(f"{name}: one of {', '.join(among)}")
            return among[0]
        return str(value)

    def words(self, name: str, of: Mapping[str, Any] | None = None) -> list[str]:
        value = (self.content if of is None else of).get(name, [])
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            self.problems.append(f"{name}: a list of codes")
            return []
        return value

    def texts(self, name: str, zh: str, en: str) -> dict[str, Any]:
        value = self.content.get(name)
        if not isinstance(value, dict) or not isinstance(value.get("zh"), str) or not value["zh"].strip():
            self.problems.append(f"{name}: {{ zh = …, en = … }}")
            return {zh: "", en: ""}
        return {zh: value["zh"].strip(), en: str(value.get("en") or value["zh"]).strip()}

    def audience(self) -> Mapping[str, Any]:
        value = self.content.get("audience", {})
        return value if isinstance(value, dict) else {}

    def code(self) -> str:
        value = self.content.get("code")
        letters = set("abcdefghijklmnopqrstuvwxyz0123456789-")
        if not isinstance(value, str) or not 1 <= len(value) <= 40 or not set(value) <= letters or value[0] == "-":
            self.problems.append("code: lower-case letters, digits and hyphens, at most 40")
            return ""
        return value
