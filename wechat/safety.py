"""Content safety: what people write or upload, before others can see it.

A text has its verdict at once; the writer must have been in the mini-program within two hours, so check when it is
submitted, never in a later batch. An image has it minutes later, by a pushed event. When WeChat cannot be asked,
content is pending, never passed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wechat.api import Api, Interface
from wechat.errors import WeChatUnavailable

TEXT = Interface("msg_sec_check", "POST", "/wxa/msg_sec_check", again=True)
MEDIA = Interface("media_check_async", "POST", "/wxa/media_check_async")
LONGEST_TEXT = 2500
PROFILE, COMMENT, FORUM, SOCIAL_LOG = 1, 2, 3, 4
AUDIO, IMAGE = 1, 2
PASS, REVIEW, RISKY = "pass", "review", "risky"
DOWNLOAD_FAILED = -1008
LABELS = {
    100: "normal",
    10001: "advertisement",
    20001: "politics",
    20002: "pornography",
    20003: "abuse",
    20006: "crime",
    20008: "fraud",
    20012: "vulgarity",
    20013: "copyright",
    21000: "other",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """``suggest``: pass (publish), risky (refuse) or review (a person looks). Keep ``trace_id`` with the object.

    A media verdict with ``errcode`` other than 0 says nothing: -1008 means that WeChat could not download it.
    """

    suggest: str
    label: int
    trace_id: str
    errcode: int = 0

    @property
    def label_name(self) -> str:
        return LABELS.get(self.label, "other")


def check_text(
    api: Api, *, content: str, openid: str, scene: int, nickname: str = "", title: str = "", signature: str = ""
) -> Verdict:
    """The verdict on up to 2,500 characters. ``signature`` (the user's motto) only with the profile's scene.

    Raises ValueError, NotHereLately (defer until the user is back), BadRequest (openid, scene), RateLimited,
    QuotaSpent, Busy: then it is pending.
    """
    if not content.strip() or len(content) > LONGEST_TEXT:
        raise ValueError(f"a text to check has 1 to {LONGEST_TEXT} characters")
    if scene not in (PROFILE, COMMENT, FORUM, SOCIAL_LOG) or (signature and scene != PROFILE):
        raise ValueError("a scene is 1 to 4; a signature belongs to scene 1")
    asked: dict[str, Any] = {"content": content, "version": 2, "scene": scene, "openid": openid}
    more = {"nickname": nickname, "title": title, "signature": signature}
    answer = api.call(TEXT, {**asked, **{name: value for name, value in more.items() if value}})
    found = _verdict(answer, errcode=0)
    if found is None:
        raise WeChatUnavailable(TEXT.name, "NoVerdict")
    return found


def check_media(api: Api, *, url: str, media_type: int, scene: int, openid: str) -> str:
    """Ask for a check of what WeChat downloads from ``url`` (reachable for half an hour, up to 10 MB); the trace id.

    Store the id before anything else: the verdict may be pushed before this call has returned. Raises AskedBefore,
    NotHereLately, BadRequest, RateLimited, QuotaSpent, Busy.
    """
    if media_type not in (AUDIO, IMAGE) or scene not in (PROFILE, COMMENT, FORUM, SOCIAL_LOG):
        raise ValueError("a media type is 1 or 2, a scene 1 to 4")
    asked = {"media_url": url, "media_type": media_type, "version": 2, "scene": scene, "openid": openid}
    trace_id = api.call(MEDIA, asked).get("trace_id")
    if not isinstance(trace_id, str) or not trace_id:
        raise WeChatUnavailable(MEDIA.name, "NoTraceId")
    return trace_id


def media_verdict(event: Mapping[str, Any], *, appid: str) -> Verdict | None:
    """The verdict of a ``wxa_media_check`` event, or None when it is not about us or cannot be read.

    The handler must stand a trace id that it does not know yet, and look again shortly.
    """
    errcode = _whole(event.get("errcode", 0))
    if event.get("appid", appid) != appid or errcode is None:
        return None
    if errcode != 0:
        trace_id = event.get("trace_id")
        return Verdict("", 0, trace_id, errcode) if isinstance(trace_id, str) and trace_id else None
    return _verdict(event, errcode=0)


def _verdict(said: Mapping[str, Any], *, errcode: int) -> Verdict | None:
    """A verdict only when it is whole and in words that we know: anything else must not pass for a pass."""
    result, trace_id = said.get("result"), said.get("trace_id")
    if not isinstance(result, dict) or not isinstance(trace_id, str) or not trace_id:
        return None
    label = _whole(result.get("label", 0))
    if result.get("suggest") not in (PASS, REVIEW, RISKY) or label is None:
        return None
    return Verdict(result["suggest"], label, trace_id, errcode)


def _whole(value: Any) -> int | None:
    """Numbers may come as text."""
    if type(value) is int:
        return value
    text = str(value) if isinstance(value, str) else ""
    return int(text) if text.lstrip("-").isascii() and text.lstrip("-").isdigit() else None
