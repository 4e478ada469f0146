"""A period is named by its key, and a wrong key is answered with one that is right."""

from __future__ import annotations

import pytest

from app import clock


@pytest.mark.parametrize("key", ["2026-11-24", "2026-W48", "2026-11", "2026-Q4", "all"])
def test_a_key_names_its_period(key: str) -> None:
    kinds = {"2026-11-24": "day", "2026-W48": "week", "2026-11": "month", "2026-Q4": "season", "all": "all"}
    assert clock.period_by_key(kinds[key], key).key == key


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("season", "2015"),
        ("season", "2015-Q9"),
        ("week", "2015-W54"),
        ("day", "2015-02-30"),
        ("day", ""),
        ("all", "2015"),
    ],
)
def test_a_wrong_key_is_answered_with_a_right_one(kind: str, key: str) -> None:
    with pytest.raises(ValueError, match="names no " + kind + "; write it like (2026-Q4|2026-W48|2026-11-24|all)"):
        clock.period_by_key(kind, key)
