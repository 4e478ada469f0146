"""What can go wrong with WeChat Pay, sorted by what to do about it (reference: WeChat Pay APIv3, common errors).

Texts carry status, code and Request-ID: never a body, an address, an openid or a key.
"""

from __future__ import annotations

import re
from typing import Any

from wechat.errors import WeChatError

_CODE = re.compile(r"[A-Z][A-Z0-9_]{1,63}")
_REQUEST_ID = re.compile(r"[0-9A-Za-z_-]{1,96}")


class PayError(WeChatError):
    """``status`` is the HTTP status (0: no answer), ``code`` WeChat's word, ``request_id`` what its support asks for.

    ``message`` is WeChat's own text, shortened; it may name parameters, so it stays out of the exception's text.
    """

    def __init__(self, what: str, *, status: int = 0, code: str = "", request_id: str = "", message: str = "") -> None:
        seen = " ".join(part for part in (f"HTTP {status}" if status else "", code) if part)
        super().__init__(f"{what}{f' ({seen})' if seen else ''}{f' Request-ID {request_id}' if request_id else ''}")
        self.status, self.code, self.request_id, self.message = status, code, request_id, message[:200]

    @property
    def number(self) -> int | None:
        """The detailed error number at the end of the Request-ID."""
        tail = self.request_id.rpartition("-")[2]
        return int(tail) if tail.isascii() and tail.isdigit() else None


class Unknown(PayError):
    """The result is unknown: a time-out, a broken connection, an answer whose signature is wrong. Query by number."""

    retry = True


class SystemBusy(Unknown):
    """SYSTEM_ERROR: may have been done all the same. Query, or repeat with the same number and content, slower."""


class Frequency(PayError):
    """Too many calls; this one was not accepted. The same again, slower (refund queries: after a minute)."""

    retry = True


class NotFound(PayError):
    """WeChat knows no such order, refund or resource: it never arrived, or the merchant number is another."""


class OrderPaid(PayError):
    """The order is paid: query it and treat it as paid."""


class OrderClosed(PayError):
    """The order can no longer be paid. Query, then go on under a new number."""


class OutTradeNoUsed(PayError):
    """The number belongs to another order. Numbers are never used again."""

    alarm = True


class OtherContent(PayError):
    """The number was sent before with other parameters. Replay what is stored, or close and take a new number."""

    alarm = True


class NotEnough(PayError):
    """The merchant's balance does not cover the refund. Alarm; the same again after a top-up."""

    retry = True
    alarm = True


class AccountAbnormal(PayError):
    """The payer's account is closed: an operator refunds by other means."""

    alarm = True


class Refused(PayError):
    """Our request, our keys or our contract is wrong. Alarm; repeating won't help."""

    alarm = True


class NoStatement(PayError):
    """No movement on that day, or no file. Not an empty bill unless our own books are empty too."""


class StatementCreating(PayError):
    """The bill is being made: come back later."""

    retry = True


class BillCorrupt(PayError):
    """The bill's hash, form or sums are wrong. Nothing of it may be used."""

    alarm = True


class Untrusted(PayError):
    """A signature, or what it needs, is not in order. ``reason`` is one stable word."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"not trusted: {reason}")
        self.reason = reason


class NoticeRefused(PayError):
    """A notice that must be answered with failure. ``reason`` is one stable word, ``status`` the answer to give.

    401: not shown to be WeChat's. 400: WeChat's, but unreadable; ``undecipherable`` means that the APIv3 key was reset
    without us. ``is_genuine``: alarm. ``notice_id`` is known only after the signature was found good.
    """

    def __init__(self, reason: str, *, status: int = 401, notice_id: str = "") -> None:
        super().__init__(f"notice refused: {reason}", status=status)
        self.reason, self.notice_id = reason, notice_id
        # What is genuine and yet unreadable is our fault, or a change of WeChat's; forgeries are everyday.
        self.is_genuine = status == 400


# The numbers at the end of the Request-ID say more than the code.
BY_NUMBER: dict[int, type[PayError]] = {
    268512771: NotFound,
    268447840: Frequency,
    268449538: OrderPaid,
    268498689: OrderPaid,
    268447914: OrderClosed,
    268498688: OtherContent,
}
BY_CODE: dict[str, type[PayError]] = {
    "ORDER_PAID": OrderPaid,
    "ORDERPAID": OrderPaid,
    "ORDER_CLOSED": OrderClosed,
    "ORDERCLOSED": OrderClosed,
    "OUT_TRADE_NO_USED": OutTradeNoUsed,
    "FREQUENCY_LIMITED": Frequency,
    "FREQUENCY_LIMIT": Frequency,
    "RATELIMIT_EXCEEDED": Frequency,
    "SYSTEM_ERROR": SystemBusy,
    "NOT_ENOUGH": NotEnough,
    "USER_ACCOUNT_ABNORMAL": AccountAbnormal,
    "NO_STATEMENT_EXIST": NoStatement,
    "STATEMENT_CREATING": StatementCreating,
}
# The same thing is spelt in several ways, with and without a plural.
_NOT_FOUND = ("ORDER_NOT_EXIST", "ORDERNOTEXIST", "RESOURCE_NOT_EXIST", "REFUND_NOT_EXIST")


def error_for(what: str, *, status: int, answer: Any, request_id: str) -> PayError:
    """The exception for an answer that is no success. ``answer`` is the parsed body, or None when it was none."""
    said = answer if isinstance(answer, dict) else {}
    code, message = said.get("code"), said.get("message")
    code = code if isinstance(code, str) and _CODE.fullmatch(code) else ""
    request_id = request_id if _REQUEST_ID.fullmatch(request_id) else ""
    text = message if isinstance(message, str) else ""
    kind = _kind(status, code, PayError("", request_id=request_id).number)
    return kind(what, status=status, code=code, request_id=request_id, message=text)


def _kind(status: int, code: str, number: int | None) -> type[PayError]:
    if number in BY_NUMBER and code and status < 500:
        return BY_NUMBER[number]
    if code in BY_CODE:
        return BY_CODE[code]
    if code.startswith(_NOT_FOUND):
        return NotFound
    if status == 429:
        return Frequency
    if status >= 500:
        return SystemBusy if code else Unknown
    # Without a code it was not WeChat Pay that answered: a proxy's 404 says nothing about an order.
    return Refused if code and status >= 400 else Unknown
