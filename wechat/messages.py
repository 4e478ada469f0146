"""Messages to users: one per accepted subscription, and answers to what they wrote to customer service.

Sending belongs behind an outbox: a message that fails must never undo business. Nobody is rewarded for subscribing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping

from wechat.api import Api, Interface

# Not repeated by itself: -1 may mean that it was sent.
SEND = Interface("subscribe send", "POST", "/cgi-bin/message/subscribe/send")
STATES = ("developer", "trial", "formal")
_KEY = re.compile(r"([a-z_]+?)([0-9]+)", re.ASCII)
_LONGEST_TEXT = 600


def send_subscribed(
    api: Api, *, openid: str, template_id: str, data: Mapping[str, str], page: str = "", state: str = "formal",
    lang: str = "zh_CN",
) -> str:  # fmt: skip
    """Spend one subscription on a message; answers WeChat's message id, often empty. ``data`` as ``fitted`` made it.

    Raises NotSubscribed (set the counter to zero), Together (one after the other), Banned (stop the template),
    Sensitive (review the text), BadRequest (template, data or openid), RateLimited, QuotaSpent, Busy.
    """
    if state not in STATES:
        raise ValueError(f"state is one of {', '.join(STATES)}")
    content = {
        "touser": openid,
        "template_id": template_id,
        "data": {key: {"value": value} for key, value in data.items()},
        "miniprogram_state": state,
        "lang": lang,
    }
    if page:
        content["page"] = page
    return str(api.call(SEND, content).get("msgid") or "")


def answer_customer(api: Api, *, openid: str, text: str) -> None:
    """Answer somebody who wrote to customer service. Raises TooLate 48 hours after their last message."""
    if not 0 < len(text) <= _LONGEST_TEXT:
        raise ValueError(f"an answer has 1 to {_LONGEST_TEXT} characters")
    api.wechatpy.message.send_text(openid, text)


def fitted(values: Mapping[str, str]) -> dict[str, str]:
    """The values of a template in its limits: texts are shortened with an ellipsis, control characters go.

    Keys name the kind, as in ``thing1`` or ``amount2``. Raises ValueError for an unknown kind and for numbers, times
    and the like that don't fit: shortened, they would say something else.
    """
    return {key: _fit(key, value) for key, value in values.items()}


def _fit(key: str, value: str) -> str:
    found = _KEY.fullmatch(key)
    kind = found.group(1) if found else ""
    text = "".join(" " if unicodedata.category(sign) == "Cc" else sign for sign in value).strip()
    if not text or kind not in _KINDS:
        raise ValueError(f"{key}: no such kind of value, or nothing in it")
    limit = _KINDS[kind]
    if isinstance(limit, int):
        return text if len(text) <= limit else text[: limit - 1] + "…"
    if not limit(text):
        raise ValueError(f"{key}: does not fit {kind}")
    return text


def _pattern(text: str) -> Callable[[str], bool]:
    compiled = re.compile(text, re.ASCII)
    return lambda value: compiled.fullmatch(value) is not None


def _is_name(value: str) -> bool:
    """10 Chinese or 20 Latin characters."""
    return sum(2 if ord(sign) > 127 else 1 for sign in value) <= 20


_MOMENT = r"[0-9年月日时分秒:./\- ]{3,20}"
_KINDS: dict[str, int | Callable[[str], bool]] = {
    "thing": 20,
    "phrase": lambda value: re.fullmatch(r"[\u4e00-\u9fff]{1,5}", value) is not None,
    "number": _pattern(r"(?=.{1,32}$)-?[0-9]+(\.[0-9]+)?"),
    "letter": _pattern(r"[A-Za-z]{1,32}"),
    "symbol": lambda value: len(value) <= 5 and not any(sign.isalnum() for sign in value),
    "character_string": _pattern(r"[\x21-\x7e]{1,32}"),
    "time": _pattern(rf"{_MOMENT}(~{_MOMENT})?"),
    "date": _pattern(rf"{_MOMENT}(~{_MOMENT})?"),
    "amount": _pattern(r"[¥￥$€£]?-?(?=[0-9.]{1,11}元?$)[0-9]{1,10}(\.[0-9]+)?元?"),
    "phone_number": _pattern(r"[0-9+()*# \-]{1,17}"),
    "car_number": lambda value: len(value) <= 8 and value[1:-1].isascii() and value.isalnum(),
    "name": _is_name,
    "enum": lambda value: len(value) <= 20,
}
