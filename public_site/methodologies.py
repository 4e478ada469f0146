"""Public pages of methodologies: formula, parameters with sources, examples, who published it and when."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response

from app import methodologies
from app.errors import NOT_FOUND
from edge.guards import public
from edge.routes import gives, refuses
from public_site.showing import plain, show, wants_json

routes = APIBlueprint("public_methodologies", __name__, tag="Public", template_folder="templates")
OBJECT = {"type": "object", "additionalProperties": True}


@routes.get("/methodologies")
@public()
@gives(OBJECT)
def get_methodologies() -> Response:
    """Every published methodology, by its newest version"""
    newest: dict[str, Any] = {}
    for one in methodologies.listing():
        if one["state"] == "published":
            newest.setdefault(one["key"], one)
    return show("public_methodologies.html", {"methodologies": plain(list(newest.values()))})


@routes.get("/methodologies/<code:key>")
@public()
@gives(OBJECT)
@refuses(NOT_FOUND)
def get_methodology(key: str) -> Response:
    """The newest version of a methodology"""
    return _page(key, None)


@routes.get("/methodologies/<code:key>/<code:version>")
@public()
@gives(OBJECT)
@refuses(NOT_FOUND)
def get_version(key: str, version: str) -> Response:
    """One version of a methodology

    Its content never changes; `content_hash` is the SHA-256 of it.
    """
    return _page(key, version)


def _page(key: str, version: str | None) -> Response:
    content: dict[str, Any] = plain(methodologies.public_page(key, version))
    return show("public_methodology.html", content if wants_json() else {"method": content})
