"""What every JSON edge shares: reading strictly, answering in one form, guards beside routes, paging, documentation.

Layer: ``wsgi`` > ``miniprogram_api | console | ingestion | public_site | jobs | ops`` > ``edge`` > ``app``.
"""

from __future__ import annotations

from apiflask import APIFlask
from flask_swagger_ui import get_swaggerui_blueprint

from edge import answers, cli, converters, guards, openapi, reading

DOCS = "/docs"


def prepare(app: APIFlask) -> None:
    """What must be there before the first route: parts of paths, the limit of bodies, the form of errors."""
    app.config["MAX_CONTENT_LENGTH"] = reading.LARGEST_BODY
    converters.register(app)
    cli.register(app)
    answers.register(app)


def complete(app: APIFlask) -> None:
    """What looks at all routes: documentation, and the refusal to start when one has no guard."""
    app.register_blueprint(get_swaggerui_blueprint(DOCS, "/openapi.json"), url_prefix=DOCS)
    openapi.register(app)
    guards.refuse_unguarded(app)
