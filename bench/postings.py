"""Postings: the ledger's one function, called through the service and called by pgbench with as many clients."""

from __future__ import annotations

import multiprocessing
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app import ledger, programs
from app.db import db, transaction
from bench.measures import Bench
from ops.backup import client_environ, client_program

PROCESSES, THREADS = 2, 4  # as many as the web has
PEOPLE, ROUNDS = 2_000, 3


@dataclass(frozen=True)
class Field:
    """What both sides post to: one paying account of a program and many wallets."""

    program: int
    source: int
    wallets: list[int]


def service_share(bench: Bench) -> float:
    """Rate of `with transaction(): ledger.post(...)` over the rate of pgbench on the same SQL, same accounts."""
    field = _field(bench)
    seconds = bench.seconds / ROUNDS / 2
    ours, theirs = [], []
    for n in range(ROUNDS):
        theirs.append(_pgbench(bench, field, seconds))
        ours.append(many_clients(bench.app, _poster(field, f"{bench.seed}-{n}-{time.time_ns()}"), seconds))
    bench.notes["service"], bench.notes["pgbench"] = sum(ours) / ROUNDS, sum(theirs) / ROUNDS
    return sum(ours) / sum(theirs)


def _field(bench: Bench) -> Field:
    """Made once per database."""
    with transaction():
        program = programs.by_code(bench.program).id
        source = ledger.account(program_id=program, asset="credits", kind="issue", owner_key="bench")
        keys = [(program, "credits", "wallet", f"bench-{n}") for n in range(PEOPLE)]
        found = ledger.accounts(keys)
        return Field(program, source, sorted(found[key] for key in keys))


def _poster(field: Field, stamp: str) -> Callable[[int, int], None]:
    """The n-th command of a client."""

    def post(client: int, n: int) -> None:
        wallet = field.wallets[(n * 7919 + client) % len(field.wallets)]
        draft = ledger.Draft(field.program, "bench", f"{stamp}-{client}-{n}", [(field.source, -5), (wallet, 5)])
        with transaction():
            ledger.post([draft], at=datetime.now(UTC))

    return post


def many_clients(app: Any, command: Callable[[int, int], None], seconds: float, *, threads: int = THREADS) -> float:
    """Commands a second by processes and threads like the web's; `command(client, n)` is one."""
    db.session.remove()
    db.engine.dispose()
    context = multiprocessing.get_context("fork")
    rates = context.Queue()
    workers = [
        context.Process(target=_clients, args=(app, command, seconds, (process * threads, threads), rates))
        for process in range(PROCESSES)
    ]
    for worker in workers:
        worker.start()
    total = sum(rates.get(timeout=seconds + 60) for _ in workers)
    for worker in workers:
        worker.join()
    return float(total)


def _clients(
    app: Any, command: Callable[[int, int], None], seconds: float, mine_are: tuple[int, int], rates: Any
) -> None:
    """One process: its threads work until the time is over; it reports their common rate."""
    mine: list[float] = []

    def client(number: int) -> None:
        done, began = 0, time.perf_counter()
        with app.app_context():
            while (took := time.perf_counter() - began) < seconds:
                command(number, done)
                done += 1
        mine.append(done / took)

    first, count = mine_are
    crowd = [threading.Thread(target=client, args=(first + n,)) for n in range(count)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    rates.put(sum(mine))


_SCRIPT = r"""
\set wallet random({low}, {high})
\set n random(1, 9000000000000000)
begin;
select ord, transfer_id, fresh from ledger_post(cast('[{{"p":{program},"r":"bench","s":"{stamp}-:client_id-:n","m":{{}},
 "v":null,"l":[[{source},-5],[:wallet,5]]}}]' as jsonb), now());
commit;
"""


def _pgbench(bench: Bench, field: Field, seconds: float) -> float:
    """The same function with the same arguments, asked by PostgreSQL's own benchmark client."""
    names = {"program": field.program, "source": field.source, "stamp": f"pgb-{time.time_ns()}"}
    script = _SCRIPT.format(low=field.wallets[0], high=field.wallets[-1], **names)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "post.sql"
        file.write_text(script)
        command = [client_program("pgbench"), "-n", "-c", str(PROCESSES * THREADS), "-j", str(PROCESSES)]
        command += ["-T", str(max(1, round(seconds))), "-f", str(file)]
        environ = client_environ(bench.app.config["SETTINGS"].database_url)
        done = subprocess.run(command, env=environ, capture_output=True, text=True)
    found = re.search(r"tps = ([\d.]+) \(without", done.stdout)
    if done.returncode != 0 or found is None:
        raise RuntimeError(f"pgbench: {done.stderr[-600:]}")
    return float(found[1])
