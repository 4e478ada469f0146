"""The people of the load: they call the API, and write down what they were told, in a file that is only appended.

Three classes of answers: acknowledged (2xx), refused (4xx, final), unknown (no answer, or 5xx). An unknown one is
resolved by asking again with the same key, never with a new one.
"""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

TIMEOUT = 8.0
CLIENTS = 8
PAUSE = 0.05  # after a failure: a client that hammers a dead server learns nothing


@dataclass
class Asked:
    """One keyed request and what became of it so far. ``answered`` is the id of the first answer."""

    kind: str
    key: str
    path: str
    token: str
    body: dict[str, Any]
    outcome: str = "unknown"
    answered: str = ""
    code: str = ""


@dataclass
class Journal:
    """The client-side log: a file of lines, and the same in memory."""

    file: Path
    asked: dict[tuple[str, str], Asked] = field(default_factory=dict)
    doubled: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, one: Asked, outcome: str, answered: str = "", code: str = "") -> None:
        with self._lock:
            self.asked[one.kind, one.key] = one
            self.counts[outcome] += 1
            if one.outcome == "acknowledged" and outcome == "acknowledged" and one.answered != answered:
                self.doubled.append(f"{one.kind} {one.key}: {one.answered}, then {answered}")
            if one.outcome != "acknowledged":
                one.outcome, one.answered, one.code = outcome, answered, code
            with open(self.file, "a") as out:
                line = {"at": time.time(), "kind": one.kind, "key": one.key, "told": outcome, "id": answered}
                out.write(json.dumps({**line, "code": code}) + "\n")

    def of(self, outcome: str) -> list[Asked]:
        return [one for one in self.asked.values() if one.outcome == outcome]


class Person(threading.Thread):
    """One client: a thread with a connection of its own and some of the town's phones."""

    def __init__(self, number: int, address: tuple[str, int], town: dict[str, Any], journal: Journal, seed: int):
        super().__init__(name=f"client-{number}", daemon=True)
        self.number, self.address, self.town, self.journal = number, address, town, journal
        self.chance = random.Random(f"{seed}:{number}")
        self.phones = town["phones"][number::CLIENTS]
        self.rides: Counter[str] = Counter()
        self.codes: list[tuple[str, str]] = []
        self.stopping = threading.Event()
        self.start_of_all = datetime.now(UTC)
        self._link: http.client.HTTPConnection | None = None

    def run(self) -> None:
        step = 0
        while not self.stopping.is_set():
            step += 1
            kind = self.chance.choice(("record",) * 4 + ("order",) * 3 + ("gift",) + ("scan",) * 3)
            one = getattr(self, f"_{kind}")(f"c{self.number}-{step}")
            if one is not None:
                self.say(one)

    def say(self, one: Asked) -> None:
        """Ask, and note the answer."""
        status, body = self.call("POST", one.path, one.token, one.body)
        if 200 <= status < 300:
            self.journal.note(one, "acknowledged", str(body["id"]))
            if one.kind == "order":
                self.codes += [(one.token, str(code["id"])) for code in body["codes"]]
        elif 400 <= status < 500 and status != 429:
            self.journal.note(one, "refused", code=str(body.get("error", {}).get("code", status)))
        elif status != 429:
            self.journal.note(one, "unknown")
            time.sleep(PAUSE)

    def call(self, method: str, path: str, token: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        """The status and the answer; 0 when there was none."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            if self._link is None:
                self._link = http.client.HTTPConnection(*self.address, timeout=TIMEOUT)
            self._link.request(method, path, None if body is None else json.dumps(body), headers)
            answer = self._link.getresponse()
            return answer.status, json.loads(answer.read() or b"{}")
        except (OSError, http.client.HTTPException, ValueError):
            if self._link is not None:
                self._link.close()
            self._link = None
            return 0, {}

    # -- what they do

    def _record(self, key: str) -> Asked | None:
        phone = self.chance.choice(self.phones)
        self.rides[phone["person"]] += 1
        ends = self.start_of_all - timedelta(minutes=30 * self.rides[phone["person"]])
        body = {
            "program": self.town["town"]["code"],
            "scenario": "bus-ride",
            "client_ref": key,
            "facts": {"distance_km": f"{self.chance.randrange(1, 9)}.{self.chance.randrange(10)}"},
            "occurred_at": (ends - timedelta(minutes=25)).isoformat(timespec="seconds"),
            "ended_at": ends.isoformat(timespec="seconds"),
        }
        return Asked("record", key, "/api/v1/records", phone["token"], body)

    def _order(self, key: str) -> Asked | None:
        phone = self.chance.choice(self.phones)
        body = {"item_id": self.town["item"], "quantity": self.chance.choice((1, 1, 2)), "client_ref": key}
        return Asked(
            "order", key, "/api/v1/orders", phone["token"], {**body, "price_credits": self.town["price"]}
        )  # fmt: skip

    def _gift(self, key: str) -> Asked | None:
        phone = self.chance.choice(self.phones)
        body = {"project_id": self.town["project"], "credits": self.chance.randrange(1, 9), "client_ref": key}
        return Asked("gift", key, "/api/v1/gifts", phone["token"], body)

    def _scan(self, key: str) -> Asked | None:
        if not self.codes:
            return None
        token, code_id = self.codes.pop(self.chance.randrange(len(self.codes)))
        status, shown = self.call("POST", f"/api/v1/codes/{code_id}/show", token)
        if status != 200:
            return None
        clerk = self.chance.choice(self.town["clerks"])
        path = f"/api/v1/shops/{self.town['town']['shop_id']}/redemptions"
        return Asked("scan", key, path, clerk["token"], {"code": shown["code"], "scan_id": key})


def resolve(people: list[Person], journal: Journal) -> Counter[str]:
    """Ask again what is unknown, with the same keys; answers how many were settled how."""
    settled: Counter[str] = Counter()
    asker = people[0]
    for _ in range(20):
        unknown = journal.of("unknown")
        if not unknown:
            break
        for one in unknown:
            status, body = asker.call("POST", one.path, one.token, one.body)
            if 200 <= status < 300:
                journal.note(one, "acknowledged", str(body["id"]))
                settled["had applied" if status == 200 else "applied now"] += 1
            elif 400 <= status < 500 and status != 429:
                journal.note(one, "refused", code=str(body.get("error", {}).get("code", status)))
                settled["refused"] += 1
            else:
                time.sleep(0.5)
    settled["still unknown"] = len(journal.of("unknown"))
    return settled
