"""A phone number by the code of WeChat's button. Each success is paid for, by the button: ask once, keep the answer."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from wechat.api import Api, Interface
from wechat.errors import Misconfigured, WeChatUnavailable

NUMBER = Interface("getuserphonenumber", "POST", "/wxa/business/getuserphonenumber")
_DIGITS = re.compile(r"[0-9]{4,15}", re.ASCII)


@dataclass(frozen=True, slots=True)
class PhoneNumber:
    """``number`` without the country's code; it stays out of the representation."""

    country: str
    number: str = field(repr=False)

    @property
    def masked(self) -> str:
        """Three first and two last digits, as platform rules want it shown."""
        return f"{self.number[:3]}{'*' * max(len(self.number) - 5, 1)}{self.number[-2:]}"


def phone_number(api: Api, *, code: str, openid: str) -> PhoneNumber:
    """The number behind a code; with the openid WeChat refuses another user's code.

    Raises CodeInvalid (press the button again), RateLimited, Busy (the code lives five minutes), Misconfigured.
    """
    answer = api.call(NUMBER, {"code": code, "openid": openid})
    info = answer.get("phone_info")
    if not isinstance(info, dict):
        raise WeChatUnavailable(NUMBER.name, "NoPhoneInfo")
    mark = info.get("watermark")
    if not isinstance(mark, dict) or mark.get("appid") != api.appid:
        raise Misconfigured(f"{NUMBER.name}: the watermark is another mini-program's")
    number, country = str(info.get("purePhoneNumber", "")), str(info.get("countryCode", ""))
    if not (_DIGITS.fullmatch(number) and re.fullmatch(r"[0-9]{1,4}", country, re.ASCII)):
        raise WeChatUnavailable(NUMBER.name, "NoPhoneNumber")
    return PhoneNumber(country, number)
