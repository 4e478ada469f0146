"""kill -9 of a web process, of the worker and of PostgreSQL while people use the product.

Only processes that this run has started are ended, each by its own id. `kill -9` is not a power cut: it tests recovery
and what was acknowledged; DUR-1 looks at the settings that a power cut needs.

Seen red with `synchronous_commit=off` planted in the embedded server's settings: 8 of 1,056 acknowledged answers were
lost in two kills of PostgreSQL, DUR-1 was broken, and /readyz refused to start the load at all.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import psutil
import psycopg

from devkit import VAR
from devkit.commands import FLASK
from devkit.ports import HOST, reserve
from devkit.proof.client import CLIENTS, Journal, Person, resolve
from devkit.servers import Servers, ServersError, gone, tail
from devkit.supervisor import Child

HOME = VAR / "proof"
TARGETS = ("web", "worker", "postgres")
BETWEEN_SECONDS = (1.5, 4.0)
READY_SECONDS = 60.0


@dataclass
class Outcome:
    """What a run of kills showed."""

    kills: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    settled: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    ghosts: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def fine(self) -> bool:
        return not (self.lost or self.doubled or self.ghosts or self.settled["still unknown"])


def under_load(servers: Servers, environ: dict[str, str], *, seconds: float, seed: int) -> Outcome:
    """Load and kill for some seconds, then ask what became of everything. Raises ServersError when nothing comes up."""
    began = time.monotonic()
    chance = random.Random(f"kills:{seed}")
    town = _town(environ)
    journal = Journal(HOME / f"journal-{seed}.jsonl")
    journal.file.unlink(missing_ok=True)
    outcome = Outcome()
    with product(environ) as (children, address):
        people = [Person(number, address, town, journal, seed) for number in range(CLIENTS)]
        for person in people:
            person.start()
        ends = time.monotonic() + seconds
        turn = 0
        while time.monotonic() < ends:
            time.sleep(chance.uniform(*BETWEEN_SECONDS))
            target = TARGETS[turn % len(TARGETS)]
            turn += 1
            kill(target, children, servers, chance)
            outcome.kills[target] += 1
        ready(address, children)
        time.sleep(1.0)
        for person in people:
            person.stopping.set()
        for person in people:
            person.join(30)
        outcome.answers = Counter(journal.counts)
        outcome.settled = resolve(people, journal)
        _drained(servers)
    _judge(outcome, journal, servers)
    outcome.seconds = time.monotonic() - began
    return outcome


def _town(environ: dict[str, str]) -> dict[str, Any]:
    made = subprocess.run(
        [sys.executable, "-m", "devkit.proof.town"], env={**os.environ, **environ}, capture_output=True, text=True
    )
    if made.returncode != 0:
        raise ServersError(f"the town of the load could not be made:\n{made.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(made.stdout.splitlines()[-1])
    return found


# -- the product


@contextmanager
def product(
    environ: dict[str, str], more: Callable[[str], dict[str, str]] = lambda address: {}
) -> Iterator[tuple[dict[str, Child], tuple[str, int]]]:
    """Web and worker as in production; ended by their ids afterwards. ``more``: settings that name our own address."""
    port = reserve(8800)
    settings = {**environ, "HOST": HOST, "PORT": str(port.number), "LOG_LEVEL": "WARNING"}
    settings |= more(f"http://{HOST}:{port.number}")
    gunicorn = [sys.executable, "-m", "gunicorn", "wsgi:create_app()"]
    children = {
        "web": Child("web", gunicorn, settings, HOME / "web.log"),
        "worker": Child("worker", [*FLASK, "worker"], settings, HOME / "worker.log"),
    }
    try:
        for child in children.values():
            child.start()
        ready((HOST, port.number), children)
        yield children, (HOST, port.number)
    finally:
        for child in reversed(children.values()):
            _end(child)


def _end(child: Child) -> None:
    if child.process is None:
        return
    with suppress(ProcessLookupError):
        child.process.terminate()
    with suppress(subprocess.TimeoutExpired):
        child.process.wait(30)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.process.pid, signal.SIGKILL)  # the group is the child's own
    child.process.wait()


def ready(address: tuple[str, int], children: dict[str, Child]) -> None:
    page = f"http://{address[0]}:{address[1]}/readyz"
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(page, timeout=5) as answer:
            if answer.status == 200:
                return
        time.sleep(0.2)
    raise ServersError(f"not ready after {READY_SECONDS:.0f} s:\n{tail(children['web'].log)}")


# -- the kills


def kill(target: str, children: dict[str, Child], servers: Servers, chance: random.Random) -> None:
    """End ``web`` (one process of it), ``worker`` or ``postgres`` without a word; what doesn't come back is started."""
    if target == "web":
        kill_web(children["web"], chance)
    elif target == "worker":
        worker = children["worker"]
        if worker.process is not None:
            worker.process.kill()
            worker.process.wait()
        worker.start()
    else:
        _kill_postgres(servers)
        servers.start()


def kill_web(web: Child, chance: random.Random) -> None:
    """One of gunicorn's processes; gunicorn itself starts another."""
    if web.process is None:
        return
    found = psutil.Process(web.process.pid).children()
    if found:
        with suppress(psutil.NoSuchProcess):
            chance.choice(found).kill()


def _kill_postgres(servers: Servers) -> None:
    """The postmaster and every backend: a surviving one would keep the data folder busy."""
    postmaster = servers.processes().get("postgres")
    if postmaster is None:
        return
    family = [postmaster, *postmaster.children(recursive=True)]
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not all(gone(process) for process in family):
        time.sleep(0.02)


# -- the judgement


def _drained(servers: Servers, seconds: float = 60.0) -> None:
    """Wait until the relay has delivered all events: BRD-5 compares scores with records then."""
    deadline = time.monotonic() + seconds
    with psycopg.connect(servers.database_url(), autocommit=True) as link:
        while time.monotonic() < deadline:
            row = link.execute("select count(*) from outbox where published_at is null").fetchone()
            if row is not None and row[0] == 0:
                return
            time.sleep(0.2)


_STORED = {
    "record": "select reference, id from records where reference like 'citizen:%'",
    "order": "select client_ref, id from orders",
    "gift": "select client_ref, id from gifts",
    "scan": "select scan_id, id from redemptions",
}


def _judge(outcome: Outcome, journal: Journal, servers: Servers) -> None:
    """Compare what was told with what is stored, by key and by id."""
    stored: dict[tuple[str, str], list[str]] = {}
    with psycopg.connect(servers.database_url()) as link:
        for kind, sql in _STORED.items():
            for key, number in link.execute(sql).fetchall():
                stored.setdefault((kind, key.rpartition(":")[2]), []).append(str(number))
    outcome.doubled += journal.doubled
    for (kind, key), one in journal.asked.items():
        there = stored.get((kind, key), [])
        if one.outcome == "acknowledged":
            outcome.acknowledged += 1
            if one.answered not in there:
                outcome.lost.append(f"{kind} {key}: told {one.answered}, found {there}")
            if len(there) > 1:
                outcome.doubled.append(f"{kind} {key}: {there}")
        elif one.outcome == "refused" and there:
            outcome.ghosts.append(f"{kind} {key}: refused ({one.code}), found {there}")
