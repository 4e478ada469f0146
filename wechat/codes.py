"""Ways into the mini-program: codes to scan, links for messages and web pages. Checked here before WeChat refuses them.

WeChat's codes never expire: put nothing but an opaque token of ours into a scene, and let that expire. Keep the image
of a (page, scene, version, width); making the same again costs quota.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from wechat.api import Api, Interface
from wechat.errors import Banned, WeChatUnavailable

UNLIMITED = Interface("getwxacodeunlimit", "POST", "/wxa/getwxacodeunlimit", again=True)
# For links these two are about our rights.
_LINK_KINDS = {40002: Banned, 40013: Banned}
LINK = Interface("generate_urllink", "POST", "/wxa/generate_urllink", again=True, kinds=_LINK_KINDS)
SCHEME = Interface("generatescheme", "POST", "/wxa/generatescheme", again=True, kinds=_LINK_KINDS)
LINK_QUERY = Interface("query_urllink", "POST", "/wxa/query_urllink", again=True)
SCHEME_QUERY = Interface("queryscheme", "POST", "/wxa/queryscheme", again=True)
VERSIONS = ("release", "trial", "develop")
_ALPHABET = r"0-9a-zA-Z!#$&'()*+,/:;=?@\-._~"
_SCENE = re.compile(rf"[{_ALPHABET}]{{1,32}}", re.ASCII)
_QUERY = re.compile(rf"[{_ALPHABET}%]{{0,1024}}", re.ASCII)
_PAGE = re.compile(r"(?!/)[0-9a-zA-Z/_\-]{0,128}", re.ASCII)
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=30)


def unlimited_code(
    api: Api, *, scene: str, page: str = "", version: str = "release", width: int = 430, check_path: bool = True
) -> bytes:
    """The image of a code. ``check_path``: the page must be in the released version; False while there is none.

    Raises ValueError for what WeChat would refuse, BadRequest (41030: no such page), RateLimited, QuotaSpent, Busy.
    """
    if not _SCENE.fullmatch(scene):
        raise ValueError("a scene has 1 to 32 of WeChat's characters")
    if not 280 <= width <= 1280:
        raise ValueError("a width is 280 to 1280 pixels")
    content: dict[str, Any] = {
        "scene": scene,
        "check_path": check_path,
        "env_version": _version(version),
        "width": width,
    }
    if page:
        content["page"] = _page(page)
    return api.call_for_bytes(UNLIMITED, content)


def url_link(api: Api, *, page: str, query: str, expires_at: datetime, at: datetime, version: str = "release") -> str:
    """A https link into the mini-program, for SMS, e-mail and web pages, until ``expires_at``: 1 minute to 30 days.

    Raises ValueError, BadRequest, Banned (no right to make links), QuotaSpent, RateLimited, Busy.
    """
    content = {
        "path": _page(page),
        "query": _query(query),
        "env_version": _version(version),
        "expire_type": 0,
        "expire_time": _expiry(expires_at, at),
    }
    return _text(LINK.name, api.call(LINK, content).get("url_link"))


def url_scheme(api: Api, *, page: str, query: str, expires_at: datetime, at: datetime, version: str = "release") -> str:
    """A ``weixin://`` address, as :func:`url_link`."""
    content = {
        "jump_wxa": {"path": _page(page), "query": _query(query), "env_version": _version(version)},
        "is_expire": True,
        "expire_type": 0,
        "expire_time": _expiry(expires_at, at),
    }
    return _text(SCHEME.name, api.call(SCHEME, content).get("openlink"))


@dataclass(frozen=True, slots=True)
class Link:
    """A link or scheme as WeChat knows it: where it leads, and until when (None: for ever)."""

    appid: str
    page: str
    query: str
    version: str
    made_at: datetime | None
    expires_at: datetime | None


def link_known(api: Api, link: str) -> Link:
    """What became of a link or a ``weixin://`` address. Raises BadRequest (85403: WeChat knows no such link), Busy."""
    scheme = link.startswith("weixin://")
    asked, name, told = (SCHEME_QUERY, "scheme", "scheme_info") if scheme else (LINK_QUERY, "url_link", "url_link_info")
    found = api.call(asked, {name: link}).get(told)
    if not isinstance(found, dict):
        raise WeChatUnavailable(asked.name, "NoLink")
    text = {key: str(found.get(key) or "") for key in ("appid", "path", "query", "env_version")}
    made, until = _moment(found.get("create_time")), _moment(found.get("expire_time"))
    return Link(text["appid"], text["path"], text["query"], text["env_version"] or "release", made, until)


def _moment(value: Any) -> datetime | None:
    """Seconds since 1970; 0 stands for none."""
    return datetime.fromtimestamp(value, UTC) if type(value) is int and 0 < value < 2**33 else None


def _page(page: str) -> str:
    if not _PAGE.fullmatch(page):
        raise ValueError("a page has no leading slash and no query")
    return page


def _query(query: str) -> str:
    if not _QUERY.fullmatch(query):
        raise ValueError("a query has up to 1024 of WeChat's characters")
    return query


def _version(version: str) -> str:
    if version not in VERSIONS:
        raise ValueError(f"a version is one of {', '.join(VERSIONS)}")
    return version


def _expiry(expires_at: datetime, at: datetime) -> int:
    if not SHORTEST <= expires_at - at <= LONGEST:
        raise ValueError("a link lives 1 minute to 30 days")
    return int(expires_at.timestamp())


def _text(what: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise WeChatUnavailable(what, "NoLink")
    return value
