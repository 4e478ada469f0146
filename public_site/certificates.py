"""Checks for strangers: a certificate of a credited act, and of a gift."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response, redirect, request, url_for
from werkzeug.wrappers import Response as Any_Response

from app import limits, openness, welfare
from app.errors import NOT_FOUND
from edge.guards import public
from edge.routes import gives, refuses
from public_site.showing import mass, plain, show, wants_json, yuan

routes = APIBlueprint("public_certificates", __name__, tag="Public", template_folder="templates")
OBJECT = {"type": "object", "additionalProperties": True}
CHECKS = limits.Limit("certificate-check", 120, 60)


@routes.get("/certificates")
@public(CHECKS)
@gives(None, status=302)
def get_check() -> Any_Response:
    """The form's way to a certificate"""
    number = "".join(request.args.get("number", "").split()).upper()[:40] or "-"
    return redirect(url_for(".get_gift" if number.startswith("G") else ".get_certificate", number=number))


@routes.get("/certificates/<string(maxlength=40):number>")
@public(CHECKS)
@gives(OBJECT)
@refuses(NOT_FOUND)
def get_certificate(number: str) -> Response:
    """What a certificate says today

    The act, its formula, inputs, result and transfers, and whether it still counts. It names no person.
    """
    content = plain(openness.checked(number.upper()))
    return show("public_certificate.html", content if wants_json() else {**content, "mass": mass})


@routes.get("/gifts/<string(maxlength=40):number>")
@public(CHECKS)
@gives(OBJECT)
@refuses(NOT_FOUND)
def get_gift(number: str) -> Response:
    """What the certificate of a gift says

    The project, the credits given and what the sponsors pay for them. It names no person.
    """
    found = welfare.certificate(number.upper())
    if found is None:
        raise NOT_FOUND(certificate=number)
    gift, project = found
    content = {
        "number": gift.certificate_no,
        "given_at": plain(gift.given_at),
        "credits": gift.credits,
        "fen": gift.fen,
        "project": {"code": project.code, "name": project.name, "name_en": project.name_en},
        "project_given_credits": project.given_credits,
        "project_target_credits": project.target_credits,
    }
    return show("public_gift.html", content if wants_json() else {**content, "yuan": yuan})
