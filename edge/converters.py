"""Parts of a path: an id that isn't one is an address that doesn't exist (404), as an id of somebody else's is."""

from __future__ import annotations

from flask import Flask
from werkzeug.routing import BaseConverter


class IdConverter(BaseConverter):
    """``<id:record_id>``: a string of digits outside, an integer inside."""

    regex = r"[1-9][0-9]{0,17}"

    def to_python(self, value: str) -> int:
        return int(value)

    def to_url(self, value: int | str) -> str:
        return str(value)


class CodeConverter(BaseConverter):
    """``<code:program>``: a code of ours."""

    regex = r"[a-z0-9][a-z0-9-]{0,39}"


def register(app: Flask) -> None:
    app.url_map.converters["id"] = IdConverter
    app.url_map.converters["code"] = CodeConverter
