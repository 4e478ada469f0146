"""Request bodies, checked field by field: lengths, alphabets, types; what the documents don't name is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from wechat.sandbox.pay.refusals import PayRefusal, unknown_field, wrong_field

Check = Callable[[str, Any], None]
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ufffe\uffff]")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?(Z|[+-]\d\d:\d\d)")
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object of a request. Raises PayRefusal when it is none, or names a field twice."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        if len(set(names)) != len(names):
            raise ValueError("a field stands twice")
        return dict(pairs)

    try:
        content = json.loads(body.decode(), object_pairs_hook=once)
    except (ValueError, RecursionError):
        raise PayRefusal(400, "PARAM_ERROR", "请求体不是合法的JSON", 268435461) from None
    if not isinstance(content, dict):
        raise PayRefusal(400, "PARAM_ERROR", "请求体不是JSON对象", 268435461)
    return content


def text(longest: int, pattern: str = "", shortest: int = 1) -> Check:
    """Characters, not bytes; no control characters; the alphabet where there is one."""
    alphabet = re.compile(pattern) if pattern else None

    def check(field: str, value: Any) -> None:
        if not isinstance(value, str):
            raise wrong_field(field, value, "输入源不是字符串类型")
        if not shortest <= len(value) <= longest:
            raise wrong_field(field, value, f"字符串长度应在{shortest}到{longest}之间", number=268435464)
        if _CONTROL.search(value) or (alphabet is not None and not alphabet.fullmatch(value)):
            raise wrong_field(field, value, "含有不允许的字符")

    return check


def whole(least: int, most: int = 10**12) -> Check:
    """A JSON integer; ``1.0``, ``"1"`` and ``true`` are none."""

    def check(field: str, value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            raise wrong_field(field, value, "输入源不是整数类型")
        if not least <= value <= most:
            raise wrong_field(field, value, f"数值应不小于{least}", number=268435464)

    return check


def one_of(*allowed: Any) -> Check:
    def check(field: str, value: Any) -> None:
        if value not in allowed or isinstance(value, bool) is not isinstance(allowed[0], bool):
            raise wrong_field(field, value, "取值不在允许的范围内")

    return check


def group(fields: Mapping[str, Check], required: tuple[str, ...] = ()) -> Check:
    """An object of known fields."""

    def check(field: str, value: Any) -> None:
        if not isinstance(value, dict):
            raise wrong_field(field, value, "输入源不是对象类型")
        extra = [name for name in value if name not in fields]
        if extra:
            raise unknown_field(f"{field}/{extra[0]}")
        for name in required:
            if name not in value:
                number = 268501013 if name == "openid" else 268435461
                raise wrong_field(f"{field}/{name}", None, "缺少必填参数", number=number)
        for name, inner in value.items():
            fields[name](f"{field}/{name}", inner)

    return check


def rows(inner: Check, most: int) -> Check:
    def check(field: str, value: Any) -> None:
        if not isinstance(value, list) or not 1 <= len(value) <= most:
            raise wrong_field(field, value, f"列表长度应在1到{most}之间")
        for index, entry in enumerate(value):
            inner(f"{field}/{index}", entry)

    return check


def moment(field: str, value: Any) -> None:
    """RFC 3339 with an offset."""
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise wrong_field(field, value, "时间格式应遵循rfc3339标准格式")
    try:
        datetime.fromisoformat(value)
    except ValueError:
        raise wrong_field(field, value, "时间格式应遵循rfc3339标准格式") from None


def notify_url(field: str, value: Any) -> None:
    """Full, no query, https; plain http for addresses of this machine only."""
    text(255)(field, value)
    parts = urlsplit(value)
    local = parts.hostname in LOOPBACK
    if parts.scheme != "https" and not (local and parts.scheme == "http"):
        raise wrong_field(field, value, "通知URL必须为https")
    if not parts.hostname or parts.query or parts.fragment or "?" in value or not parts.path or parts.username:
        raise wrong_field(field, value, "通知URL必须为直接可访问的URL，不允许携带查询串")


AMOUNT_CNY = one_of("CNY")
FLAG = one_of(True, False)
ORDER_NUMBER = text(32, r"[0-9A-Za-z_\-|*]+", 6)
REFUND_NUMBER = text(64, r"[0-9A-Za-z_\-|*@]+", 1)
