"""``python -m wechat.sandbox``: run the local WeChat, make its keys, or act as one of its users from a terminal."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from wechat.sandbox import identity as identities
from wechat.sandbox.box import Sandbox, refuse_production
from wechat.sandbox.cli import act
from wechat.sandbox.identity import LOCAL_APPID, LOCAL_SECRET, Identity, NotLocal
from wechat.sandbox.keeping import keep, recall

STATE = Path("var") / "wechat"
KEEP_SECONDS = 10.0
MORE = ("SECRET", "PUSH_TOKEN", "PUSH_AES_KEY")
SAYS = "python -m wechat.sandbox"


def main(words: list[str]) -> int:
    """0 when done or after a signal, 2 when it must not start here."""
    try:
        if words and words[0] == "init":
            return init(words[1:])
        if words and not words[0].startswith("-"):
            return act(words)
        return serve(words)
    except NotLocal as refusal:
        sys.stderr.write(f"wechat.sandbox: {refusal}\n")
        return 2


def init(words: list[str]) -> int:
    """Make the keys of both sides in a folder, and the settings that the application needs. Keys that fit stay."""
    parser = argparse.ArgumentParser(prog=f"{SAYS} init", description="Make the keys and the application's settings.")
    parser.add_argument("--state", type=Path, default=STATE, help="the folder for keys and settings")
    parser.add_argument("--again", action="store_true", help="make new keys although there are some")
    options = parser.parse_args(words)
    refuse_production()
    identities.check_names(*_names())
    folder: Path = options.state
    if not options.again and _fits(folder):
        return 0
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    identity, application = identities.create(*_names())
    settings = application.environ(folder / "application")
    text = "".join(f"{name}={value}\n" for name, value in settings.items())
    (folder / "application.env").touch(mode=0o600)
    (folder / "application.env").write_text(text)
    identities.save(identity, folder / "identity.json")
    return 0


def _fits(folder: Path) -> bool:
    """Are there keys, for this mini-program, with settings that name files where they lie now?"""
    try:
        identity = identities.load(folder / "identity.json")
        settings = (folder / "application.env").read_text()
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return (identity.appid, identity.secret) == _names() and str((folder / "application").resolve()) in settings


def serve(words: list[str]) -> int:
    """Listen until a signal."""
    parser = argparse.ArgumentParser(prog=SAYS, description="A local WeChat, on loopback only.")
    parser.add_argument("--port", type=int, default=9101, help="the mini-program's interfaces and the page")
    parser.add_argument("--pay-port", type=int, default=0, help="WeChat Pay (0: any free one)")
    parser.add_argument("--backup-port", type=int, default=0, help="WeChat Pay's second address")
    parser.add_argument("--state", type=Path, default=STATE, help="the folder for keys and settings")
    parser.add_argument("--push-url", default="", help="where pushes go; {appid} stands for the app id")
    options = parser.parse_args(words)
    refuse_production()
    identities.check_names(*_names())
    identity = _identity(options.state)
    box = Sandbox(identity, api_port=options.port, pay_port=options.pay_port, backup_port=options.backup_port)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    for appid in filter(None, (name.strip() for name in os.environ.get("WECHAT_MORE_APPS", "").split(","))):
        box.add_app(appid, *(os.environ.get(f"WECHAT_{what}_{appid}", "") for what in MORE))
    for appid, mini in box.apps.items():
        mini.push.url = options.push_url.replace("{appid}", appid)
    kept = options.state / "book.json"
    recall(box, kept)
    with box:
        sys.stderr.write(f"local WeChat on {box.api_base}, WeChat Pay on {box.pay_base} and {box.backup_base}\n")
        written = 0
        while not ended.wait(KEEP_SECONDS):
            if box.journal.count != written:
                written = box.journal.count
                keep(box, kept)
    keep(box, kept)
    return 0


def _identity(folder: Path) -> Identity:
    """What this WeChat knows. Keys are made by another process: the merchant's private one never gets in here."""
    subprocess.run([sys.executable, "-m", "wechat.sandbox", "init", "--state", str(folder)], check=True)
    return identities.load(folder / "identity.json")


def _names() -> tuple[str, str]:
    return os.environ.get("WECHAT_APPID", LOCAL_APPID), os.environ.get("WECHAT_SECRET", LOCAL_SECRET)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
