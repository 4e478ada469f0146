"""Our mini-programs as WeChat's clients, built once at the start from the settings: for web and worker alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flask import Flask, current_app

from app import cache
from app.config import AppSettings, Settings
from wechat.api import Api
from wechat.login import Login
from wechat.push import Push

EXTENSION = "courier"
MESSAGE_STATES = {"release": "formal", "trial": "trial", "develop": "developer"}


@dataclass(frozen=True, slots=True)
class App:
    """One mini-program. Secrets stay inside the clients; ``push`` is None where WeChat pushes nothing."""

    appid: str
    login: Login = field(repr=False)
    api: Api = field(repr=False)
    push: Push | None = field(repr=False)
    templates: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Apps:
    """All of them, the main one first. ``version``: which version codes, links and messages lead to."""

    every: tuple[App, ...]
    version: str
    public_base: str

    @property
    def main(self) -> App:
        return self.every[0]

    @property
    def message_state(self) -> str:
        return MESSAGE_STATES[self.version]

    def find(self, appid: str | None) -> App | None:
        """The one of this app id; the main one for None."""
        if appid is None:
            return self.main
        return next((one for one in self.every if one.appid == appid), None)


def make(settings: Settings) -> Apps:
    """The clients of these settings. Raises ValueError for an EncodingAESKey that is none."""
    return Apps(
        tuple(_client(one, settings) for one in settings.apps), settings.wechat_version, settings.public_base_url
    )


def _client(one: AppSettings, settings: Settings) -> App:
    base = settings.wechat_api_base
    push = None
    if one.push_token:
        # In plain mode nothing protects what is pushed: for development alone.
        push = Push(token=one.push_token, aes_key=one.push_aes_key, appid=one.appid, plain=not settings.production)
    return App(
        appid=one.appid,
        login=Login(appid=one.appid, secret=one.secret, base=base),
        api=Api(appid=one.appid, secret=one.secret, base=base, store=cache.client()),
        push=push,
        templates=one.templates,
    )


def register(app: Flask, settings: Settings) -> None:
    """Put the clients on the application."""
    app.extensions[EXTENSION] = make(settings)


def apps() -> Apps:
    """This application's mini-programs."""
    found: Apps = current_app.extensions[EXTENSION]
    return found


def find(appid: str | None) -> App | None:
    """One of this application's mini-programs; the main one for None."""
    return apps().find(appid)
