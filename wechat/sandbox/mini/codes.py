"""Mini-program codes that can be scanned, and links that open the mini-program."""

from __future__ import annotations

import io
import re
import secrets
from dataclasses import dataclass, field
from typing import Any

import segno

from wechat.sandbox.mini.calls import MiniCall, MiniRefusal
from wechat.sandbox.wire import Answer

SCENE = re.compile(r"[0-9A-Za-z!#$&'()*+,/:;=?@\-._~]*")
QUERY = re.compile(r"[0-9A-Za-z!#$&'()*+,/:;=?@\-._~%]*")
PAGE = re.compile(r"[0-9A-Za-z_\-]+(/[0-9A-Za-z_\-]+)+")
VERSIONS = ("release", "trial", "develop")
SHORTEST_SECONDS, LONGEST_SECONDS = 60, 30 * 86400


@dataclass
class Codes:
    """``pages`` lists the pages of each version; a version that isn't listed has every well-formed page.
    ``released``: is there an online version at all."""

    pages: dict[str, tuple[str, ...]] = field(default_factory=dict)
    released: bool = True
    links: dict[str, dict[str, Any]] = field(default_factory=dict)
    drawn: list[str] = field(default_factory=list)


def unlimited(call: MiniCall) -> dict[str, Any] | Answer:
    """``POST /wxa/getwxacodeunlimit``: a PNG. What it says when scanned: ``wxlocal:APPID?env=…&page=…&scene=…``."""
    try:
        content = call.content()
    except MiniRefusal:
        raise MiniRefusal(40169) from None
    known = ("scene", "page", "check_path", "env_version", "width", "auto_color", "line_color", "is_hyaline")
    if "scancode_time" in content:
        raise MiniRefusal(85096)
    call.fields(content, *known)
    scene, page, version = content.get("scene"), content.get("page", ""), content.get("env_version", "release")
    if not isinstance(scene, str) or not 1 <= len(scene) <= 32:
        raise MiniRefusal(40169)
    if not SCENE.fullmatch(scene):
        raise MiniRefusal(40129)
    width = content.get("width", 430)
    if version not in VERSIONS or not isinstance(width, int) or not 280 <= width <= 1280:
        raise MiniRefusal(40097)
    checked = content.get("check_path", True)
    if page and (not PAGE.fullmatch(str(page)) or (checked and not _exists(call.mini.codes, page, "release"))):
        raise MiniRefusal(41030)
    return Answer(200, _png(call, f"env={version}&page={page}&scene={scene}", width), {"Content-Type": "image/png"})


def _png(call: MiniCall, what: str, width: int) -> bytes:
    says = f"wxlocal:{call.state.appid}?{what}"
    code, out = segno.make(says, error="m", micro=False), io.BytesIO()
    code.save(out, kind="png", scale=max(1, width // code.symbol_size()[0]), dark="#067a4c")
    call.mini.codes.drawn.append(says)
    return out.getvalue()


def url_link(call: MiniCall) -> dict[str, Any]:
    """``POST /wxa/generate_urllink``."""
    content = call.content()
    call.fields(
        content,
        "path",
        "query",
        "is_expire",
        "expire_type",
        "expire_time",
        "expire_interval",
        "env_version",
        "cloud_base",
    )
    made = _link(call, content, content, "https://wxaurl.local/")
    return {"errcode": 0, "errmsg": "ok", "url_link": made}


def scheme(call: MiniCall) -> dict[str, Any]:
    """``POST /wxa/generatescheme``."""
    content = call.content()
    call.fields(content, "jump_wxa", "is_expire", "expire_type", "expire_time", "expire_interval")
    jump = content.get("jump_wxa", {})
    if not isinstance(jump, dict):
        raise MiniRefusal(47001)
    call.fields(jump, "path", "query", "env_version")
    return {"errcode": 0, "errmsg": "ok", "openlink": _link(call, jump, content, "weixin://dl/business/?t=")}


def _link(call: MiniCall, target: dict[str, Any], life: dict[str, Any], prefix: str) -> str:
    codes, now = call.mini.codes, call.now
    path, query, version = target.get("path", ""), target.get("query", ""), target.get("env_version", "release")
    if not codes.released:
        raise MiniRefusal(85079)
    if not isinstance(path, str) or (
        path and not (PAGE.fullmatch(path.lstrip("/")) and _exists(codes, path, "release"))
    ):
        raise MiniRefusal(40165)
    if not isinstance(query, str) or len(query) > 1024 or not QUERY.fullmatch(query):
        raise MiniRefusal(40212)
    if version not in VERSIONS:
        raise MiniRefusal(85402)
    until = _until(life, now)
    made = prefix + secrets.token_urlsafe(8)
    kept = {"appid": call.state.appid, "path": path, "query": query, "env_version": version}
    codes.links[made] = {**kept, "create_time": int(now), "expire_time": int(until)}
    return made


def _until(life: dict[str, Any], now: float) -> float:
    kind = life.get("expire_type", 0)
    try:
        if kind == 1:
            until = now + 86400 * int(life.get("expire_interval", 30))
        else:
            until = float(life.get("expire_time", now + LONGEST_SECONDS))
    except (TypeError, ValueError):
        raise MiniRefusal(85401) from None
    if kind not in (0, 1) or not now + SHORTEST_SECONDS <= until <= now + LONGEST_SECONDS + 1:
        raise MiniRefusal(85401)
    return until


def query_link(call: MiniCall) -> dict[str, Any]:
    """``POST /wxa/query_urllink`` and ``/wxa/queryscheme``."""
    content = call.content()
    name, told = ("url_link", "url_link_info") if "urllink" in call.request.path else ("scheme", "scheme_info")
    found = call.mini.codes.links.get(str(content.get(name)))
    if found is None:
        raise MiniRefusal(85403)
    return {"errcode": 0, "errmsg": "ok", told: found}


def _exists(codes: Codes, page: str, version: str) -> bool:
    listed = codes.pages.get(version)
    return listed is None or page.lstrip("/") in listed
