"""How things read in answers: times with Shanghai's offset, ids as strings, texts in the reader's language."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from flask import current_app

from app.clock import SHANGHAI
from app.mall import pictures
from edge.language import language

_UTC = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]{8,15}\+00:00", re.ASCII)


def when(at: datetime) -> str:
    """``2026-11-22T10:00:00+08:00``."""
    return at.astimezone(SHANGHAI).isoformat(timespec="seconds")


def when_or_none(at: datetime | None) -> str | None:
    return None if at is None else when(at)


def avatar(url: str | None) -> str | None:
    """An avatar's whole address: our own are kept as a path."""
    if url is None or not url.startswith("/"):
        return url
    return f"{current_app.config['SETTINGS'].public_base_url}{url}"


def picture(kept: str) -> str:
    """The address of an item's picture in its middle size."""
    found = pictures.addresses(kept).get("medium", "")
    return avatar(found) or ""


def either(zh: str, en: str) -> str:
    """The half of a bilingual text that the reader asked for; Chinese where there is no English."""
    return en if language() == "en" and en else zh


def translated(node: Any) -> Any:
    """An answer of the domain that carries both languages, in the reader's: ``{zh, en}`` becomes one text (``text``
    beside other fields), ``name_en`` gives way to ``name``, and times get Shanghai's offset."""
    if isinstance(node, list):
        return [translated(one) for one in node]
    if not isinstance(node, dict):
        return node
    if set(node) == {"zh", "en"}:
        return either(node["zh"], node["en"])
    found = {}
    for key, value in node.items():
        if key.endswith("_en") and key[:-3] in node:
            continue
        if f"{key}_en" in node:
            value = either(value, node[f"{key}_en"])
        at_utc = key.endswith("_at") and isinstance(value, str) and _UTC.fullmatch(value)
        found[key] = when(datetime.fromisoformat(value)) if at_utc else translated(value)
    if {"zh", "en"} <= set(node):
        found["text"] = either(found.pop("zh"), found.pop("en"))
    return found
