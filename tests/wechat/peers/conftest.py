"""The peer: one node process that runs wechatpay-axios-plugin, from a locked install outside the repository's files."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devkit import VAR
from tests.payments.conftest import box, shop
from tests.wechat.sandboxes import keys
from wechat.sandbox.box import Sandbox

HERE = Path(__file__).parent
INSTALL_SECONDS, ANSWER_SECONDS = 120, 20
__all__ = ["box", "shop"]


class Peer:
    """Asks the node process, one command at a time."""

    def __init__(self, folder: Path) -> None:
        script = folder / f"peer-{os.getpid()}.js"
        shutil.copyfile(HERE / "peer.js", script)  # beside its node_modules
        self.script = script
        self.process = subprocess.Popen(
            ["node", str(script)], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, command: str, **given: Any) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps({"command": command, **given}) + "\n")
        self.process.stdin.flush()
        watch = threading.Timer(ANSWER_SECONDS, self.process.kill)
        watch.start()
        line = self.process.stdout.readline()
        watch.cancel()
        said: dict[str, Any] = json.loads(line) if line else {"crashed": "the peer is silent"}
        assert "crashed" not in said, said["crashed"]
        return said

    def open(self, box: Sandbox, **certs: str) -> None:
        """Point the plug-in's client at this WeChat, as the merchant."""
        given = keys()[1]
        self.ask(
            "open",
            base=box.pay_base + "/",
            mchid=given.mchid,
            serial=given.serial,
            privateKey=given.private_key_pem,
            certs=certs or {given.public_key_id: given.public_key_pem},
        )

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> dict[str, Any]:
        return self.ask("call", method=method, path=path, body=body, **more)


def installed() -> Path:
    """The plug-in's folder under var/, made by `npm ci` from the committed lock. Skips visibly without Node."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("no Node here: the stranger's client of WeChat Pay is not asked")
    lock = (HERE / "package-lock.json").read_bytes()
    folder = VAR / "peers" / hashlib.sha256(lock).hexdigest()[:16]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # the other process of the test run installs into the same folder
        _install(folder)
    return folder


def _install(folder: Path) -> None:
    if (folder / "complete").is_file():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(HERE / name, folder / name)
    npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(npm, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    if done.returncode != 0:
        pytest.skip(f"npm cannot install the stranger's client here: {done.stderr.strip()[-200:]}")
    (folder / "complete").touch()


@pytest.fixture(scope="session")
def node() -> Iterator[Peer]:
    peer = Peer(installed())
    yield peer
    peer.process.kill()
    peer.process.wait(10)
    peer.script.unlink()


@pytest.fixture
def peer(node: Peer, box: Sandbox) -> Peer:
    node.open(box)
    return node
