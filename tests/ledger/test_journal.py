"""The journal of the load under kills: what counts as acknowledged, refused, unknown, lost and doubled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from devkit.proof.client import Asked, Journal, Person, resolve

TOWN: dict[str, Any] = {"phones": [{"person": "1", "token": "t"}], "clerks": [], "town": {"shop_id": 1}}


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.jsonl")


def asked(key: str = "k") -> Asked:
    return Asked("gift", key, "/api/v1/gifts", "t", {})


def person(journal: Journal, *answers: tuple[int, dict[str, Any]]) -> Person:
    """A client whose server answers as told, one after the other."""
    somebody = Person(0, ("127.0.0.1", 1), TOWN, journal, 1)
    told = list(answers)
    somebody.call = lambda *_: told.pop(0)  # type: ignore[method-assign]
    return somebody


def test_an_answer_has_three_classes_and_too_many_is_none(journal: Journal) -> None:
    answers = [(201, {"id": "7"}), (409, {"error": {"code": "sold_out"}}), (503, {}), (0, {}), (429, {})]
    somebody = person(journal, *answers)
    for number in range(5):
        somebody.say(asked(f"k{number}"))
    assert {one.key: one.outcome for one in journal.asked.values()} == {
        "k0": "acknowledged",
        "k1": "refused",
        "k2": "unknown",
        "k3": "unknown",
    }
    assert len(journal.file.read_text().splitlines()) == 4


def test_the_unknown_is_asked_again_with_its_own_key(journal: Journal) -> None:
    one, other = asked("a"), asked("b")
    for unknown in (one, other):
        journal.note(unknown, "unknown")
    settled = resolve([person(journal, (200, {"id": "3"}), (201, {"id": "4"}))], journal)
    assert (settled["had applied"], settled["applied now"], settled["still unknown"]) == (1, 1, 0)
    assert [found.answered for found in journal.asked.values()] == ["3", "4"]


def test_another_answer_to_one_key_is_doubled_and_never_forgotten(journal: Journal) -> None:
    one = asked()
    journal.note(one, "acknowledged", "5")
    journal.note(one, "unknown")
    assert one.outcome == "acknowledged"
    journal.note(one, "acknowledged", "6")
    assert journal.doubled == ["gift k: 5, then 6"]
    assert one.answered == "5"
