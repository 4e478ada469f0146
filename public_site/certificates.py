"""Checks for strangers: a certificate of a credited act, and of a gift."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response, redirect, request, url_for
from werkzeug.wrappers import Response as Any_Response

from app import limits, openness, programs, settlement, welfare
from app.errors import NOT_FOUND
from edge.answers import answer
from edge.guards import public
from edge.pictures import picture
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
    return redirect(url_for(".get_gift" if number.startswith(("G", "N")) else ".get_certificate", number=number))


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

    Of credits to a project, or of grams to an event; what of it stands today. It names its giver only if that was
    wished.
    """
    found = _document(number)
    content = {
        "number": found.number,
        "kind": found.kind,
        "given_at": plain(found.given_at),
        "giver": found.giver,
        "credits": found.given if found.kind == "credits" else 0,
        "mg": str(found.given if found.kind == "grams" else 0),
        "stands": str(found.stands),
        "fen": found.fen,
        "matched_fen": found.matched_fen,
        "project": {"code": found.details.get("project", ""), "name": found.name, "name_en": found.name_en},
        "project_id": str(found.project_id or ""),
        **{name: found.details.get(name, 0) for name in ("project_given_credits", "project_target_credits")},
        "picture": f"/public/gifts/{found.number}/certificate.svg",
    }
    return show("public_gift.html", content if wants_json() else {**content, "yuan": yuan, "mass": mass})


@routes.get("/gifts/<string(maxlength=40):number>/certificate.<any(svg,png):form>")
@public(CHECKS)
@gives({"type": "string", "format": "binary"}, mimetype="image/svg+xml")
@refuses(NOT_FOUND)
def get_gift_picture(number: str, form: str) -> Response:
    """The certificate of a gift as a picture"""
    return picture(_document(number), form)


@routes.get("/welfare/<id:project_id>")
@public()
@gives(OBJECT)
@refuses(NOT_FOUND)
def get_project(project_id: int) -> Response:
    """A welfare project: milestones with evidence, and where each fen is"""
    return show("public_project.html", {"yuan": yuan, **plain(welfare.trail(project_id))} if not wants_json() else
                plain(welfare.trail(project_id)))  # fmt: skip


@routes.get("/welfare/photos/<id:photo_id>")
@public()
@gives({"type": "string", "format": "binary"}, mimetype="image/jpeg")
@refuses(NOT_FOUND)
def get_photo(photo_id: int) -> Response:
    """A photo that proves a milestone"""
    headers = {"Cache-Control": "public, max-age=86400", "X-Content-Type-Options": "nosniff"}
    return Response(welfare.photo(photo_id), 200, headers, mimetype="image/jpeg")


def _document(number: str) -> welfare.Document:
    found = welfare.document(number.upper())
    if found is None:
        raise NOT_FOUND(certificate=number)
    return found


@routes.get("/programs/<code:program>/sponsors/<code:sponsor>")
@public()
@gives(OBJECT)
@refuses(NOT_FOUND)
def get_sponsor(program: str, sponsor: str) -> Response:
    """A sponsor's money at every step

    From deposits to what was redeemed, given, put on statements and paid; the sums meet to the fen.
    """
    return answer(settlement.sponsor_view(programs.by_code(program).id, sponsor).shown())
