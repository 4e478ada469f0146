"""Keeps the product's processes alive and ends them, each by its own process id."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import psutil

from devkit import ROOT, privileges
from devkit.servers import end, gone, tail

GRACE_SECONDS = 28.0
RESTARTS, RESTART_WINDOW_SECONDS = 5, 60.0
LOG_BYTES = 20_000_000


class ChildFailed(Exception):
    """A process ended again and again; the message shows the end of its log."""


@dataclass
class Child:
    """One process of the product and where it writes."""

    name: str
    command: list[str]
    environ: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    ends: deque[float] = field(default_factory=lambda: deque(maxlen=RESTARTS))

    def start(self) -> None:
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".old.log"))
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env={**os.environ, **self.environ},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,  # Ctrl-C is for us; we pass it on in order
                preexec_fn=privileges.before_child(end_with_parent=signal.SIGTERM),
            )


class Supervisor:
    """Starts children, restarts those that die, ends all on a signal.

    `record` is a file that names them, for the next run in case this one is killed with -9.
    """

    def __init__(self, record: Path) -> None:
        self.record = record
        self.children: list[Child] = []
        self.stopping: signal.Signals | None = None

    def listen(self) -> None:
        """From now on SIGINT, SIGTERM and SIGHUP end the run in order."""
        for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(sign, self._on_signal)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        first = self.stopping is None
        self.stopping = signal.Signals(number)
        if first:
            raise KeyboardInterrupt  # out of whatever is waiting; `stop()` follows in a finally

    def start(self, child: Child) -> None:
        child.start()
        self.children.append(child)
        self._write_record()

    def watch(self) -> None:
        """Return never but by a signal. Raises ChildFailed when a child can't be kept alive."""
        while True:
            time.sleep(0.25)
            self.check()

    def check(self) -> None:
        """Restart whoever has ended."""
        for child in self.children:
            if child.process is None or child.process.poll() is None:
                continue
            now = time.monotonic()
            child.ends.append(now)
            if len(child.ends) == RESTARTS and now - child.ends[0] < RESTART_WINDOW_SECONDS:
                raise ChildFailed(f"{child.name} ended {RESTARTS} times; the end of {child.log}:\n{tail(child.log)}")
            print(f"{child.name} ended ({child.process.returncode}); starting it again", file=sys.stderr, flush=True)
            time.sleep(min(0.2 * len(child.ends), 1.0))
            child.start()
            self._write_record()

    def stop(self) -> None:
        """End all children, the last started first, and wait. Nothing of them is left when this returns."""
        self.stopping = self.stopping or signal.SIGTERM  # a signal from here on changes nothing
        for child in reversed(self.children):
            if child.process is not None and child.process.poll() is None:
                child.process.terminate()
        deadline = time.monotonic() + GRACE_SECONDS
        for child in reversed(self.children):
            if child.process is None:
                continue
            with suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0.1, deadline - time.monotonic()))
            _end_group(child.process.pid)
            child.process.wait()
        self.record.unlink(missing_ok=True)

    def end_leftovers(self) -> None:
        """End what a run left behind that was killed with -9: the recorded ids, if still the same processes."""
        try:
            recorded = json.loads(self.record.read_text())
        except (OSError, ValueError):
            return
        for entry in recorded:
            with suppress(psutil.Error):
                process = psutil.Process(entry["pid"])
                if abs(process.create_time() - entry["created"]) < 1:
                    family = process.children(recursive=True)
                    end(process, signal.SIGTERM, signal.SIGKILL)
                    for one in family:
                        if not gone(one):
                            end(one, signal.SIGTERM, signal.SIGKILL)
        self.record.unlink(missing_ok=True)

    def _write_record(self) -> None:
        entries = []
        for child in self.children:
            if child.process is not None:
                with suppress(psutil.Error):
                    created = psutil.Process(child.process.pid).create_time()
                    entries.append({"name": child.name, "pid": child.process.pid, "created": created})
        draft = self.record.with_suffix(".new")
        draft.write_text(json.dumps(entries))
        draft.replace(self.record)


def _end_group(leader: int) -> None:
    """End what a child started and left. The group's id is the child's id, as it leads a session of its own."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
