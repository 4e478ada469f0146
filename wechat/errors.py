"""What can go wrong with WeChat, sorted by what to do about it.

Texts carry the error number and WeChat's ``rid``, never an address, a code, a secret, a token or a session key.
``retry`` says that the same call may work later; ``alarm`` that somebody of ours must look at it now.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

_RID = re.compile(r"rid: ([0-9a-f-]{1,64})")
_ADDRESS = re.compile(r"invalid ip ([0-9a-fA-F.:]{2,45})\b")


class WeChatError(Exception):
    """WeChat said no, or nothing. ``errcode`` is WeChat's own number, None when no answer could be read."""

    retry: ClassVar[bool] = False
    alarm: ClassVar[bool] = False

    def __init__(self, what: str, *, errcode: int | None = None, rid: str = "") -> None:
        number = "" if errcode is None else f" (errcode {errcode})"
        super().__init__(f"{what}{number}{' rid ' + rid if rid else ''}")
        self.errcode = errcode
        self.rid = rid


class Busy(WeChatError):
    """No usable answer: -1, a time-out, a broken connection, HTML, HTTP 5xx. Come back in a moment."""

    retry = True


class WeChatUnavailable(Busy):
    """Nothing came back that could be read. ``kind`` names how: ConnectTimeout, ReadTimeout, Truncated, NoObject …"""

    def __init__(self, what: str, kind: str) -> None:
        super().__init__(f"{what}: {kind}")
        self.kind = kind


class RateLimited(WeChatError):
    """Too many calls (45011, 44990, 44991). Come back after ``retry_after`` seconds."""

    retry = True

    def __init__(self, what: str, *, errcode: int | None = None, rid: str = "", retry_after: int = 60) -> None:
        super().__init__(what, errcode=errcode, rid=rid)
        self.retry_after = retry_after


class Together(Busy):
    """43108: two messages to one user at once. One after the other, then again."""


class QuotaSpent(WeChatError):
    """The day's quota is used up (45009, 44993, 85406). Stop until tomorrow, and tell somebody."""

    alarm = True


class Misconfigured(WeChatError):
    """Our appid, secret or address list is wrong, or a code that we don't know. Alarm at once; retrying won't help."""

    alarm = True


class AddressAwaited(Misconfigured):
    """89503, 89506, 89507: our address awaits the administrator, or was refused. ``wait_seconds`` till then."""

    def __init__(self, what: str, *, errcode: int | None = None, rid: str = "") -> None:
        super().__init__(what, errcode=errcode, rid=rid)
        self.wait_seconds = {89506: 86_400, 89507: 3_600}.get(errcode or 0, 0)


class Banned(Misconfigured):
    """43107, 50004, 50007, 85407, 85408: the ability, the template or the account is closed. Stop using it."""


class StaleToken(WeChatError):
    """40001, 40014, 42001, and a fresh token did not help. Somebody else may be renewing it by force."""

    alarm = True


class UserMustAct(WeChatError):
    """Nothing is wrong with us: the user has to do something first. No alarm, no retry."""


class CodeInvalid(UserMustAct):
    """40029: unknown, used or older than five minutes. The client asks for a new one, once."""


class CodeUsed(UserMustAct):
    """40163: a code works once. As for an invalid one; also look for a double submission."""


class Risky(UserMustAct):
    """40226: WeChat blocks this user's login. Refuse with a fixed text, don't retry."""


class NotSubscribed(UserMustAct):
    """43101: no subscription is left. The counter goes to zero; ask again at a fitting moment."""


class NotHereLately(UserMustAct):
    """61010: the user was not in the mini-program within two hours. Defer until they come back."""


class TooLate(UserMustAct):
    """45015, 45047: 48 hours, or too many answers, since the user last wrote. Wait until they write again."""


class SessionGone(UserMustAct):
    """87007, 87009: the session key is unknown, replaced or too old. A new login."""


class BadRequest(WeChatError):
    """Our data or our program is wrong. Logged with the shape of what was sent; never retried as it is."""


class Sensitive(BadRequest):
    """45168: a sensitive word in a message. Somebody reviews the text; it is not sent again."""


class AskedBefore(BadRequest):
    """87020: the same check was asked for a moment ago; its result is on the way."""


class PaymentUnknown(WeChatError):
    """10060001: shipping does not know the payment yet, as usual in its first ten seconds. Again, a little later."""

    retry = True


class AlreadyShipped(WeChatError):
    """10060002, 10060003: shipped before, or the one change is used up. Treat as done, and compare with get_order."""


class NotShippable(WeChatError):
    """10060004: the order's state forbids it, for example because it was refunded. Stop."""


class OtherPayer(WeChatError):
    """10060031: the payment is not this person's. Alarm: our order and WeChat's differ."""

    alarm = True


def _all(kind: type[WeChatError], *codes: int) -> dict[int, type[WeChatError]]:
    return dict.fromkeys(codes, kind)


# What each number means wherever it stands (reference: WeChat mini-program, error codes by what to do).
KINDS: dict[int, type[WeChatError]] = {
    **_all(StaleToken, 40001, 40014, 42001),
    **_all(Busy, -1, 10060012, 10060019),
    **_all(RateLimited, 45011, 44990, 44991),
    **_all(Together, 43108),
    **_all(QuotaSpent, 45009, 44993, 85406),
    **_all(Misconfigured, 40013, 40125, 40164, 40243, 41001, 41002, 41004, 43002, 48001),
    **_all(AddressAwaited, 89503, 89506, 89507),
    **_all(Banned, 43107, 50004, 50007, 85407, 85408),
    **_all(CodeInvalid, 40029),
    **_all(CodeUsed, 40163),
    **_all(Risky, 40226),
    **_all(NotSubscribed, 43101),
    **_all(NotHereLately, 61010),
    **_all(TooLate, 45015, 45047),
    **_all(SessionGone, 87007, 87009),
    **_all(
        BadRequest, 40002, 40003, 40004, 40037, 40097, 40129, 40165, 40169, 40212, 41030, 43104, 44002, 47001, 47003
    ),
    **_all(BadRequest, 87008, 85079, 85096, 85401, 85402, 85403),
    **_all(BadRequest, *range(10060005, 10060010), 10060014, 10060020, *range(10060024, 10060027)),
    **_all(BadRequest, 10060028, 10060029, 10060030, 10060032),
    **_all(Sensitive, 45168),
    **_all(AskedBefore, 87020),
    **_all(PaymentUnknown, 10060001),
    **_all(AlreadyShipped, 10060002, 10060003),
    **_all(NotShippable, 10060004),
    **_all(OtherPayer, 10060031),
}
# Whole families whose members are not all told.
_FAMILIES = (range(85000, 85100), range(85400, 85500), range(268485194, 268485229))


def error_for(
    what: str, answer: Mapping[str, Any], *, kinds: Mapping[int, type[WeChatError]] | None = None
) -> WeChatError | None:
    """The exception for an answer, or None when it is a success. ``kinds`` are one interface's own meanings.

    No errcode is success: some interfaces send none. A number that we don't know is for us to look at.
    """
    errcode = answer.get("errcode", 0)
    if isinstance(errcode, str) and re.fullmatch(r"-?[0-9]{1,10}", errcode, re.ASCII):
        errcode = int(errcode)
    if type(errcode) is not int:
        return WeChatUnavailable(what, "NoErrcode")
    if errcode == 0:
        return None
    errmsg = str(answer.get("errmsg", ""))
    rid, address = _RID.search(errmsg), _ADDRESS.search(errmsg)
    # Our own address, which WeChat's list lacks, is what whoever sets this up looks for.
    told = f"{what}: address {address.group(1)}" if address else what
    return _kind(errcode, kinds or {})(told, errcode=errcode, rid=rid.group(1) if rid else "")


def _kind(errcode: int, kinds: Mapping[int, type[WeChatError]]) -> type[WeChatError]:
    if errcode in kinds:
        return kinds[errcode]
    if errcode in KINDS:
        return KINDS[errcode]
    return BadRequest if any(errcode in family for family in _FAMILIES) else Misconfigured
