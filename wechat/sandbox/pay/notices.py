"""Callbacks of payments and refunds: envelope, signature, WeChat's table of repeats, and faults by script."""

from __future__ import annotations

import json
import random
import secrets
import threading
import time
import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wechat.sandbox import crypto
from wechat.sandbox.clock import rfc3339
from wechat.sandbox.outbound import post
from wechat.sandbox.pay.forging import ACCEPTABLE, FORGERIES, forged

if TYPE_CHECKING:
    from wechat.sandbox.box import Sandbox

INTERVALS = (15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10800, 10800, 10800, 21600, 21600)
SUCCESS = (200, 204)
WAIT_SECONDS = 5.0
TIMES = ("drop", "silence", "delay", "duplicate", "parallel", "hold", "reorder", "new_id", "certificate", "lost_answer")
NOTICE_FAULTS = (*TIMES, *FORGERIES)
SUMMARIES = {
    "TRANSACTION.SUCCESS": "支付成功",
    "REFUND.SUCCESS": "退款成功",
    "REFUND.ABNORMAL": "退款异常",
    "REFUND.CLOSED": "退款关闭",
}


@dataclass
class NoticeFault:
    """A rule for notices. ``match``: an order or refund number, an event type, or "*". ``times``: how many attempts it
    hits; ``count``: copies; ``seconds``: business seconds of a delay, or how old a stale one is."""

    kind: str
    match: str = "*"
    times: int = 1
    count: int = 2
    seconds: float = 0.0
    probability: float = 1.0


@dataclass
class Attempt:
    """One delivery. ``due`` is business time by the table, ``at`` when it was sent. ``status`` 0: no answer."""

    due: float
    at: float
    kind: str
    status: int
    seconds: float


@dataclass
class Notice:
    """One event that the application is to be told."""

    id: str
    event_type: str
    number: str
    order: str
    resource: dict[str, Any]
    url: str
    created: float
    body: bytes = b""
    repeats: int = 0
    held: bool = False
    state: str = "waiting"
    attempts: list[Attempt] = field(default_factory=list)


class Notices:
    """All notices of a sandbox. Deliveries run on the agenda's threads."""

    def __init__(self, box: Sandbox, seed: int = 1) -> None:
        self.box = box
        self.sent: list[Notice] = []
        self._held: dict[str, list[Notice]] = {}
        self.faults: deque[NoticeFault] = deque()
        self.probe_rate = 0.0
        self.random = random.Random(seed)  # noqa: S311 - faults, not secrets
        self.lock = threading.Lock()

    def plant(self, fault: NoticeFault) -> None:
        """Raises ValueError for a kind that doesn't exist."""
        if fault.kind not in NOTICE_FAULTS:
            raise ValueError(f"kind must be one of {', '.join(NOTICE_FAULTS)}")
        with self.lock:
            self.faults.append(fault)

    def announce(self, event_type: str, number: str, order: str, resource: dict[str, Any], url: str, at: float) -> None:
        """Tell the application; when it doesn't answer 200 or 204, again and again."""
        if not url:
            return
        notice = Notice(str(uuid.uuid4()), event_type, number, order, resource, url, at)
        notice.body = self.envelope(notice)
        with self.lock:
            self.sent.append(notice)
        self.box.agenda.at(at, lambda due: self._deliver(notice, due))

    def release(self, number: str = "") -> int:
        """Let held notices go (of one order or refund, or all); how many."""
        with self.lock:
            wanted = [order for order in self._held if number in ("", order) or self._has(order, number)]
            held = [notice for order in wanted for notice in self._held.pop(order)]
            for notice in held:
                notice.held = False
        for notice in held:
            self.box.agenda.at(self.box.clock.now(), lambda due, notice=notice: self._deliver(notice, due))  # type: ignore[misc]
        return len(held)

    def _has(self, order: str, number: str) -> bool:
        return any(one.number == number for one in self._held[order])

    def again(self, notice: Notice) -> None:
        """Send one more time, now, whatever was answered before."""
        self.box.agenda.at(self.box.clock.now(), lambda due: self._attempt(notice, due, "genuine"))

    # -- one delivery

    def _deliver(self, notice: Notice, due: float) -> None:
        faults = self._faults_for(notice)
        kinds = {fault.kind: fault for fault in faults}
        if "hold" in kinds or ("reorder" in kinds and notice.event_type == "TRANSACTION.SUCCESS"):
            with self.lock:
                notice.held = True
                self._held.setdefault(notice.order, []).append(notice)
            return
        if "silence" in kinds:
            notice.state = "silent"
            return
        if "delay" in kinds:
            self.box.agenda.at(due + kinds["delay"].seconds, lambda later: self._send(notice, later, {}))
            return
        self._send(notice, due, kinds)

    def _send(self, notice: Notice, due: float, kinds: dict[str, NoticeFault]) -> None:
        for kind in FORGERIES:
            if kind in kinds:
                self._attempt(notice, due, kind, kinds[kind])
        if self.random.random() < self.probe_rate:
            self._attempt(notice, due, "probe")
        if "drop" in kinds:
            notice.attempts.append(Attempt(due, self.box.clock.now(), "drop", 0, 0.0))
            self._repeat(notice, due)
            return
        if "new_id" in kinds and notice.attempts:
            notice.id = str(uuid.uuid4())
            notice.body = self.envelope(notice)
        status = self._copies(notice, due, kinds)
        if status in SUCCESS and "lost_answer" not in kinds:
            notice.state = "delivered"
            if notice.event_type.startswith("REFUND."):
                self.release(notice.order)
            return
        self._repeat(notice, due)

    def _copies(self, notice: Notice, due: float, kinds: dict[str, NoticeFault]) -> int:
        """The genuine one, with as many copies as the script wants; the last answer counts."""
        name = "certificate" if "certificate" in kinds else "genuine"
        if "parallel" in kinds:
            answers: list[int] = []
            threads = [
                threading.Thread(target=lambda: answers.append(self._attempt(notice, due, name)), daemon=True)
                for _ in range(max(1, kinds["parallel"].count))
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return max(answers, key=lambda status: status in SUCCESS)
        copies = kinds["duplicate"].count if "duplicate" in kinds else 1
        return [self._attempt(notice, due, name) for _ in range(max(1, copies))][-1]

    def _repeat(self, notice: Notice, due: float) -> None:
        """By the table, counted from when this attempt was due: on a fast clock the proportions stay."""
        if notice.repeats >= len(INTERVALS):
            notice.state = "given up"
            return
        notice.state = "repeating"
        wait = INTERVALS[notice.repeats]
        notice.repeats += 1
        self.box.agenda.at(due + wait, lambda later: self._deliver(notice, later))

    def _faults_for(self, notice: Notice) -> list[NoticeFault]:
        with self.lock:
            found = []
            for fault in self.faults:
                if fault.times <= 0 or fault.match not in ("*", notice.number, notice.order, notice.event_type):
                    continue
                if fault.probability < 1 and self.random.random() >= fault.probability:
                    continue
                fault.times -= 1
                found.append(fault)
            return found

    def _attempt(self, notice: Notice, due: float, kind: str, fault: NoticeFault | None = None) -> int:
        """Sign, send, write down. The answer's status; 0 for none in five seconds."""
        headers, body = self.signed(notice, kind, fault)
        started, at = time.monotonic(), self.box.clock.now()
        status, said = post(notice.url, headers, body, WAIT_SECONDS)
        seconds = time.monotonic() - started
        notice.attempts.append(Attempt(due, at, kind, status, seconds))
        violation = ""
        if kind in FORGERIES and kind not in ACCEPTABLE and 200 <= status < 300:
            violation = f"a {kind} notice was answered with {status}"
        self.box.state.journal.add(
            {
                "at": at,
                "due": due,
                "host": "callback",
                "method": "POST",
                "path": notice.url,
                "status": status,
                "outcome": f"{notice.event_type} {kind} -> {status or said}",
                "rule": kind,
                "violation": violation,
                "raw": (headers, body),
                "answer": said,
            }
        )
        return status

    # -- bytes

    def envelope(self, notice: Notice) -> bytes:
        """The body as it is sent, Chinese unescaped."""
        return self.sealed(notice, notice.resource, self.box.identity.apiv3_key)

    def sealed(
        self, notice: Notice, resource: dict[str, Any], key: str, *, event_type: str = "", event_id: str = ""
    ) -> bytes:
        """The envelope around a resource, encrypted with any key: faults need wrong ones."""
        kind = "transaction" if notice.event_type.startswith("TRANSACTION") else "refund"
        plain = json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode()
        content = {
            "id": event_id or notice.id,
            "create_time": rfc3339(notice.created),
            "resource_type": "encrypt-resource",
            "event_type": event_type or notice.event_type,
            "summary": SUMMARIES.get(notice.event_type, "通知"),
            "resource": {
                "original_type": kind,
                "algorithm": "AEAD_AES_256_GCM",
                **crypto.sealed(key, plain, kind),
            },
        }
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()

    def signed(self, notice: Notice, kind: str, fault: NoticeFault | None = None) -> tuple[dict[str, str], bytes]:
        """Headers and body of one attempt, genuine or forged in one way."""
        identity = self.box.identity
        serial, key = identity.public_key_id, identity.platform_key
        if kind == "certificate" or self.box.switches.notices_by_certificate:
            serial, key = identity.certificates[-1].serial, identity.certificates[-1].key
        timestamp, nonce = str(int(self.box.clock.wall())), secrets.token_hex(16)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Mozilla/4.0",
            "Accept": "*/*",
            "Wechatpay-Timestamp": timestamp,
            "Wechatpay-Nonce": nonce,
            "Wechatpay-Signature": crypto.sign(key, crypto.lines(timestamp, nonce, notice.body)),
            "Wechatpay-Signature-Type": crypto.SCHEME,
            "Wechatpay-Serial": serial,
        }
        if kind in FORGERIES:
            return forged(self, notice, kind, headers, key, fault.seconds if fault else 0.0)
        return headers, notice.body
