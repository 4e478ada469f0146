"""What stands beside a route: what it takes, asks, gives and refuses. Read by the request and by the documentation.

::

    @routes.put("/me")
    @citizen()
    @takes(ProfileIn, example={...})
    @gives(Profile, example={...})
    @refuses(NICKNAME_TAKEN)
    def put_me(login, body): ...

The view receives, in the order of the decorators, the login, the body, the query; path parts come by name. It answers
with ``edge.answers.answer``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import request
from marshmallow import Schema

from app.errors import INVALID_FIELD, Declared
from edge.guards import View
from edge.language import pick
from edge.reading import LARGEST_BODY, json_body, unreadable, unusable
from edge.schemas import load

MOST_QUERIES, LONGEST_KEPT = 200, 200


def spec_of(view: Any) -> dict[str, Any]:
    """What APIFlask reads to document a view."""
    if not hasattr(view, "_spec"):
        view._spec = {}
    found: dict[str, Any] = view._spec
    return found


def takes(schema: type[Schema], *, example: Any = None, largest: int = LARGEST_BODY) -> Callable[[View], View]:
    """The request has a JSON body of this schema, at most ``largest`` bytes."""
    instance = schema()

    def decorate(view: View) -> View:
        @wraps(view)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return view(*args, load(instance, json_body(largest)), **kwargs)

        spec_of(wrapper).update(
            body=instance, body_example=example, body_examples=None, content_type="application/json"
        )
        return wrapper

    return decorate


def asks(schema: type[Schema]) -> Callable[[View], View]:
    """The address has a query of this schema. A name that is unknown or occurs twice is refused."""
    instance = schema()
    loaded: dict[bytes, dict[str, Any]] = {}  # the same few queries come again and again; refused ones aren't kept

    def decorate(view: View) -> View:
        @wraps(view)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            found = loaded.get(request.query_string)
            if found is None:
                found = load(instance, _query())
                if len(loaded) >= MOST_QUERIES:
                    loaded.clear()
                if len(request.query_string) <= LONGEST_KEPT:
                    loaded[request.query_string] = found
            return view(*args, dict(found), **kwargs)

        spec_of(wrapper).setdefault("args", []).append((instance, "query"))
        return wrapper

    return decorate


def gives(
    schema: type[Schema] | dict[str, Any] | None,
    *,
    status: int = 200,
    example: Any = None,
    about: str = "",
    mimetype: str = "application/json",
) -> Callable[[View], View]:
    """What the answer looks like; None with 204. Documentation only: the view builds the answer itself."""
    shown = schema() if isinstance(schema, type) else (schema or {})

    def decorate(view: View) -> View:
        spec_of(view)["response"] = {
            "schema": shown,
            "status_code": status,
            "description": about or "Done",
            "example": example,
            "examples": None,
            "links": None,
            "content_type": mimetype,
            "headers": None,
        }
        return view

    return decorate


def refuses(*declared: Declared) -> Callable[[View], View]:
    """The refusals that belong to this route, besides those that every route may answer with."""

    def decorate(view: View) -> View:
        spec_of(view).setdefault("refuses", []).extend(declared)
        return view

    return decorate


def _query() -> dict[str, str]:
    found: dict[str, str] = {}
    for name, values in request.args.lists():
        if len(values) > 1:
            expected = pick("只能出现一次|may occur only once")
            raise INVALID_FIELD(fields=[{"field": name[:80], "expected": expected}])
        if unusable(values[0]) or unusable(name):
            raise unreadable(name.replace("\x00", ""))
        found[name] = values[0]
    return found
