"""The embedded servers: shared, restartable after any kill, safe settings, nothing left behind."""

from __future__ import annotations

import os
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from devkit import commands, ports, servers
from devkit.servers import Servers, ServersError
from devkit.supervisor import Supervisor

pytestmark = pytest.mark.slow


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Servers]:
    """A pair of its own, deep in a path that no socket could have."""
    deep = tmp_path / "/".join(["a-folder-with-a-long-name"] * 6)
    monkeypatch.setattr(servers, "VAR", deep / "var")
    monkeypatch.setattr(servers, "ROOT", deep)
    made = Servers("demo")
    yield made
    made.release()
    for process in made.processes().values():
        servers.end(process, signal.SIGTERM, signal.SIGKILL)


def ask(pair: Servers, query: str) -> Any:
    with psycopg.connect(pair.database_url(), autocommit=True) as link:
        found = link.execute(query)
        return found.fetchone()[0] if found.description else None  # type: ignore[index]


def kill(pair: Servers, *names: str) -> None:
    for name, process in pair.processes().items():
        if name in names:
            family = process.children(recursive=True)
            for one in (process, *family):
                os.kill(one.pid, signal.SIGKILL)
            for one in (process, *family):
                while not servers.gone(one):
                    pass


def test_start_share_and_leave_nothing(pair: Servers) -> None:
    pair.start()
    second = Servers("demo").start()
    assert set(pair.processes()) == {"postgres", "valkey"}
    pair.release()
    assert ask(second, "select 1") == 1  # somebody still uses it
    second.release()
    assert pair.processes() == {}
    assert not pair.sockets.exists()
    assert not (pair.pg_data / "postmaster.pid").exists()


def test_data_is_safe_and_nobody_else_gets_in(pair: Servers) -> None:
    pair.start()
    for setting in ("fsync", "full_page_writes", "synchronous_commit", "data_checksums"):
        assert ask(pair, f"show {setting}") == "on", setting
    assert ask(pair, "show listen_addresses") == ""
    assert ask(pair, "show server_version").startswith("18")
    assert stat.S_IMODE(pair.sockets.stat().st_mode) & 0o007 == 0
    with redis.Redis.from_url(pair.redis_url) as client:
        assert client.config_get("port") == {"port": "0"}


@pytest.mark.parametrize("killed", [("postgres",), ("valkey",), ("postgres", "valkey")])
def test_after_a_kill_the_next_start_needs_no_help(pair: Servers, killed: tuple[str, ...]) -> None:
    pair.start()
    ask(pair, "create table kept (n int)")
    ask(pair, "insert into kept values (7)")
    kill(pair, *killed)
    again = Servers("demo").start()
    assert ask(again, "select n from kept") == 7
    with redis.Redis.from_url(again.redis_url) as client:
        assert client.ping()
    again.release()


def test_a_pid_file_that_names_a_stranger_is_no_obstacle(pair: Servers) -> None:
    pair.start()
    pair.release()
    (pair.pg_data / "postmaster.pid").write_text(f"{os.getpid()}\n{pair.pg_data}\n1\n5432\n\n\n\n")
    (pair.home / "valkey.pid").write_text(f"{os.getpid()}\n")
    assert ask(pair.start(), "select 1") == 1


def test_a_socket_folder_that_was_cleaned_away_is_made_again(pair: Servers) -> None:
    pair.start()
    for path in (pair.sockets / "pg").iterdir():
        path.unlink()
    (pair.sockets / "valkey.sock").unlink()
    again = Servers("demo").start()
    assert ask(again, "select 1") == 1
    with redis.Redis.from_url(again.redis_url) as client:
        assert client.ping()
    again.release()


def test_a_socket_folder_of_somebody_else_is_refused(pair: Servers) -> None:
    pair.sockets.symlink_to("/tmp")
    try:
        with pytest.raises(ServersError, match="somebody else"):
            pair.start()
    finally:
        pair.sockets.unlink()


def test_half_a_cluster_is_made_anew(pair: Servers) -> None:
    (pair.home / "pg.new").mkdir(parents=True)
    (pair.home / "pg.new" / "PG_VERSION").write_text("18\n")
    assert ask(pair.start(), "select 1") == 1


def test_forget_refuses_while_somebody_works(pair: Servers) -> None:
    pair.start()
    with pytest.raises(ServersError, match="in use"):
        Servers("demo").forget()
    pair.release()
    pair.forget()
    assert not pair.pg_data.exists()


def test_two_checkouts_have_their_own_sockets() -> None:
    assert servers.socket_folder("/a/demo") != servers.socket_folder("/b/demo") != servers.socket_folder("/b/test")
    longest = servers.socket_folder("/" + "x" * 4000) / "pg" / ".s.PGSQL.5432"
    assert len(os.fsencode(longest)) <= servers.SOCKET_PATH_BYTES


def test_a_port_is_ours_alone() -> None:
    first = ports.reserve(18_000)
    second = ports.reserve(18_000)  # nobody listens on the first yet; the sign keeps it ours
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((ports.HOST, second.number + 1))
        listener.listen()
        third = ports.reserve(second.number)  # a listener with SO_REUSEPORT would let us in; we don't go
        assert len({first.number, second.number, second.number + 1, third.number}) == 4
    with pytest.raises(ports.PortTaken, match="in use"):
        ports.reserve(first.number, exactly=True)
    for held in (first, second, third):
        held.sign.close()


def test_leftovers_are_ended_only_if_they_are_the_same_process(tmp_path: Path) -> None:
    record = tmp_path / "children.json"
    record.write_text(f'[{{"name": "web", "pid": {os.getpid()}, "created": 1.0}}]')
    Supervisor(record).end_leftovers()  # this process has that id and another birthday: it lives on
    assert not record.exists()


def test_half_a_pair_of_urls_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://x/y")
    monkeypatch.delenv("REDIS_URL", raising=False)
    with pytest.raises(ServersError, match="set both or none"):
        commands.given()
