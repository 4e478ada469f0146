"""Refusals: errors as a part of the product.

A refusal is declared once, beside the function that raises it, with a stable code and plain words in Chinese and
English that say what happened and what to do next. Edges turn it into an answer; it is never a 500.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any


class Kind(Enum):
    """What sort of refusal; the value is the HTTP status that every edge answers with."""

    MALFORMED = 400
    UNAUTHENTICATED = 401
    NOT_ALLOWED = 403
    NOT_FOUND = 404
    WRONG_METHOD = 405
    CONFLICT = 409
    TOO_LARGE = 413
    UNSUPPORTED = 415
    INVALID = 422
    TOO_MANY = 429
    INTERNAL = 500
    UNAVAILABLE = 503


class Refusal(Exception):
    """Raised by the domain when it will not do what was asked. ``details`` is shown to the caller: no secrets in it."""

    def __init__(self, declared: Declared, details: dict[str, Any]) -> None:
        super().__init__(declared.code)
        self.declared = declared
        self.details = details

    @property
    def code(self) -> str:
        return self.declared.code

    @property
    def kind(self) -> Kind:
        return self.declared.kind

    def message(self, language: str = "zh") -> str:
        return self.declared.en if language.startswith("en") else self.declared.zh


@dataclass(frozen=True, slots=True)
class Declared:
    """A declared refusal. Call it to make the exception: ``raise BUDGET_CLOSED(budget=code)``."""

    code: str
    kind: Kind
    zh: str
    en: str

    def __call__(self, **details: Any) -> Refusal:
        return Refusal(self, details)


REGISTRY: dict[str, Declared] = {}


def declare(code: str, kind: Kind, *, zh: str, en: str) -> Declared:
    """Register a refusal. Raises ValueError when the code is taken: a code means one thing."""
    if code in REGISTRY:
        raise ValueError(f"refusal {code!r} is declared twice")
    REGISTRY[code] = declared = Declared(code, kind, zh, en)
    return declared


INVALID_FIELD = declare(
    "invalid_field",
    Kind.INVALID,
    zh="提交的内容有误，请按 details 中的说明修改后重试。",
    en="Something in the request is not as expected; mend what `details` names and send it again.",
)
NOT_FOUND = declare(
    "not_found",
    Kind.NOT_FOUND,
    zh="没有找到，或它不属于您。请检查链接或编号。",
    en="Not found, or not yours. Check the link or the number.",
)
FORBIDDEN = declare(
    "forbidden",
    Kind.NOT_ALLOWED,
    zh="您没有权限进行此操作。如需权限，请联系管理员。",
    en="You may not do this. Ask an administrator if you need the right.",
)
IDEMPOTENCY_CONFLICT = declare(
    "idempotency_conflict",
    Kind.CONFLICT,
    zh="同一编号此前已用于不同的内容。请换一个新编号，或按原内容重试。",
    en="This reference was used before with other content. Use a new reference, or repeat the first content.",
)
STATE_CONFLICT = declare(
    "state_conflict",
    Kind.CONFLICT,
    zh="当前状态不允许此操作，请刷新后查看最新状态。",
    en="The present state does not allow this. Refresh to see where it stands.",
)
BUSY = declare(
    "busy",
    Kind.UNAVAILABLE,
    zh="系统繁忙，内容没有丢失，请稍后重试。",
    en="We are busy; nothing is lost. Try again in a moment.",
)
TOO_MANY = declare(
    "too_many",
    Kind.TOO_MANY,
    zh="操作过于频繁，请稍后再试。",
    en="Too many requests. Wait a little and try again.",
)
