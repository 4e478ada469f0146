"""One content, two forms: a page for people, JSON for programs; and the words and units of the pages."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from flask import Response, render_template, request

from app.clock import SHANGHAI
from edge.answers import answer
from edge.language import language

CSP = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
FRESH_SECONDS = 5


def wants_json() -> bool:
    """Whether the caller prefers JSON to a page; a browser says text/html, a program usually nothing."""
    best = request.accept_mimetypes.best_match(["application/json", "text/html"], default="application/json")
    return best == "application/json"


def show(template: str, content: dict[str, Any], *, status: int = 200) -> Response:
    """The content as JSON, or as the page of a template."""
    if wants_json():
        found = answer(content, status)
    else:
        english = language() == "en"
        page = render_template(template, en=english, t=lambda zh, en: en if english else zh, **content)
        found = Response(page, status, mimetype="text/html")
    found.headers["Vary"] = "Accept, Accept-Language"
    found.headers["Content-Security-Policy"] = CSP
    found.headers["X-Content-Type-Options"] = "nosniff"
    found.headers["Referrer-Policy"] = "no-referrer"
    found.headers["Cache-Control"] = f"public, max-age={FRESH_SECONDS}"
    return found


def plain(node: Any) -> Any:
    """What JSON can carry: times with Shanghai's offset, decimals as text."""
    if isinstance(node, dict):
        return {key: plain(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [plain(value) for value in node]
    if isinstance(node, datetime):
        return node.astimezone(SHANGHAI).isoformat(timespec="seconds")
    return str(node) if isinstance(node, Decimal) else node


def mass(mg: int | None) -> str:
    """Milligrams for reading: kilograms with three places, tonnes from ten of them on."""
    if mg is None:
        return "—"
    if mg >= 10_000_000_000:
        return f"{Decimal(mg) / 1_000_000_000:,.3f} t"
    return f"{Decimal(mg) / 1_000_000:,.3f} kg"


def yuan(fen: int | None) -> str:
    """Fen for reading."""
    return "—" if fen is None else f"¥{Decimal(fen) / 100:,.2f}"


def percent(bps: int | None) -> str:
    """Basis points for reading."""
    return "—" if bps is None else f"{Decimal(bps) / 100:,.2f} %"
