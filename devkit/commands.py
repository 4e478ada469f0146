"""The commands that do one thing and end: test, bench, reset, flask."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from devkit import ROOT, VAR
from devkit.servers import Servers, ServersError

FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
FLASK = [sys.executable, "-m", "flask", "--app", "wsgi:create_app"]


def test(arguments: list[str]) -> int:
    """pytest on two processes, with servers and databases that nothing else uses."""
    command = [sys.executable, "-m", "pytest"]
    if not any(word.startswith(("-n", "--numprocesses")) for word in arguments):
        command += ["-n", "2", "--dist", "loadgroup"]
    with using(None if given() else Servers("test")):
        return call([*command, *arguments])


def bench(arguments: list[str]) -> int:
    """Ratios of speed and memory, on servers of their own."""
    with migrated("bench") as environ:
        if call([*FLASK, "demo", "seed"], environ, quiet=True) != 0:
            raise ServersError("the demo could not be seeded (see above)")
        return call([sys.executable, "-m", "bench", *arguments], environ)


def flask(arguments: list[str]) -> int:
    """Any command of the product against the demo's servers; started for it when `run` isn't running."""
    servers = None if given() else Servers("demo")
    with using(servers):
        return call([*FLASK, *arguments], {} if servers is None else servers.environ())


def demo(arguments: list[str]) -> int:
    """A month of life in the demo, beside a running `dev.py run` or before it."""
    with migrated("demo") as environ:
        if call([*FLASK, "demo", "seed"], environ, quiet=True) != 0:
            raise ServersError("the demo could not be seeded (see above)")
        return call([*FLASK, "demo", "month", *arguments], environ)


def reset(arguments: list[str]) -> int:
    """Forget the demo's database, boards and files. Databases given by URL are not ours to delete."""
    if given():
        print("dev.py: DATABASE_URL and REDIS_URL are set; reset only deletes what dev.py made", file=sys.stderr)
        return 1
    with only_run():
        Servers("demo").forget()
        shutil.rmtree(VAR / "demo", ignore_errors=True)
        (VAR / "env").unlink(missing_ok=True)
    print("the demo is forgotten; `python3 dev.py run` makes a new one")
    return 0


def given() -> bool:
    """Did the caller name servers of their own? Both or none: half a pair would mix two worlds."""
    named = [name for name in ("DATABASE_URL", "REDIS_URL") if os.environ.get(name)]
    if len(named) == 1:
        raise ServersError(f"{named[0]} is set, the other of DATABASE_URL and REDIS_URL isn't; set both or none")
    return bool(named)


@contextmanager
def using(servers: Servers | None) -> Iterator[Servers | None]:
    """Servers for the length of a command."""
    if servers is None:
        yield None
        return
    try:
        yield servers.start()
    finally:
        servers.release()


@contextmanager
def migrated(purpose: str) -> Iterator[dict[str, str]]:
    """The environment of a migrated database: an embedded one for this purpose, or the one given by URL."""
    servers = None if given() else Servers(purpose)
    with using(servers):
        environ = {} if servers is None else servers.environ()
        if call([*FLASK, "db", "upgrade"], environ, quiet=True) != 0:
            raise ServersError("the migrations failed (see above)")
        yield environ


@contextmanager
def only_run() -> Iterator[IO[str]]:
    """Held while `run` or `reset` works on the demo: one at a time in a checkout."""
    VAR.mkdir(exist_ok=True)
    with open(VAR / "run.lock", "a+") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            guard.seek(0)
            raise ServersError(f"`run` is running already: {guard.read().strip() or 'starting'}") from None
        yield guard
        guard.truncate(0)


def call(command: list[Any], environ: dict[str, str] | None = None, *, quiet: bool = False) -> int:
    """Run a program in the foreground, hand our signals on to it, and give back its exit code."""
    out = subprocess.PIPE if quiet else None
    child = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **(environ or {})}, stdout=out, stderr=out, text=True if quiet else None
    )

    def hand_on(got: int, _: Any) -> None:
        # Ctrl-C reaches the child by itself, through the terminal; here it is only kept from ending us first.
        if got != signal.SIGINT or not sys.stdin.isatty():
            child.send_signal(got)

    before = {sign: signal.signal(sign, hand_on) for sign in FORWARDED}
    try:
        said = child.communicate() if quiet else (child.wait(), "")
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)
    if quiet and child.returncode != 0:
        print(*said, sep="\n", file=sys.stderr)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode
