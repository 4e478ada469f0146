"""Partners: operators of metro, bus, bikes, chargers and vehicles push acts, signed, under ``/open/v1``."""

from __future__ import annotations

from apiflask import APIFlask

from ingestion.partners import pushing, self_test

PREFIX = "/open/v1"


def register(app: APIFlask) -> None:
    """Add the routes."""
    app.register_blueprint(pushing.routes, url_prefix=PREFIX)
    app.register_blueprint(self_test.routes, url_prefix=PREFIX)
