"""Public pages of programs: what they achieved, what covers their promises, and the query behind every figure."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response

from app import programs
from app.clock import now
from app.errors import NOT_FOUND
from app.memo import remember
from app.openness import program_page
from edge.guards import public
from edge.language import language
from edge.routes import gives, refuses
from public_site.showing import mass, percent, plain, show, wants_json, yuan

routes = APIBlueprint("public_programs", __name__, tag="Public", template_folder="templates")
HELPERS: dict[str, Any] = {"mass": mass, "yuan": yuan, "percent": percent}
OBJECT = {"type": "object", "additionalProperties": True}


@routes.get("")
@public()
@gives(OBJECT)
def get_index() -> Response:
    """Where to start: the programs, the methodologies, checking a certificate"""
    found = [_line(one) for one in programs.listed(after=None, limit=200)]
    return show("public_index.html", {"programs": found})


@routes.get("/programs/<code:program>")
@public()
@gives(OBJECT)
@refuses(NOT_FOUND)
def get_program(program: str) -> Response:
    """A program's public page

    Grams, people, acts by scenario and tier, credits, cover ratio and runway, changes by hand, appeals, how late each
    source is. Groups under five persons show no figure. Figures are at most a few seconds old.
    """
    found = programs.by_code(program)
    at = now()
    content = remember(("public page", found.id), lambda: plain(program_page.page(found, at=at)))
    shown = {"program": _line(found), "as_of": plain(at), **content}
    return show("public_program.html", shown if wants_json() else {**shown, **HELPERS})


@routes.get("/programs/<code:program>/figures/<code:figure>")
@public()
@gives(OBJECT)
@refuses(NOT_FOUND, program_page.FIGURE_UNKNOWN)
def get_figure(program: str, figure: str) -> Response:
    """Where a figure comes from

    The query, its parameters, and the rows it gives now.
    """
    found = programs.by_code(program)
    one, rows = program_page.figure(found, figure)
    content = {
        "program": _line(found),
        "figure": one.name,
        "title": one.en if language() == "en" else one.zh,
        "query": one.query,
        "parameters": {"program": str(found.id)},
        "rows": plain(rows),
    }
    return show("public_figure.html", content)


def _line(program: Any) -> dict[str, Any]:
    return {
        "code": program.code,
        "kind": program.kind,
        "name": program.name,
        "name_en": program.name_en,
        "region": program.region,
        "starts_on": program.starts_on.isoformat(),
        "state": program.state,
    }
