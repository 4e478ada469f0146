"""Content checks: text at once, pictures and sound by push, after this WeChat has really fetched them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

from wechat.sandbox.mini.calls import MiniCall, MiniRefusal
from wechat.sandbox.outbound import call as fetch

MOST_TEXT, MOST_MEDIA_BYTES = 2_500, 10 * 1024 * 1024
DOWNLOAD_SECONDS = 5.0
IMAGE, AUDIO = 2, 1
MARKS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF87a", b"GIF89a")
WORDS = {
    "加微信领红包": ("risky", 10001),
    "色情": ("risky", 20002),
    "诈骗": ("risky", 20008),
    "赌博": ("risky", 20006),
    "傻瓜": ("review", 20003),
    "盗版": ("review", 20013),
}


@dataclass
class Safety:
    """Word lists, verdicts by a part of the address, and the requests that are under way."""

    words: dict[str, tuple[str, int]] = field(default_factory=lambda: dict(WORDS))
    verdicts: dict[str, tuple[str, int]] = field(default_factory=dict)
    under_way: dict[str, str] = field(default_factory=dict)


def text(call: MiniCall) -> dict[str, Any]:
    """``POST /wxa/msg_sec_check``, version 2."""
    content = call.content()
    call.fields(content, "content", "version", "scene", "openid", "title", "nickname", "signature")
    if content.get("version") != 2:
        call.violations.append("content check without version 2")
        raise MiniRefusal(47001)
    body = content.get("content")
    if not isinstance(body, str) or not body:
        raise MiniRefusal(44002)
    if len(body) > MOST_TEXT:
        raise MiniRefusal(47001)
    if content.get("scene") not in (1, 2, 3, 4) or isinstance(content["scene"], bool):
        raise MiniRefusal(40129)
    if "signature" in content and content["scene"] != 1:
        raise MiniRefusal(40097)
    call.visitor(content.get("openid"))
    read = " ".join(str(content.get(name, "")) for name in ("content", "title", "nickname", "signature"))
    suggest, label = judged(call.mini.safety, read)
    detail = [{"strategy": "content_model", "errcode": 0, "suggest": suggest, "label": label, "prob": 90}]
    detail.append({"strategy": "keyword", "errcode": 0, "suggest": suggest, "label": label})
    result = {"suggest": suggest, "label": label}
    return {"errcode": 0, "errmsg": "ok", "result": result, "detail": detail, "trace_id": _trace()}


def judged(safety: Safety, read: str) -> tuple[str, int]:
    """The worst verdict of the words in a text."""
    found = [verdict for word, verdict in safety.words.items() if word in read]
    return min(found, key=lambda verdict: verdict[0] != "risky", default=("pass", 100))


def media(call: MiniCall) -> dict[str, Any]:
    """``POST /wxa/media_check_async``: answers a trace id; the verdict comes by push, perhaps before the answer."""
    content = call.content()
    call.fields(content, "media_url", "media_type", "version", "scene", "openid")
    if content.get("version") != 2:
        call.violations.append("content check without version 2")
        raise MiniRefusal(47001)
    if content.get("media_type") not in (AUDIO, IMAGE):
        raise MiniRefusal(40004)
    if content.get("scene") not in (1, 2, 3, 4):
        raise MiniRefusal(40129)
    url, user = content.get("media_url"), call.visitor(content.get("openid"))
    if not isinstance(url, str) or "://" not in url:
        raise MiniRefusal(40097)
    safety, trace = call.mini.safety, _trace()
    with call.state.lock:
        if url in safety.under_way:
            raise MiniRefusal(87020)
        safety.under_way[url] = trace
    mini, kind = call.mini, int(content["media_type"])

    def tell(_: float) -> None:
        event = _looked_at(safety, mini.state.appid, url, kind, trace)
        safety.under_way.pop(url, None)
        mini.push.event(user.openid, "wxa_media_check", event)

    if mini.switches.media_event_first:
        tell(call.now)
        mini.box.agenda.quiet(5)
    else:
        mini.box.agenda.at(call.now + mini.switches.media_seconds, tell)
    return {"errcode": 0, "errmsg": "ok", "trace_id": trace}


def _looked_at(safety: Safety, appid: str, url: str, kind: int, trace: str) -> dict[str, Any]:
    """Fetch and judge. -1008: it could not be fetched, was too large, or is no picture."""
    status, body, _ = fetch("GET", url, {"User-Agent": "WeChat"}, None, DOWNLOAD_SECONDS, MOST_MEDIA_BYTES + 1)
    fetched = status == 200 and 0 < len(body) <= MOST_MEDIA_BYTES
    if not fetched or (kind == IMAGE and not body.startswith(MARKS)):
        result: dict[str, Any] = {"suggest": "pass", "label": 100}
        return {
            "appid": appid,
            "trace_id": trace,
            "version": 2,
            "errcode": -1008,
            "errmsg": "download",
            "result": result,
        }
    verdict = next((v for part, v in safety.verdicts.items() if part in url), ("pass", 100))
    result = {"suggest": verdict[0], "label": verdict[1]}
    detail = [{"strategy": "content_model", "errcode": 0, **result, "prob": 90}]
    told = {"appid": appid, "trace_id": trace, "version": 2, "errcode": 0, "errmsg": "ok"}
    return {**told, "result": result, "detail": detail}


def _trace() -> str:
    return f"{secrets.token_hex(4)}-{secrets.token_hex(4)}-{secrets.token_hex(4)}"
