"""docs/errors.md is made from the declarations; every refusal speaks both languages."""

from __future__ import annotations

from typing import Any

from app.errors import REGISTRY
from edge.cli import PAGE, render


def test_the_page_is_up_to_date(app: Any) -> None:
    assert PAGE.read_text("utf-8") == render(), "run `flask errors --write`"


def test_every_refusal_says_it_in_both_languages(app: Any) -> None:
    for code, declared in REGISTRY.items():
        assert code == code.lower()
        assert any("\u4e00" <= char <= "\u9fff" for char in declared.zh), code
        assert declared.en.isascii() or "…" in declared.en, code
        assert declared.zh.endswith(("。", "）", "？")), code
        assert declared.en.endswith((".", ")", "?")), code
