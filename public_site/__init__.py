"""The edge for everybody: public pages of programs and methodologies, checks of certificates, also as JSON."""

from __future__ import annotations

from apiflask import APIFlask

from public_site import certificates, methodologies, programs, style

PREFIX = "/public"
SUBJECTS = (programs, methodologies, certificates, style)


def register(app: APIFlask) -> None:
    """Add the routes."""
    for subject in SUBJECTS:
        app.register_blueprint(subject.routes, url_prefix=PREFIX)
    app.register_blueprint(style.front)
