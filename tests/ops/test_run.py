"""`dev.py run` as a person uses it: starts, is killed, starts again, two side by side, ends without a trace."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from devkit import ROOT
from devkit.servers import socket_folder

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("run")]
START_SECONDS = 90.0


@dataclass
class Run:
    """One `dev.py run`, inside `.venv` already, in a copy of the checkout."""

    folder: Path
    process: subprocess.Popen[str] | None = None

    def start(self) -> float:
        """Seconds until the addresses are printed."""
        began = time.monotonic()
        environ = {
            key: value
            for key, value in os.environ.items()
            if key not in ("PYTHONPATH", "DATABASE_URL", "REDIS_URL", "DIANDI_ENV")
        }
        command = [sys.executable, "-m", "devkit", "run"]
        with open(self.folder / "run.out", "w") as out:
            self.process = subprocess.Popen(command, cwd=self.folder, env=environ, stdout=out, stderr=out, text=True)
        while "Ctrl-C ends it" not in self.said():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() - began < START_SECONDS, self.said()
            time.sleep(0.05)
        return time.monotonic() - began

    def said(self) -> str:
        return (self.folder / "run.out").read_text()

    def address(self) -> str:
        found = re.search(r"http://127\.0\.0\.1:\d+(?=/readyz)", self.said())
        assert found is not None
        return found[0]

    def get(self, path: str) -> dict[str, object]:
        with urllib.request.urlopen(self.address() + path, timeout=10) as answer:
            return json.load(answer)

    def end(self, sign: signal.Signals = signal.SIGINT) -> int:
        assert self.process is not None
        self.process.send_signal(sign)
        return self.process.wait(60)

    def family(self) -> list[psutil.Process]:
        """Every living process that works in this copy: the product's and the servers'."""
        found = []
        for process in psutil.process_iter():
            try:
                if Path(process.cwd()).is_relative_to(self.folder) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def names(self) -> str:
        found = []
        for process in self.family():
            with suppress(psutil.Error):
                found.append(process.name())
        return " ".join(found)

    def kill(self) -> None:
        for process in self.family():
            with suppress(psutil.Error):
                process.kill()

    def sweep(self) -> None:
        """After a test that failed half-way: no process and no socket stays behind."""
        self.kill()
        self.settled()
        shutil.rmtree(socket_folder(f"{self.folder}/demo"), ignore_errors=True)

    def settled(self, seconds: float = 10.0) -> list[psutil.Process]:
        """What is left after a while."""
        deadline = time.monotonic() + seconds
        while (left := self.family()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return left


def copy(folder: Path) -> Run:
    names = subprocess.run(
        ["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    for name in filter(None, names.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return Run(folder)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    made = copy(tmp_path / "checkout")
    yield made
    made.sweep()


def test_starts_ends_without_a_trace_and_starts_again_in_seconds(run: Run) -> None:
    run.start()
    assert run.get("/readyz")["status"] == "ready"
    assert (run.folder / "var" / "env").stat().st_mode & 0o077 == 0
    second = subprocess.run([sys.executable, "-m", "devkit", "run"], cwd=run.folder, capture_output=True, text=True)
    assert second.returncode == 1 and f"running already: {run.address()}" in second.stderr
    began = time.monotonic()
    assert run.end() == 0
    assert time.monotonic() - began < 15
    assert run.settled(0) == []
    left = {path.name for path in (run.folder / "var" / "demo").iterdir()}
    assert not left & {"children.json", "valkey.pid"} and not (run.folder / "var" / "env").exists()
    assert run.start() < 30
    assert run.end(signal.SIGTERM) == 0
    assert run.settled(0) == []


def test_a_killed_run_takes_its_children_along_and_starts_again(run: Run) -> None:
    run.start()
    assert run.process is not None
    run.end(signal.SIGKILL)
    deadline = time.monotonic() + 40
    while "python" in run.names() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "python" not in run.names()
    run.start()
    run.kill()  # and now everything at once, servers too
    run.process.wait()
    run.settled()
    run.start()
    assert run.get("/readyz")["status"] == "ready"
    assert run.end() == 0
    assert run.settled(0) == []


def test_a_killed_child_is_started_again(run: Run) -> None:
    run.start()
    recorded = json.loads((run.folder / "var" / "demo" / "children.json").read_text())
    (web,) = [entry["pid"] for entry in recorded if entry["name"] == "web"]
    psutil.Process(web).kill()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        time.sleep(0.2)
        try:
            if "starting it again" in run.said() and run.get("/healthz") == {"status": "ok"}:
                break
        except OSError:
            continue
    assert "web ended (-9); starting it again" in run.said()
    assert run.end() == 0
    assert run.settled(0) == []


def test_two_checkouts_run_side_by_side_one_under_a_long_path(run: Run, tmp_path: Path) -> None:
    other = copy(tmp_path / "/".join(["long-folder-name"] * 14) / "checkout")
    try:
        run.start()
        other.start()
        assert run.address() != other.address()
        assert run.get("/readyz")["status"] == other.get("/readyz")["status"] == "ready"
        assert run.end() == 0
        assert other.get("/readyz")["status"] == "ready"
        assert other.end() == 0
        assert run.settled(0) == other.settled(0) == []
    finally:
        other.sweep()


def test_reset_forgets_the_demo_but_not_under_a_running_one(run: Run) -> None:
    def reset() -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "devkit", "reset"], cwd=run.folder, capture_output=True, text=True)

    run.start()
    assert reset().returncode == 1
    assert run.get("/healthz") == {"status": "ok"}
    run.end()
    assert reset().returncode == 0
    assert not (run.folder / "var" / "demo").exists()
