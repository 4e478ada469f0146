"""Paging by opaque cursor: ``items``, ``next_cursor``, ``has_more``; at most 50 a page.

A cursor is a few integers in base64url. It says where to go on, never what may be seen: the query behind it is
scoped to the caller as the first page was, so a forged one shows nothing new.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from marshmallow import fields

from app.errors import INVALID_FIELD
from edge.language import pick
from edge.schemas import Answer, Pattern, QueryInteger, Request

T = TypeVar("T")
LARGEST_PAGE = 50
_PARTS = re.compile(r"-?[0-9]{1,19}(\.-?[0-9]{1,19}){0,3}", re.ASCII)


class PageQuery(Request):
    """``?limit=20&cursor=…``"""

    limit = QueryInteger(least=1, most=LARGEST_PAGE, load_default=20, metadata={"description": "items a page"})
    cursor = Pattern(
        r"[A-Za-z0-9_\-]{1,120}",
        expected="应为上一页给出的 next_cursor|must be a next_cursor of an earlier page",
        load_default=None,
        metadata={"description": "`next_cursor` of the page before"},
    )


def encode(*numbers: int) -> str:
    """A cursor of one to four integers."""
    return base64.urlsafe_b64encode(".".join(map(str, numbers)).encode()).decode().rstrip("=")


def decode(cursor: str | None, length: int) -> tuple[int, ...] | None:
    """The integers of a cursor, None for the first page. Raises INVALID_FIELD for what we never gave out."""
    if cursor is None:
        return None
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except ValueError:
        text = ""
    numbers = tuple(map(int, text.split("."))) if _PARTS.fullmatch(text) else ()
    if len(numbers) != length or any(abs(number) >= 2**63 for number in numbers):
        expected = pick("应为上一页给出的 next_cursor|must be a next_cursor of an earlier page")
        raise INVALID_FIELD(fields=[{"field": "cursor", "expected": expected}])
    return numbers


def page(
    rows: Sequence[T], limit: int, show: Callable[[T], Any], mark: Callable[[T], tuple[int, ...]]
) -> dict[str, Any]:
    """A page of ``rows``, which were read with ``limit + 1``. ``mark`` gives the integers of a row's cursor."""
    shown, more = rows[:limit], len(rows) > limit
    return {
        "items": [show(row) for row in shown],
        "next_cursor": encode(*mark(shown[-1])) if more else None,
        "has_more": more,
    }


def paged(name: str, item: Any) -> type[Any]:
    """The schema of a page of ``item``, for the documentation."""
    inner = fields.List(fields.Nested(item), required=True)
    rest: dict[str, fields.Field[Any]] = {
        "next_cursor": fields.String(required=True, allow_none=True),
        "has_more": fields.Boolean(required=True),
    }
    return Answer.from_dict({"items": inner, **rest}, name=name)
