"""Large amounts: a file of 100,000 records to the boards, a board of a million scores, its size in Redis."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from app import cache, leaderboards
from app.clock import SHANGHAI, now
from app.db import db, run, transaction
from app.leaderboards.boards import redis_key
from bench.city import CODE, PEOPLE, city
from bench.measures import Bench

ROOT = Path(__file__).resolve().parent.parent
FLASK = [sys.executable, "-m", "flask", "--app", "wsgi:create_app"]
ROWS, RIDERS = 100_000, 2_000
MEMBERS = 1_000_000
GIVE_UP_SECONDS = 600.0

_PRESET = """
title = { zh = "测速文件", en = "File of the benchmark" }
reference = "{ride}"
zone = "Asia/Shanghai"
scenario = "metro-ride"

[person]
by = "account"
column = "account"
test_persons = true

[time]
start = "start"
end = "end"
format = "%Y-%m-%d %H:%M:%S"

[facts.distance_km]
column = "km"
kind = "decimal"
"""


def import_rate(bench: Bench) -> float:
    """Rows a second, from a file on the disk to boards in Redis: import and worker run beside each other."""
    city()
    stamp = f"{bench.seed}-{time.time_ns()}"
    db.session.remove()
    with tempfile.TemporaryDirectory() as folder:
        preset, file = Path(folder) / "bench.toml", Path(folder) / "rides.csv"
        preset.write_text(_PRESET)
        _write_rides(file, stamp)
        worker = subprocess.Popen([*FLASK, "worker"], cwd=ROOT, env=_environ())
        try:
            began = time.monotonic()
            command = [*FLASK, "import", str(file), "--preset", str(preset), "--program", CODE, "--json"]
            importing = subprocess.Popen(command, cwd=ROOT, env=_environ(), stdout=subprocess.PIPE)
            peak = _watched(importing, worker)
            imported = time.monotonic() - began
            _await_boards()
            whole = time.monotonic() - began
        finally:
            worker.terminate()
            worker.wait(30)
    if importing.returncode != 0:
        raise RuntimeError(f"the import ended with {importing.returncode}")
    bench.notes["import_s"], bench.notes["to_boards_s"] = round(imported, 1), round(whole, 1)
    bench.notes["import_mb"], bench.notes["worker_mb"] = peak
    Bulk.peak_mb = peak[0]
    return ROWS / whole


class Bulk:
    """What one measure leaves for the next."""

    peak_mb = 0


def import_memory(bench: Bench) -> float:
    """The greatest resident size of the import, in MB; measured by the import itself."""
    if not Bulk.peak_mb:
        import_rate(bench)
    return float(Bulk.peak_mb)


def _environ() -> dict[str, str]:
    return {**os.environ, "LOG_LEVEL": "WARNING"}


def _write_rides(file: Path, stamp: str) -> None:
    """Fifty rides of 2,000 riders, newest first, one an hour."""
    base = now().astimezone(SHANGHAI).replace(minute=0, second=0, microsecond=0, tzinfo=None) - timedelta(hours=2)
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["ride", "account", "start", "end", "km"])
        for number in range(ROWS):
            starts: datetime = base - timedelta(hours=number // RIDERS)
            ends = starts + timedelta(minutes=25)
            account = f"{stamp}-{number % RIDERS}"
            writer.writerow([f"{stamp}-{number}", account, starts, ends, f"{number % 37 + 2}.{number % 10}"])


def _watched(importing: subprocess.Popen[bytes], worker: subprocess.Popen[bytes]) -> tuple[int, int]:
    """Wait for the import; the greatest resident sizes of both, in MB."""
    peaks = [0, 0]
    watched = [psutil.Process(importing.pid), psutil.Process(worker.pid)]
    while importing.poll() is None:
        for place, process in enumerate(watched):
            try:
                peaks[place] = max(peaks[place], process.memory_info().rss)
            except psutil.Error:
                continue
        time.sleep(0.1)
    return peaks[0] // 1_000_000, peaks[1] // 1_000_000


def _await_boards() -> None:
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while time.monotonic() < deadline:
        waiting = run("select count(*) as n from outbox where published_at is null", {})[0].n
        db.session.remove()
        if waiting == 0:
            return
        time.sleep(0.1)
    raise RuntimeError("the boards did not come after the import")


# -- a board of a million


def rebuild_seconds(bench: Bench) -> float:
    """From a million scores in PostgreSQL to a sorted set in Redis, while the old one serves."""
    program, period = _million()
    began = time.perf_counter()
    with transaction():
        filled = dict(leaderboards.rebuild(program))
    took = time.perf_counter() - began
    members = filled[redis_key(program, "person", "mg", "season", period)]
    if members != MEMBERS:
        raise RuntimeError(f"{members} members instead of {MEMBERS}")
    bench.notes["members"] = members
    return took


def bytes_a_member(bench: Bench) -> float:
    """What a member of a large board costs in Redis, by Redis' own count."""
    program, period = _million()
    key = redis_key(program, "person", "mg", "season", period)
    client: Any = cache.client()
    if client.zcard(key) != MEMBERS:
        with transaction():
            for _ in leaderboards.rebuild(program):
                pass
    size = int(client.memory_usage(key, samples=0))
    bench.notes["MB"] = size // 1_000_000
    return size / MEMBERS


_MORE_PEOPLE = """
    insert into persons (pseudonym, created_at)
    select 'million-' || n, now() from generate_series(1, %(people)s) n on conflict do nothing
"""
_MILLION = """
    insert into scores (program_id, subject_kind, period_kind, period_key, subject_id, mg, mg_reached_at, mg_rank,
                        credits, credits_reached_at, credits_rank)
    select %(program)s, 'person', 'season', %(key)s, x.id, x.mg, x.reached,
           board_rank(x.mg, x.reached, 'season', board_start('season', %(key)s)), 0, x.reached, 0
    from (select id, (id * 7919 %% 1000003 + 1) * 1000 as mg,
                 board_start('season', %(key)s) + id %% 7000000 * interval '1 second' as reached
          from persons where pseudonym like 'million-%%' order by id limit %(members)s) x
"""


def _million() -> tuple[int, str]:
    """A program of its own with one board of a million persons; made once per database."""
    here = city()
    row = run("select id from programs where code = 'bench-million'", {})
    key = "2026-Q1"
    if row:
        return int(row[0].id), key
    db.session.remove()
    with transaction():
        made = run(
            "insert into programs (code, kind, name, name_en, region, starts_on)"
            " select 'bench-million', kind, name, name_en, region, starts_on from programs where id = %(p)s"
            " returning id",
            {"p": here.program_id},
        )
        run(_MORE_PEOPLE, {"people": MEMBERS})
        run(_MILLION, {"program": made[0].id, "key": key, "members": MEMBERS})
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as link:
        link.exec_driver_sql("vacuum analyze scores")
        link.exec_driver_sql("vacuum analyze persons")
    return int(made[0].id), key


__all__ = ["PEOPLE", "bytes_a_member", "import_memory", "import_rate", "rebuild_seconds"]
