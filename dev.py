#!/usr/bin/env python3
"""The commands of this project on a bare machine: `python3 dev.py run`, `python3 dev.py test`, ...

Standard library only. This file finds a Python (3.11 or newer), makes `.venv`, installs the locked packages into it
(skipped while the lock's hash stands) and hands over to `devkit`, which runs inside that `.venv`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
OLDEST = (3, 11)
RUNTIME_LOCK, DEV_LOCK = "requirements.txt", "requirements-dev.txt"
# Which lock a command needs: what a visitor runs must not wait for linters.
COMMANDS = {
    "run": (RUNTIME_LOCK, "start everything and print the addresses (Ctrl-C ends it)"),
    "test": (DEV_LOCK, "run the tests on their own database; further words go to pytest"),
    "check": (DEV_LOCK, "format, lint, types, import order, migrations, house rules"),
    "bench": (RUNTIME_LOCK, "measure speed and memory as ratios"),
    "proof": (RUNTIME_LOCK, "prove the invariants after random histories and kills"),
    "demo": (RUNTIME_LOCK, "live a month with 2,000 people in the demo programs (`--people`, `--seed`, ...)"),
    "reset": (RUNTIME_LOCK, "forget the demo: its database, its boards, its uploads"),
    "flask": (RUNTIME_LOCK, "any `flask ...` command against the demo's servers, e.g. `dev.py flask ledger verify`"),
    "setup": (DEV_LOCK, "only make .venv and install"),
    "lock": (DEV_LOCK, "compile requirements*.in to hashed locks (needs `uv` on PATH)"),
}


def main(argv: list[str]) -> int:
    """Prepare `.venv` for the command, then become `python -m devkit COMMAND` inside it."""
    command, rest = (argv[0], argv[1:]) if argv else ("", [])
    if command in ("-h", "--help", "help") or command not in COMMANDS:
        return usage(unknown=command)
    python = find_python()
    if command == "lock":
        return lock(rest)
    try:
        venv_python = ensure_venv(python, COMMANDS[command][0])
    except SetupFailed as failure:
        print(f"dev.py: {failure}", file=sys.stderr)
        return 1
    if command == "setup":
        print(f"ready: {venv_python.relative_to(ROOT)}")
        return 0
    os.chdir(ROOT)
    environ = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return become(venv_python, [str(venv_python), "-m", "devkit", command, *rest], environ)


def become(program: Path, argv: list[str], environ: dict[str, str]) -> NoReturn:
    """This process turns into another program: signals, terminal and exit code are that one's own."""
    os.execve(program, argv, environ)  # noqa: S606 - no shell is meant


class SetupFailed(Exception):
    """The machine lacks something; the text says what to do."""


def usage(unknown: str) -> int:
    """Print the commands; exit 0 when asked for help, 2 for a wrong word."""
    asked = unknown in ("-h", "--help", "help")
    out = sys.stdout if asked else sys.stderr
    if unknown and not asked:
        print(f"dev.py: no command {unknown!r}\n", file=out)
    print("usage: python3 dev.py COMMAND [...]\n", file=out)
    for name, (_, purpose) in COMMANDS.items():
        print(f"  {name:6} {purpose}", file=out)
    return 0 if asked else 2


def find_python() -> str:
    """This interpreter when new enough, else the newest `python3.N` on PATH."""
    if sys.version_info[:2] >= OLDEST:
        return sys.executable
    for minor in range(19, OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found:
            return found
    sys.exit(f"dev.py: Python {OLDEST[0]}.{OLDEST[1]} or newer is needed, found only {sys.version.split()[0]}")


def ensure_venv(python: str, lock_name: str) -> Path:
    """`.venv` with exactly the locked packages; returns its interpreter. Safe to call from two terminals at once."""
    var = ROOT / "var"
    var.mkdir(exist_ok=True)
    venv_python = VENV / "bin" / "python"
    if installed(venv_python, lock_name):
        return venv_python
    import fcntl  # POSIX only, as the embedded servers are

    with open(var / "setup.lock", "w") as guard:  # the kernel drops the lock when its holder dies
        fcntl.flock(guard, fcntl.LOCK_EX)
        if installed(venv_python, lock_name):
            return venv_python
        started = time.monotonic()
        if not usable(venv_python):
            make_venv(python)
        install(venv_python, lock_name)
        stamp(lock_name).write_text(fingerprint(lock_name))
        print(f"installed {lock_name} into .venv in {time.monotonic() - started:.0f} s", file=sys.stderr)
    return venv_python


def stamp(lock_name: str) -> Path:
    """The file that says which lock was installed to its end."""
    return VENV / f"{lock_name}.installed"


def fingerprint(lock_name: str) -> str:
    """Changes when the lock does, and when the checkout was moved (a venv knows its own path)."""
    return f"{hashlib.sha256((ROOT / lock_name).read_bytes()).hexdigest()} {ROOT}\n"


def installed(venv_python: Path, lock_name: str) -> bool:
    """Is this lock, or the larger development lock over the same versions, already there in full?"""
    names = {lock_name, DEV_LOCK}
    return usable(venv_python) and any(
        stamp(name).exists() and stamp(name).read_text() == fingerprint(name) for name in names
    )


def usable(venv_python: Path) -> bool:
    """Does the interpreter of `.venv` start? It doesn't after its base Python was removed."""
    probe = "import sys; sys.exit(sys.version_info[:2] < (3, 11))"
    try:
        return subprocess.run([venv_python, "-c", probe], capture_output=True).returncode == 0
    except OSError:
        return False


def make_venv(python: str) -> None:
    """A fresh `.venv`; what was there didn't start, so it goes."""
    if VENV.exists():
        shutil.rmtree(VENV)
    made = subprocess.run([python, "-m", "venv", str(VENV)], capture_output=True, text=True)
    if made.returncode != 0:
        shutil.rmtree(VENV, ignore_errors=True)
        raise SetupFailed(
            f"`{python} -m venv` failed:\n{(made.stdout + made.stderr).strip()}\n"
            "On Debian and Ubuntu the missing part is the package python3-venv."
        )


def install(venv_python: Path, lock_name: str) -> None:
    """pip install of the lock, every file checked against its hash."""
    for old in VENV.glob("*.installed"):
        old.unlink()
    print(f"installing {lock_name} into .venv; the first time takes a minute ...", file=sys.stderr, flush=True)
    command = [venv_python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    with_hashes = [*command, "--require-hashes", "-r", str(ROOT / lock_name)]
    done = subprocess.run(with_hashes, capture_output=True, text=True)
    if done.returncode != 0:
        print(done.stdout, done.stderr, file=sys.stderr)
        raise SetupFailed(f"pip could not install {lock_name} (its words are above); run the command again to retry")


def lock(extra: list[str]) -> int:
    """Compile both locks: universal, hashed, naming no index and no folder of this machine."""
    uv = shutil.which("uv")
    if uv is None:
        print("dev.py: `uv` is not on PATH; `pip install uv` into an environment of your own", file=sys.stderr)
        return 1
    shape = ["--universal", "--python-version", "3.11", "--generate-hashes"]
    quiet = ["--no-emit-find-links", "--no-emit-index-url", "--no-header", "--no-config", "--quiet"]
    for name in (RUNTIME_LOCK, DEV_LOCK):
        source = name.replace(".txt", ".in")
        done = subprocess.run([uv, "pip", "compile", *shape, *quiet, *extra, source, "-o", name], cwd=ROOT)
        if done.returncode != 0:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
