"""Templates of programs: what an enterprise, a community and a city usually offer, as TOML files beside this module."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.errors import NOT_FOUND

FOLDER = Path(__file__).with_name("templates")
TIERS = ("A", "B", "C", "D", "E")


@dataclass(frozen=True, slots=True)
class TermsDraft:
    """The promise of a terms version, before it has a number. Rates as in ``models.Terms``."""

    credits_per_kg: int
    price_fen: int
    tier_bps: dict[str, int]
    multiplier_cap_bps: int
    lot_months: int
    daily_credits_cap: int | None
    text_zh: str
    text_en: str
    floor_fen: int = 0
    lot_rule: str = "season"

    def __post_init__(self) -> None:
        shares = [self.tier_bps.get(tier) for tier in TIERS]
        if any(not isinstance(share, int) or not 0 <= share <= 10_000 for share in shares):
            raise ValueError("tier_bps names a share between 0 and 10000 for each of the tiers A to E")
        if not 10_000 <= self.multiplier_cap_bps <= 100_000:
            raise ValueError("multiplier_cap_bps lies between 10000 (no boost) and 100000")
        if not 0 <= self.floor_fen <= self.price_fen:
            raise ValueError("floor_fen lies between 0 and price_fen")
        if self.lot_rule not in ("day", "month", "season", "year"):
            raise ValueError("lot_rule is day, month, season or year")
        if not self.text_zh.strip() or not self.text_en.strip():
            raise ValueError("terms need a text in Chinese and English")


@dataclass(frozen=True, slots=True)
class ScenarioDraft:
    """One scenario of a template, in the words of ``scenarios.models.Scenario``."""

    code: str
    methodology: str
    name: str
    name_en: str
    text_zh: str
    text_en: str
    source_kinds: dict[str, str]
    caps: dict[str, int]
    claim: str
    consent_purpose: str | None = None
    fixed_facts: dict[str, Any] = field(default_factory=dict)
    picture: str = ""


@dataclass(frozen=True, slots=True)
class Template:
    """A kind of program with its usual terms and scenarios."""

    kind: str
    joining: str
    intro: str
    intro_en: str
    terms: TermsDraft
    scenarios: tuple[ScenarioDraft, ...]


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str) -> Template:
    """The template of this name. Raises NOT_FOUND."""
    if name not in names():
        raise NOT_FOUND(template=name, known=names())
    return parse((FOLDER / f"{name}.toml").read_text("utf-8"))


def parse(text: str) -> Template:
    """A template from TOML. Raises ValueError, KeyError for one that is incomplete."""
    content = tomllib.loads(text)
    terms = dict(content["terms"])
    words = terms.pop("text")
    return Template(
        kind=content["kind"],
        joining=content["joining"],
        intro=content["intro"]["zh"],
        intro_en=content["intro"]["en"],
        terms=TermsDraft(**terms, text_zh=words["zh"], text_en=words["en"]),
        scenarios=tuple(_scenario(one) for one in content["scenarios"]),
    )


def scenario_drafts(text: str) -> list[ScenarioDraft]:
    """The ``[[scenarios]]`` of a TOML text. Raises ValueError, KeyError for one that is incomplete."""
    return [_scenario(one) for one in tomllib.loads(text)["scenarios"]]


def _scenario(content: dict[str, Any]) -> ScenarioDraft:
    return ScenarioDraft(
        code=content["code"],
        methodology=content["methodology"],
        name=content["name"]["zh"],
        name_en=content["name"]["en"],
        text_zh=content["text"]["zh"],
        text_en=content["text"]["en"],
        source_kinds=content["source_kinds"],
        caps=content["caps"],
        claim=content["claim"],
        consent_purpose=content.get("consent"),
        fixed_facts=content.get("fixed_facts", {}),
        picture=content.get("picture", ""),
    )
