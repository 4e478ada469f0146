"""Every route stands beside its guard, and the application doesn't start when one has none.

An edge makes its own guards (who is a citizen, what is a partner's signature) as decorators that call :func:`mark`;
a route for everybody says so with :func:`public`. :func:`inventory` lists what the router really holds; a test compares
it with the reviewed matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from typing import Any

from flask import Flask, request

from app import limits

View = Callable[..., Any]
KINDS = ("public", "citizen", "clerk", "partner", "operator", "internal")
# Routes that carry no mark: what Flask and APIFlask bring themselves, and health, which no guard may keep from working
# (`/metrics` has its own check).
BROUGHT_ALONG = (
    "static",
    *("openapi.spec", "swagger_ui.show"),
    *("ops.healthz", "ops.readyz", "ops.version", "ops.metrics"),
)


class UnguardedRoute(Exception):
    """A route without a guard: the application refuses to start."""


@dataclass(frozen=True, slots=True)
class Guard:
    """Who may call. ``role`` narrows a kind: the role of a clerk in the shop, the right of an operator."""

    kind: str
    role: str = ""

    def __str__(self) -> str:
        return f"{self.kind}({self.role})" if self.role else self.kind


def mark(view: View, guard: Guard) -> View:
    """Note on a view which guard stands before it. Raises ValueError for a kind that isn't known."""
    if guard.kind not in KINDS:
        raise ValueError(f"unknown guard {guard.kind!r}")
    view.__guard__ = guard  # type: ignore[attr-defined]
    return view


def guard_of(view: View) -> Guard | None:
    found: Guard | None = getattr(view, "__guard__", None)
    return found


def public(limit: limits.Limit | None = None) -> Callable[[View], View]:
    """For everybody, said explicitly; ``limit`` counts calls by client address."""

    def decorate(view: View) -> View:
        @wraps(view)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if limit is not None:
                limits.take(limit, client_address())
            return view(*args, **kwargs)

        return mark(wrapper, Guard("public"))

    return decorate


def client_address() -> str:
    """The caller's address: the socket's, or what the configured number of proxies say (see wsgi.py)."""
    return request.remote_addr or "unknown"


def inventory(app: Flask) -> Iterator[tuple[str, str, str]]:
    """(method, path, guard) of every route, sorted; an unguarded one shows as ``NONE``."""
    found = []
    for rule in app.url_map.iter_rules():
        guard = guard_of(app.view_functions[rule.endpoint])
        name = str(guard) if guard else ("public" if rule.endpoint in BROUGHT_ALONG else "NONE")
        methods = sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
        found += [(method, rule.rule, name) for method in methods]
    yield from sorted(found, key=lambda line: (line[1], line[0]))


def refuse_unguarded(app: Flask) -> None:
    """Raise UnguardedRoute when a route has no guard; called at the end of the application factory."""
    bare = [f"{method} {path}" for method, path, guard in inventory(app) if guard == "NONE"]
    if bare:
        raise UnguardedRoute(f"no guard beside: {', '.join(bare)}")
