"""WeChat Pay's refusals: status, code, text, and the number at the end of ``Request-ID``."""

from __future__ import annotations

from typing import Any


class PayRefusal(Exception):
    """A call that WeChat Pay answers with an error. ``number`` is the detailed one, 0 when none is published."""

    def __init__(
        self, status: int, code: str, message: str, number: int = 0, detail: dict[str, Any] | None = None
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.status, self.code, self.message, self.number, self.detail = status, code, message, number, detail

    def body(self) -> dict[str, Any]:
        content: dict[str, Any] = {"code": self.code, "message": self.message}
        return content if self.detail is None else {**content, "detail": self.detail}


def wrong_field(field: str, value: Any, issue: str, *, location: str = "body", number: int = 268435461) -> PayRefusal:
    """A parameter that doesn't keep its rule."""
    shown = value if isinstance(value, (int, float, bool)) or value is None else str(value)[:64]
    detail = {"field": field, "value": shown, "issue": issue, "location": location}
    return PayRefusal(400, "PARAM_ERROR", f"参数错误：{issue}", number, detail)


def unknown_field(field: str) -> PayRefusal:
    """WeChat refuses what its documents don't name."""
    return PayRefusal(400, "INVALID_REQUEST", f"请求中含有未在API文档中定义的参数：{field}", 270924358)


def invalid(message: str, number: int = 0) -> PayRefusal:
    return PayRefusal(400, "INVALID_REQUEST", message, number)


ORDER_UNKNOWN = (404, "ORDER_NOT_EXIST", "订单不存在", 268512771)
RESOURCE_UNKNOWN = (404, "RESOURCE_NOT_EXISTS", "查询的资源不存在", 268512771)
