"""What can go wrong with WeChat, sorted by what to do about it.

Texts carry the error number and WeChat's ``rid``, never an address, a code, a secret or a session key.
"""

from __future__ import annotations


class WeChatError(Exception):
    """WeChat said no, or nothing. ``errcode`` is WeChat's own number, None when no answer could be read."""

    def __init__(self, what: str, *, errcode: int | None = None, rid: str = "") -> None:
        number = "" if errcode is None else f" (errcode {errcode})"
        super().__init__(f"{what}{number}{' rid ' + rid if rid else ''}")
        self.errcode = errcode
        self.rid = rid


class Busy(WeChatError):
    """No usable answer: -1, a time-out, a broken connection, HTML, HTTP 5xx. Come back in a moment."""


class RateLimited(WeChatError):
    """Too many calls (45011). Come back after ``retry_after`` seconds."""

    def __init__(self, what: str, *, errcode: int | None = None, rid: str = "", retry_after: int = 60) -> None:
        super().__init__(what, errcode=errcode, rid=rid)
        self.retry_after = retry_after


class Misconfigured(WeChatError):
    """Our appid, secret or address list is wrong, or a code that we don't know. Alarm at once; retrying won't help."""
