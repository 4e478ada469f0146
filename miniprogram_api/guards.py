"""Who may call: a citizen with a login, or somebody who works in the shop that the address names.

The person comes from the token alone. ``openid`` and ``X-WX-*`` headers of the caller mean nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

from flask import current_app, g, request

from app import cache, limits, merchants
from app.clock import now
from app.db import transaction
from app.errors import FORBIDDEN
from app.people import Login, logins
from edge.answers import LOGIN_REQUIRED
from edge.guards import Guard, View, client_address, mark

_BEARER = re.compile(r"Bearer ([A-Za-z0-9_-]{43})", re.ASCII)
BAD_TOKEN = limits.Limit("bad-token", 600, 60)


def citizen(
    *, fresh: bool | None = None, ahead: bool | str = False, limit: limits.Limit = limits.CITIZEN
) -> Callable[[View], View]:
    """For whoever is logged in; the view gets the Login first.

    ``fresh`` asks PostgreSQL itself whether the login still stands, in the transaction that the view then uses. It is
    the rule for writes; reads trust the copy in Redis, which is a minute old at most and evicted on revocation.
    ``ahead`` is for the fastest reads: the login is asked for in the same trip as the view's own question to Redis, and
    what the view found is thrown away when it doesn't hold. ``ahead="at once"`` is for such reads that ask Redis
    nothing: the question is on its way while the view works.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            login = _authenticate_ahead(limit, at_once=ahead == "at once") if ahead else None
            if login is None:
                return view(authenticate(fresh, limit), *args, **kwargs)
            try:
                return view(login, *args, **kwargs)
            finally:
                cache.settle_ahead()  # whatever the view answered: nobody gets it whose login doesn't hold

        return mark(wrapper, Guard("citizen"))

    return decorate


def clerk(*roles: str) -> Callable[[View], View]:
    """For who works in the shop ``<id:shop_id>`` of the address, now and in one of ``roles``.

    The view gets the Login, the Shop and the Merchant; the role is read from PostgreSQL at every call.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def wrapper(*args: Any, shop_id: int, **kwargs: Any) -> Any:
            login = authenticate(True, limits.CITIZEN)
            for shop, merchant, role in merchants.shops_of_person(login.person_id, now()):
                if shop.id == shop_id:
                    if role not in roles:
                        raise FORBIDDEN(role=role, needed=list(roles))
                    return view(login, shop, merchant, *args, **kwargs)
            raise merchants.NOT_STAFF()

        return mark(wrapper, Guard("clerk", "|".join(roles)))

    return decorate


def scanner(*roles: str) -> Callable[[View], View]:
    """As :func:`clerk`, for the two calls that a queue waits for: one statement asks for the login and for the role.

    The view gets the Login and the shop's id.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def wrapper(*args: Any, shop_id: int, **kwargs: Any) -> Any:
            login = authenticate(False, limits.CITIZEN)
            role, stands = merchants.role_in_shop(
                shop_id=shop_id, person_id=login.person_id, session_id=login.session_id, at=now()
            )
            if not stands:
                raise LOGIN_REQUIRED()
            if role is None:
                raise merchants.NOT_STAFF()
            if role not in roles:
                raise FORBIDDEN(role=role, needed=list(roles))
            return view(login, shop_id, *args, **kwargs)

        return mark(wrapper, Guard("clerk", "|".join(roles)))

    return decorate


def authenticate(fresh: bool | None, limit: limits.Limit) -> Login:
    """The login of this request. Raises LOGIN_REQUIRED (one code: log in silently, once), TOO_MANY."""
    found = _BEARER.fullmatch(request.headers.get("Authorization", ""))
    at = now()
    login = logins.check(found.group(1), at=at, limit=limit) if found else None
    if login is None:
        if found:
            limits.take(BAD_TOKEN, client_address())
        raise LOGIN_REQUIRED()
    if login.by_truth:
        _prolong(login)
    elif (request.method != "GET" if fresh is None else fresh) and not logins.stands(login, at=at):
        raise LOGIN_REQUIRED()
    g.person_id = login.person_id
    return login


def _authenticate_ahead(limit: limits.Limit, *, at_once: bool) -> Login | None:
    """The login that this process knows for the token, to be verified with the next trip to Redis; None to ask now."""
    found = _BEARER.fullmatch(request.headers.get("Authorization", ""))
    if found is None:
        return None

    def judge(login: Login | None) -> None:
        if login is None:
            limits.take(BAD_TOKEN, client_address())
            raise LOGIN_REQUIRED()
        if login.by_truth:
            _prolong(login)

    login = logins.check_ahead(found.group(1), at=now(), limit=limit, judge=judge, at_once=at_once)
    if login is not None:
        g.person_id = login.person_id
    return login


def _prolong(login: Login) -> None:
    """A login that is in use lives on; written at most once a day."""
    days = current_app.config["SETTINGS"].session_days
    if login.expires_at - now() < timedelta(days=days - 1):
        with transaction():
            logins.prolong(login, at=now(), session_days=days)
