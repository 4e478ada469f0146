"""Subscribe messages with their quota, customer-service messages, and the inbox one can look into."""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Any

from wechat.sandbox.mini.calls import MiniCall, MiniRefusal

STATES = ("developer", "trial", "formal")
LANGUAGES = ("zh_CN", "en_US", "zh_HK", "zh_TW")
SERVICE_SECONDS, SERVICE_MESSAGES = 48 * 3600, 5
_NUMBER = r"-?\d+(\.\d+)?"
VALUES = {
    "thing": r".{1,20}",
    "number": r"(?=.{1,32}$)" + _NUMBER,
    "letter": r"[A-Za-z]{1,32}",
    "symbol": r"[^\w\s]{1,5}",
    "character_string": r"[\x21-\x7e]{1,32}",
    "time": r"[\d年月日:：\-/. ~至]{4,40}",
    "date": r"[\d年月日:：\-/. ~至]{4,40}",
    "amount": r"[^\d\s.]?\d{1,10}(\.\d+)?元?",
    "phone_number": r"[\d+\-() ]{1,17}",
    "car_number": r"[\u4e00-\u9fff]?[A-Za-z0-9]{1,7}[\u4e00-\u9fff]?",
    "name": r"[\u4e00-\u9fff·]{1,10}|[A-Za-z .·]{1,20}",
    "phrase": r"[\u4e00-\u9fff]{1,5}",
    "enum": r".{1,20}",
}


@dataclass
class Messages:
    """Quotas by (openid, template), templates with their keys (none: any typed key), what was sent to whom."""

    templates: dict[str, tuple[str, ...]] = field(default_factory=dict)
    banned: set[str] = field(default_factory=set)
    sensitive: tuple[str, ...] = ("赌博", "代开发票")
    quota: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    inbox: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=5_000))
    wrote: dict[str, tuple[float, int]] = field(default_factory=dict)
    sending: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)


def send(call: MiniCall) -> dict[str, Any]:
    """``POST /cgi-bin/message/subscribe/send``."""
    content = call.content()
    call.fields(content, "touser", "template_id", "page", "data", "miniprogram_state", "lang")
    messages, openid = call.mini.messages, content.get("touser")
    user = call.user(openid)
    with messages.lock:
        if user.openid in messages.sending:
            raise MiniRefusal(43108)
        messages.sending.add(user.openid)
    try:
        time.sleep(call.mini.switches.send_seconds)
        return _sent(call, content, user.openid)
    finally:
        with messages.lock:
            messages.sending.discard(user.openid)


def _sent(call: MiniCall, content: dict[str, Any], openid: str) -> dict[str, Any]:
    messages, template = call.mini.messages, content.get("template_id")
    if not isinstance(template, str) or template not in messages.templates:
        raise MiniRefusal(40037)
    if template in messages.banned:
        raise MiniRefusal(43107)
    if content.get("miniprogram_state", "formal") not in STATES or content.get("lang", "zh_CN") not in LANGUAGES:
        raise MiniRefusal(47003)
    if str(content.get("page", "")).startswith("/"):
        call.violations.append("page begins with a slash")
    _check_data(messages, template, content.get("data"))
    with messages.lock:
        if messages.quota[(openid, template)] <= 0:
            raise MiniRefusal(43101)
        messages.quota[(openid, template)] -= 1
    number = secrets.randbelow(10**18)
    kept = {name: content.get(name) for name in ("template_id", "page", "data", "miniprogram_state", "lang")}
    messages.inbox.append({"at": call.now, "openid": openid, "kind": "subscribe", **kept})
    entry = {"TemplateId": template, "MsgID": str(number), "ErrorCode": "0", "ErrorStatus": "success"}
    call.mini.push.event(openid, "subscribe_msg_sent_event", {}, listed=[entry])
    return {"errcode": 0, "errmsg": "ok", "msgid": number}


def _check_data(messages: Messages, template: str, data: Any) -> None:
    if not isinstance(data, dict) or not data:
        raise MiniRefusal(47003)
    keys = messages.templates[template]
    if keys and set(keys) != set(data):
        raise MiniRefusal(47003, f"argument invalid! data.{sorted(set(keys) ^ set(data))[0]} is missing or unknown")
    for key, entry in data.items():
        value = entry.get("value") if isinstance(entry, dict) and set(entry) == {"value"} else None
        pattern = VALUES.get(re.sub(r"\d+$", "", key))
        if pattern is None or not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise MiniRefusal(47003, f"argument invalid! data.{key}.value invalid")
        if any(word in value for word in messages.sensitive):
            raise MiniRefusal(45168)


def custom(call: MiniCall) -> dict[str, Any]:
    """``POST /cgi-bin/message/custom/send``: an answer to somebody who wrote, five within 48 hours."""
    content = call.content()
    call.fields(content, "touser", "msgtype", "text", "image", "link", "miniprogrampage")
    user, messages = call.user(content.get("touser")), call.mini.messages
    kind = content.get("msgtype")
    inner = content.get(str(kind))
    if kind not in ("text", "image", "link", "miniprogrampage") or not isinstance(inner, dict):
        raise MiniRefusal(47001)
    if kind == "text" and not (isinstance(inner.get("content"), str) and 0 < len(inner["content"].encode()) <= 2048):
        raise MiniRefusal(44002)
    with messages.lock:
        at, answers = messages.wrote.get(user.openid, (-1e12, 0))
        if call.now > at + SERVICE_SECONDS:
            raise MiniRefusal(45015)
        if answers >= SERVICE_MESSAGES:
            raise MiniRefusal(45047)
        messages.wrote[user.openid] = (at, answers + 1)
    messages.inbox.append({"at": call.now, "openid": user.openid, "kind": "service", "msgtype": kind, "data": inner})
    return {"errcode": 0, "errmsg": "ok"}
