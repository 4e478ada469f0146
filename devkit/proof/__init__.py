"""`dev.py proof`: random histories, kills under load, then every invariant, and a table of what was seen.

Servers, data and processes are this run's own (`var/proof`, made anew); with DATABASE_URL and REDIS_URL given, nothing
is killed and nothing flushed there: only the histories run and the invariants are proved.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from devkit import VAR
from devkit.commands import FLASK, call, given, using
from devkit.servers import Servers, ServersError

HISTORIES = 10_000
KILL_SECONDS = 90.0
ORDERS = 1_000
ATTEMPTS = 6_000  # on two thirds as many units
CODES = 1_000  # of the 10,000 that were fought for once (`--codes 10000`)


@dataclass
class Report:
    """The lines of the table; one that is not fine makes the run fail."""

    lines: list[tuple[str, str, bool]] = field(default_factory=list)

    def add(self, what: str, seen: str, fine: bool = True) -> None:
        self.lines.append((what, seen, fine))
        print(f"{'ok    ' if fine else 'FAILED'} {what:34} {seen}", flush=True)

    @property
    def fine(self) -> bool:
        return all(fine for _, _, fine in self.lines)


def proof(arguments: list[str]) -> int:
    """Run all of it; exit 0 when nothing was lost, nothing doubled, and every invariant holds."""
    options = _options(arguments)
    began = time.monotonic()
    (VAR / "proof").mkdir(parents=True, exist_ok=True)
    servers = None if given() else Servers("proof")
    if servers is not None:
        servers.forget()
    report = Report()
    print(f"seed {options.seed}", flush=True)
    with using(servers):
        environ = {} if servers is None else servers.environ()
        if call([*FLASK, "db", "upgrade"], environ, quiet=True) != 0:
            raise ServersError("the migrations failed (see above)")
        _histories(report, options, environ)
        if servers is None:
            report.add("kills", "skipped: the servers are not ours to kill")
        elif options.kill_seconds > 0:
            _kills(report, options, servers, environ)
        if servers is not None and options.orders > 0:
            _payments(report, options, servers, environ)
        if options.codes > 0:
            _scans(report, options, environ)
        if servers is not None and options.attempts > 0:
            _flash(report, options, servers, environ)
        _statements(report, environ)
        _invariants(report, environ)
        if servers is not None:
            _boards(report, environ)
    minutes = (time.monotonic() - began) / 60
    print(f"\n{'proved' if report.fine else 'NOT PROVED'} in {minutes:.1f} min, seed {options.seed}")
    return 0 if report.fine else 1


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dev.py proof", description="Prove the invariants after histories and kills.")
    parser.add_argument("--histories", type=int, default=HISTORIES, help=f"how many (default {HISTORIES})")
    parser.add_argument("--kill-seconds", type=float, default=KILL_SECONDS, help="load and kills; 0 leaves them out")
    parser.add_argument("--orders", type=int, default=ORDERS, help=f"paid through the local WeChat (default {ORDERS})")
    parser.add_argument("--attempts", type=int, default=ATTEMPTS, help=f"of a flash sale (default {ATTEMPTS})")
    parser.add_argument("--codes", type=int, default=CODES, help=f"scanned and refunded at once (default {CODES})")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="for everything that is drawn")
    return parser.parse_args(arguments)


def _histories(report: Report, options: argparse.Namespace, environ: dict[str, str]) -> None:
    command = [sys.executable, "-m", "devkit.proof.histories", "--histories", str(options.histories)]
    done = subprocess.run(
        [*command, "--seed", str(options.seed)], env={**os.environ, **environ}, stdout=subprocess.PIPE, text=True
    )
    if done.returncode not in (0, 1) or not done.stdout.strip():
        raise ServersError("the histories did not run to their end (see above)")
    seen = json.loads(done.stdout.splitlines()[-1])
    counts = {what: count for what, count in seen["counts"].items() if ":" not in what}
    refused = sum(count for what, count in seen["counts"].items() if ":" in what)
    rate = options.histories / seen["seconds"]
    did = ", ".join(f"{what} {count}" for what, count in counts.items() if what != "acknowledged")
    report.add(
        "random concurrent histories",
        f"{options.histories} of 20 steps by 4 actors in {seen['seconds']:.0f} s ({rate:.1f}/s)",
    )
    report.add("  done", did)
    report.add("  refused", f"{refused} (insufficient, sold out, limits, used, not counted any more)")
    report.add(
        "  keys compared with the database",
        f"{counts.get('acknowledged', 0)} acknowledged, {len(seen['wrong'])} differences",
        not seen["wrong"],
    )
    for line in seen["wrong"][:10]:
        print(f"         {line}")


def _kills(report: Report, options: argparse.Namespace, servers: Servers, environ: dict[str, str]) -> None:
    from devkit.proof.kills import under_load

    seen = under_load(servers, environ, seconds=options.kill_seconds, seed=options.seed)
    kills = ", ".join(f"{what} {count}" for what, count in sorted(seen.kills.items()))
    answers = ", ".join(f"{what} {count}" for what, count in sorted(seen.answers.items()))
    report.add("kill -9 under load", f"{kills} in {seen.seconds:.0f} s")
    report.add("  answers at first", answers)
    settled = ", ".join(f"{what} {count}" for what, count in sorted(seen.settled.items()))
    report.add("  unknown, asked again by key", settled, not seen.settled["still unknown"])
    report.add("  acknowledged and lost", f"{len(seen.lost)} of {seen.acknowledged}", not seen.lost)
    report.add("  doubled", str(len(seen.doubled)), not seen.doubled)
    report.add("  refused, but stored", str(len(seen.ghosts)), not seen.ghosts)
    for line in [*seen.lost, *seen.doubled, *seen.ghosts][:10]:
        print(f"         {line}")
    if not seen.fine:
        print(f"         the client's journal: var/proof/journal-{options.seed}.jsonl")


def _payments(report: Report, options: argparse.Namespace, servers: Servers, environ: dict[str, str]) -> None:
    from devkit.proof.payments import through_wechat

    seen = through_wechat(servers, environ, orders=options.orders, seed=options.seed)

    def counted(counter: Any) -> str:
        return ", ".join(f"{what} {count}" for what, count in sorted(counter.items())) or "none"

    report.add(
        "orders through the local WeChat", f"{seen.orders} in {seen.seconds:.0f} s, web killed {seen.kills} times"
    )
    report.add("  buyers", counted(seen.stories))
    report.add("  ended", counted(seen.states), not seen.unfinished)
    report.add("  refunds asked under way", counted(seen.refunds_asked))
    report.add("  notices kept", counted(seen.notices))
    report.add(
        "  bills", f"differences: {counted(seen.differences)}; unmatched {len(seen.unmatched)}", not seen.unmatched
    )
    report.add("  paid twice, or kept for nothing", str(len(seen.twice)), not seen.twice)
    report.add("  forged accepted", str(len(seen.forged)), not seen.forged)
    fen = f"{seen.at_wechat_fen} at WeChat, {seen.booked_fen} in the ledger"
    report.add("  fen", fen, not seen.fen)
    for line in [*seen.unfinished, *seen.unmatched, *seen.twice, *seen.forged, *seen.fen][:20]:
        print(f"         {line}")


def _scans(report: Report, options: argparse.Namespace, environ: dict[str, str]) -> None:
    command = [sys.executable, "-m", "devkit.proof.scans", str(options.codes), str(options.seed)]
    done = subprocess.run(command, env={**os.environ, **environ}, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0 or not done.stdout.strip():
        raise ServersError("the codes were not fought for to the end (see above)")
    seen = json.loads(done.stdout.splitlines()[-1])
    report.add(
        "three clerks and a refund at once",
        f"{seen['codes']} codes in {seen['seconds']:.0f} s: {seen['redeemed']} redeemed, {seen['refunded']} refunded",
    )
    one = f"{len(seen['wrong'])} with other than one winner; stored {seen['stored']}"
    report.add("  one outcome each", one, seen["agree"] and not seen["wrong"])
    for line in seen["wrong"][:10]:
        print(f"         {line}")


def _statements(report: Report, environ: dict[str, str]) -> None:
    command = [sys.executable, "-m", "devkit.proof.statements"]
    done = subprocess.run(command, env={**os.environ, **environ}, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0 or not done.stdout.strip():
        raise ServersError("the merchants were not settled to the end (see above)")
    seen = json.loads(done.stdout.splitlines()[-1])
    report.add("statements of all merchants", f"{seen['statements']} of {seen['merchants']}, {seen['lines']} lines")
    again = f"{seen['fen']} fen, {len(seen['wrong'])} statements differ"
    report.add("  recomputed from the ledger alone", again, not seen["wrong"])
    for line in seen["wrong"][:10]:
        print(f"         {line}")


def _flash(report: Report, options: argparse.Namespace, servers: Servers, environ: dict[str, str]) -> None:
    from devkit.proof.flash import CONNECTIONS, sale

    stock = options.attempts * 2 // 3
    seen = sale(servers, environ, attempts=options.attempts, stock=stock, seed=options.seed)
    kills = ", ".join(f"{what} {count}" for what, count in sorted(seen.kills.items()))
    report.add(
        "flash sale",
        f"{seen.attempts} on {stock} units by {CONNECTIONS} connections in {seen.seconds:.0f} s, kill -9: {kills}",
    )
    told = f"{seen.orders} orders, {seen.sold_out} sold out, otherwise {dict(seen.others) or 'nothing'}"
    stored = f"stored {seen.stored}, stock {seen.counters}, entries sum to {seen.entries}, doubled {seen.doubled}"
    report.add("  told", told, seen.fine)
    report.add("  kept", stored, seen.fine)


def _invariants(report: Report, environ: dict[str, str]) -> None:
    status, told = _flask(["prove", "--json"], environ)
    findings: list[dict[str, Any]] = json.loads(told)
    broken = [one for one in findings if one["rows"]]
    seconds = sum(one["seconds"] for one in findings)
    report.add("invariants", f"{len(findings)} proved in {seconds:.1f} s, {len(broken)} broken", status == 0)
    for one in broken:
        print(f"         {one['id']}: {one['rows']} rows. {one['sentence']} {one['first'][:2]}")


def _boards(report: Report, environ: dict[str, str]) -> None:
    """Redis is only a copy: right before, gone after a flush, right again by one command."""
    import redis

    before, _ = _flask(["boards", "check"], environ)
    with redis.Redis.from_url(environ["REDIS_URL"]) as client:
        client.flushdb()
    flushed, _ = _flask(["boards", "check"], environ)
    rebuilt, _ = _flask(["boards", "rebuild"], environ)
    after, _ = _flask(["boards", "check"], environ)
    seen = f"before {_word(before)}, flushed {_word(flushed)}, after `boards rebuild` {_word(rebuilt or after)}"
    report.add("boards", seen, (before, rebuilt, after) == (0, 0, 0) and flushed != 0)


def _word(status: int) -> str:
    return "right" if status == 0 else "wrong"


def _flask(words: list[str], environ: dict[str, str]) -> tuple[int, str]:
    done = subprocess.run([*FLASK, *words], env={**os.environ, **environ}, stdout=subprocess.PIPE, text=True)
    return done.returncode, done.stdout
