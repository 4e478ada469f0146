"""Settings: typed and complete, or no start. All problems are named at once.

Outside production, what the environment does not set is read from ``var/env``, which ``dev.py`` writes when it starts
the embedded servers; so ``flask …`` in a second terminal talks to the same PostgreSQL and Redis.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = ("development", "test", "production")
_WEAK_SECRET = "development-secret-not-for-production"  # noqa: S105 - refused in production below


class SettingsError(Exception):
    """The settings are incomplete or wrong; the message names each of them."""


@dataclass(frozen=True, slots=True)
class PaySettings:
    """The merchant at WeChat Pay: who we are there, and the two keys. Without them cash orders are refused plainly."""

    mchid: str
    serial: str
    private_key_file: str
    apiv3_key: str = field(repr=False)
    public_key_id: str
    public_key_file: str
    base: str
    backup: str
    notify_base: str


@dataclass(frozen=True, slots=True)
class AppSettings:
    """One mini-program. ``templates``: our name of a subscribe message → WeChat's template id."""

    appid: str
    secret: str = field(repr=False)
    push_token: str = field(default="", repr=False)
    push_aes_key: str = field(default="", repr=False)
    templates: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that differs between two installations."""

    environment: str
    database_url: str
    redis_url: str
    secret: str
    wechat_appid: str
    wechat_secret: str
    wechat_api_base: str
    public_base_url: str
    trusted_proxies: int
    database_pool: int
    session_days: int
    pay: PaySettings | None = None
    apps: tuple[AppSettings, ...] = ()
    wechat_version: str = "release"
    media_folder: Path = ROOT / "var" / "media"
    bills_folder: Path = ROOT / "var" / "bills"
    seal_secret: str = field(default="", repr=False)
    old_seal_secrets: tuple[str, ...] = field(default=(), repr=False)
    old_secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def production(self) -> bool:
        return self.environment == "production"


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings. Raises SettingsError with every problem in one message."""
    source = dict(os.environ if environ is None else environ)
    if source.get("DIANDI_ENV", "development") != "production" and environ is None:
        source = {**_file_settings(ROOT / "var" / "env"), **source}
    problems: list[str] = []
    settings = _read(source, problems)
    _check(settings, problems)
    if problems:
        raise SettingsError("settings: " + "; ".join(problems))
    return settings


def _read(source: Mapping[str, str], problems: list[str]) -> Settings:
    def number(name: str, default: int) -> int:
        try:
            return int(source.get(name, default))
        except ValueError:
            problems.append(f"{name} is no whole number")
            return default

    return Settings(
        environment=source.get("DIANDI_ENV", "development"),
        database_url=_driver(source.get("DATABASE_URL", "")),
        redis_url=source.get("REDIS_URL", ""),
        secret=source.get("DIANDI_SECRET", _WEAK_SECRET),
        wechat_appid=source.get("WECHAT_APPID", "wxlocal000000000001"),
        wechat_secret=source.get("WECHAT_SECRET", "local-wechat-secret"),
        wechat_api_base=source.get("WECHAT_API_BASE", "https://api.weixin.qq.com").rstrip("/"),
        public_base_url=source.get("PUBLIC_BASE_URL", "http://127.0.0.1:8000").rstrip("/"),
        trusted_proxies=number("TRUSTED_PROXIES", 0),
        database_pool=number("DATABASE_POOL", 12),
        session_days=number("SESSION_DAYS", 30),
        pay=_read_pay(source),
        apps=_read_apps(source),
        wechat_version=source.get("WECHAT_ENV_VERSION", "release"),
        seal_secret=source.get("DIANDI_SEAL_SECRET", ""),
        old_seal_secrets=_words(source.get("DIANDI_OLD_SEAL_SECRETS", "")),
        old_secrets=_words(source.get("DIANDI_OLD_SECRETS", "")),
        media_folder=Path(source.get("MEDIA_FOLDER", "") or ROOT / "var" / "media"),
        bills_folder=Path(source.get("BILLS_FOLDER", "") or ROOT / "var" / "bills"),
    )


def _read_apps(source: Mapping[str, str]) -> tuple[AppSettings, ...]:
    """The mini-programs, the main one first. Further ones are named, and their secrets carry the app id."""
    main = AppSettings(
        appid=source.get("WECHAT_APPID", "wxlocal000000000001"),
        secret=source.get("WECHAT_SECRET", "local-wechat-secret"),
        push_token=source.get("WECHAT_PUSH_TOKEN", ""),
        push_aes_key=source.get("WECHAT_PUSH_AES_KEY", ""),
        templates=_pairs(source.get("WECHAT_TEMPLATES", "")),
    )
    further = [name.strip() for name in source.get("WECHAT_MORE_APPS", "").split(",") if name.strip()]
    return (main, *(_further(source, appid) for appid in further))


def _further(source: Mapping[str, str], appid: str) -> AppSettings:
    return AppSettings(
        appid=appid,
        secret=source.get(f"WECHAT_SECRET_{appid}", ""),
        push_token=source.get(f"WECHAT_PUSH_TOKEN_{appid}", ""),
        push_aes_key=source.get(f"WECHAT_PUSH_AES_KEY_{appid}", ""),
        templates=_pairs(source.get(f"WECHAT_TEMPLATES_{appid}", "")),
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.split(",") if word)


def _pairs(text: str) -> dict[str, str]:
    """``name=id,name=id``."""
    found = (pair.partition("=") for pair in text.split(",") if "=" in pair)
    return {name.strip(): value.strip() for name, _, value in found}


def _read_pay(source: Mapping[str, str]) -> PaySettings | None:
    """The merchant, when one is named."""
    if not source.get("WECHAT_PAY_MCHID", ""):
        return None
    return PaySettings(
        mchid=source.get("WECHAT_PAY_MCHID", ""),
        serial=source.get("WECHAT_PAY_SERIAL", ""),
        private_key_file=source.get("WECHAT_PAY_PRIVATE_KEY_FILE", ""),
        apiv3_key=source.get("WECHAT_PAY_APIV3_KEY", ""),
        public_key_id=source.get("WECHAT_PAY_PUBLIC_KEY_ID", ""),
        public_key_file=source.get("WECHAT_PAY_PUBLIC_KEY_FILE", ""),
        base=source.get("WECHAT_PAY_BASE", "https://api.mch.weixin.qq.com").rstrip("/"),
        backup=source.get("WECHAT_PAY_BACKUP", "").rstrip("/"),
        notify_base=source.get("WECHAT_PAY_NOTIFY_BASE", source.get("PUBLIC_BASE_URL", "")).rstrip("/"),
    )


def _check(settings: Settings, problems: list[str]) -> None:
    if settings.environment not in ENVIRONMENTS:
        problems.append(f"DIANDI_ENV must be one of {', '.join(ENVIRONMENTS)}")
    if not settings.database_url:
        problems.append("DATABASE_URL is missing (start with `python3 dev.py run`, or set it)")
    elif not settings.database_url.startswith("postgresql+psycopg://"):
        problems.append("DATABASE_URL must be a postgresql:// address")
    if not settings.redis_url:
        problems.append("REDIS_URL is missing (start with `python3 dev.py run`, or set it)")
    if settings.seal_secret and len(settings.seal_secret) < 32:
        problems.append("DIANDI_SEAL_SECRET must have at least 32 random characters")
    if settings.secret in settings.old_secrets:
        problems.append("DIANDI_OLD_SECRETS names the present DIANDI_SECRET")
    if settings.production:
        if settings.secret == _WEAK_SECRET or len(settings.secret) < 32:
            problems.append("DIANDI_SECRET must be set to at least 32 random characters")
        if settings.wechat_appid.startswith("wxlocal") or "127.0.0.1" in settings.wechat_api_base:
            problems.append("WECHAT_APPID, WECHAT_SECRET, WECHAT_API_BASE must name the real WeChat")
    _check_apps(settings, problems)
    if settings.pay is not None:
        _check_pay(settings.pay, settings.production, problems)


def _check_apps(settings: Settings, problems: list[str]) -> None:
    """Each mini-program is whole, and push keys come in pairs."""
    if settings.wechat_version not in ("release", "trial", "develop"):
        problems.append("WECHAT_ENV_VERSION must be one of release, trial, develop")
    if len({app.appid for app in settings.apps}) != len(settings.apps):
        problems.append("WECHAT_MORE_APPS names an app id twice")
    for number, app in enumerate(settings.apps):
        end = f"_{app.appid}" if number else ""
        if not app.secret:
            problems.append(f"WECHAT_SECRET{end} is missing")
        if bool(app.push_token) != bool(app.push_aes_key):
            problems.append(f"WECHAT_PUSH_TOKEN{end} and WECHAT_PUSH_AES_KEY{end} belong together")
        if app.push_aes_key and len(app.push_aes_key) != 43:
            problems.append(f"WECHAT_PUSH_AES_KEY{end} must have 43 characters")


def _check_pay(pay: PaySettings, production: bool, problems: list[str]) -> None:
    """Who names a merchant names all of it: half a till is none. Certificates alone need no public key."""
    for name, value in (
        ("WECHAT_PAY_SERIAL", pay.serial),
        ("WECHAT_PAY_PUBLIC_KEY_ID", pay.public_key_id),
        ("WECHAT_PAY_NOTIFY_BASE", pay.notify_base),
    ):
        if not value:
            problems.append(f"{name} is missing: WECHAT_PAY_MCHID names a merchant")
    for name, path in (
        ("WECHAT_PAY_PRIVATE_KEY_FILE", pay.private_key_file),
        ("WECHAT_PAY_PUBLIC_KEY_FILE", pay.public_key_file),
    ):
        if not Path(path).is_file():
            problems.append(f"{name} names no file")
    if len(pay.apiv3_key.encode()) != 32:
        problems.append("WECHAT_PAY_APIV3_KEY must be 32 bytes")
    if production:
        if any(_local(url) for url in (pay.base, pay.backup, pay.notify_base)):
            problems.append(
                "WECHAT_PAY_BASE, WECHAT_PAY_BACKUP, WECHAT_PAY_NOTIFY_BASE must not be local in production"
            )
        if not pay.notify_base.startswith("https://") or "?" in pay.notify_base:
            problems.append("WECHAT_PAY_NOTIFY_BASE must be a public https address without a query")


def _local(url: str) -> bool:
    return "127.0.0.1" in url or "localhost" in url


def _driver(url: str) -> str:
    for prefix in ("postgresql://", "postgres://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url.removeprefix(prefix)
    return url


def _file_settings(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    pairs = (line.partition("=") for line in path.read_text().splitlines() if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip() for key, _, value in pairs}
