"""Reading JSON strictly: what the usual parser lets through silently is an error with a name here.

Refused before any schema looks: other types than JSON, compression, more than the limit, invalid UTF-8, a BOM,
duplicate keys, NaN and infinities, numbers of absurd size, nesting above 20, NUL and lone surrogates in text.
Fractions are read as exact decimals, never as binary floats.
"""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from flask import request

from app.errors import INVALID_FIELD, Kind, Refusal, declare
from edge.answers import BODY_TOO_LARGE
from edge.language import pick

LARGEST_BODY = 256 * 1024
DEEPEST = 20
LONGEST_NUMBER = 40
LARGEST_EXPONENT = 40

BAD_JSON = declare(
    "bad_json",
    Kind.MALFORMED,
    zh="请求内容不是有效的 JSON 对象，请检查格式、重复的键与数字写法。",
    en="The body is no valid JSON object. Check its form, for keys that occur twice, and how numbers are written.",
)
BAD_ENCODING = declare(
    "bad_encoding",
    Kind.MALFORMED,
    zh="请求内容必须是不带 BOM 的 UTF-8 编码。",
    en="The body must be UTF-8 without a byte order mark.",
)
TOO_DEEP = declare(
    "too_deep",
    Kind.MALFORMED,
    zh="请求内容嵌套过深，最多 20 层。",
    en="The body nests too deeply; 20 levels is the limit.",
)
UNSUPPORTED_TYPE = declare(
    "unsupported_type",
    Kind.UNSUPPORTED,
    zh="请以 Content-Type: application/json 提交，且不要压缩。",
    en="Send it as Content-Type: application/json, uncompressed.",
)
UNREADABLE_TEXT = (
    "含有不可用的字符（空字符或残缺的代理对）|holds an unusable character (NUL or half of a surrogate pair)"
)


def json_body(largest: int = LARGEST_BODY) -> dict[str, Any]:
    """The request's body as an object, strictly read. Raises the refusals above."""
    if request.mimetype != "application/json" or request.headers.get("Content-Encoding", "identity") != "identity":
        raise UNSUPPORTED_TYPE()
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if charset not in ("utf-8", "utf8"):
        raise BAD_ENCODING(charset=charset[:40])
    return json_object(raw_body(largest))


def raw_body(largest: int = LARGEST_BODY) -> bytes:
    """The bytes as sent, at most ``largest`` of them: signatures are checked over these, before any parsing."""
    if (request.content_length or 0) > largest:
        raise BODY_TOO_LARGE(largest_bytes=largest)
    request.max_content_length = largest + 1  # a body in chunks is cut there without a word, so one more is asked for
    body = request.get_data(cache=True)
    if len(body) > largest:
        raise BODY_TOO_LARGE(largest_bytes=largest)
    return body


def json_object(body: bytes) -> dict[str, Any]:
    """Bytes as a JSON object, strictly. Raises BAD_JSON, BAD_ENCODING, TOO_DEEP, INVALID_FIELD."""
    parsed = _parse(body)
    if not isinstance(parsed, dict):
        raise BAD_JSON(expected="object")
    if body.count(b"{") + body.count(b"[") > DEEPEST:
        _refuse_depth(parsed)
    if b"\\u" in body:
        _refuse_text(parsed)
    return parsed


def _parse(body: bytes) -> Any:
    if body[:3] == b"\xef\xbb\xbf":
        raise BAD_ENCODING(found="BOM")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BAD_ENCODING(at_byte=error.start) from None
    try:
        return json.loads(
            text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_fraction, parse_int=_whole
        )
    except json.JSONDecodeError as error:
        raise BAD_JSON(line=error.lineno, column=error.colno) from None
    except RecursionError:
        raise TOO_DEEP(limit=DEEPEST) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise BAD_JSON(duplicate_key=_shown(twice))
    return found


def _constant(word: str) -> Any:
    raise BAD_JSON(found=word)


def _whole(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise BAD_JSON(found="number", longest=LONGEST_NUMBER)
    return int(digits)


def _fraction(digits: str) -> Decimal:
    if len(digits) > LONGEST_NUMBER:
        raise BAD_JSON(found="number", longest=LONGEST_NUMBER)
    try:
        number = Decimal(digits)
    except InvalidOperation:
        raise BAD_JSON(found="number") from None
    if number and abs(number.adjusted()) > LARGEST_EXPONENT:
        raise BAD_JSON(found="number", largest_exponent=LARGEST_EXPONENT)
    return number


def _refuse_depth(parsed: Any) -> None:
    level, layer = 0, [parsed]
    while layer:
        level += 1
        if level > DEEPEST:
            raise TOO_DEEP(limit=DEEPEST)
        inner: list[Any] = []
        for node in layer:
            values = node.values() if isinstance(node, dict) else node
            inner.extend(value for value in values if isinstance(value, (dict, list)))
        layer = inner


def _refuse_text(node: Any, path: str = "") -> None:
    """PostgreSQL can't store NUL and lone surrogates; they enter only through escapes. Depth is bounded."""
    if isinstance(node, str):
        if unusable(node):
            raise unreadable(path)
    elif isinstance(node, dict):
        for key, value in node.items():
            if unusable(key):
                raise unreadable(path)
            _refuse_text(value, f"{path}.{key}" if path else key)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            _refuse_text(value, f"{path}[{index}]")


def unusable(text: str) -> bool:
    """Whether a text holds what neither UTF-8 nor PostgreSQL can store."""
    return "\x00" in text or (not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text))


def unreadable(path: str) -> Refusal:
    """The refusal for such a text."""
    return INVALID_FIELD(fields=[{"field": _shown(path) or "body", "expected": pick(UNREADABLE_TEXT)}])


def _shown(text: str) -> str:
    return text.encode("utf-8", "replace").decode()[:80]
