"""Codes to scan and links into the mini-program of a program."""

from __future__ import annotations

from datetime import datetime

from app import scenes
from app.clock import now
from app.db import forbid_in_transaction, transaction
from courier.clients import App, apps
from wechat import codes as wechat


def code_image(app: App, *, page: str, scene: str, width: int = 430) -> bytes:
    """The image of a code; the same again is not made again. Raises ValueError, WeChatError."""
    forbid_in_transaction("a code")
    version = apps().version
    key = scenes.image_key(appid=app.appid, page=page, scene=scene, version=version, width=width)
    with transaction():
        kept = scenes.kept_image(key)
    if kept is not None:
        return kept
    # While the page is not in the released version, WeChat must not look for it there.
    image = wechat.unlimited_code(
        app.api, scene=scene, page=page, version=version, width=width, check_path=version == "release"
    )
    with transaction():
        scenes.keep_image(key=key, image=image, at=now())
    return image


def link(app: App, *, page: str, scene: str, expires_at: datetime) -> str:
    """A https link for SMS, e-mail and web pages, for at most 30 days. Raises ValueError, WeChatError."""
    forbid_in_transaction("a link")
    return wechat.url_link(
        app.api, page=page, query=f"scene={scene}", expires_at=expires_at, at=now(), version=apps().version
    )


def known(app: App, link: str) -> wechat.Link:
    """Where a link leads by WeChat's own word, and until when. Raises WeChatError."""
    forbid_in_transaction("a link")
    return wechat.link_known(app.api, link)
