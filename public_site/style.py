"""The front door, and the one style sheet of the public pages."""

from __future__ import annotations

from pathlib import Path

from apiflask import APIBlueprint
from flask import Response, redirect, url_for
from werkzeug.wrappers import Response as Redirect

from edge.guards import public

routes = APIBlueprint("public_style", __name__, enable_openapi=False, template_folder="templates")
SHEET = Path(__file__).with_name("site.css").read_text()


front = APIBlueprint("public_front", __name__, enable_openapi=False)


@front.get("/")
@public()
def get_front() -> Redirect:
    """The front door leads to the public pages"""
    return redirect(url_for("public_programs.get_index"))


@routes.get("/site.css")
@public()
def get_style() -> Response:
    """The style sheet"""
    found = Response(SHEET, mimetype="text/css")
    found.headers["Cache-Control"] = "public, max-age=3600"
    found.headers["X-Content-Type-Options"] = "nosniff"
    return found
