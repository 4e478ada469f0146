"""A certificate as a picture, for every edge that shows one."""

from __future__ import annotations

from flask import Response, current_app

from app.welfare import Document

TYPES = {"svg": "image/svg+xml", "png": "image/png"}


def picture(found: Document, form: str) -> Response:
    """The picture of a certificate; its code to scan leads to the page where anybody may check it."""
    base = current_app.config["SETTINGS"].public_base_url
    body = found.picture(form, f"{base}/public/gifts/{found.number}")
    headers = {
        "Cache-Control": "public, max-age=60",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    }
    return Response(body, 200, headers, mimetype=TYPES[form])
