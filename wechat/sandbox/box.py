"""The whole local WeChat in one object: three addresses, one book, one clock, one journal.

In tests::

    identity, application = create()                  # keys for both sides; ``application`` is what Diandi is given
    with Sandbox(identity) as box:
        environ = box.environ(application, tmp_path)  # the settings, with the addresses
        ...
        box.pay("ORDER0001")                          # the user pays; notices go out by themselves
        box.agenda.quiet()
        assert box.journal.violations == []
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wechat.sandbox.agenda import Agenda
from wechat.sandbox.clock import Clock
from wechat.sandbox.identity import ForApplication, Identity, NotLocal, check_local, check_names
from wechat.sandbox.journal import Journal
from wechat.sandbox.mini.service import Mini
from wechat.sandbox.pay import desk, refunding, shapes
from wechat.sandbox.pay.bills import Bills
from wechat.sandbox.pay.book import Book, Order, Refund
from wechat.sandbox.pay.host import PayHost
from wechat.sandbox.pay.notices import Notices
from wechat.sandbox.server import Server
from wechat.sandbox.state import State, User
from wechat.sandbox.wire import Host

NONCES_KEPT = 100_000


@dataclass
class Switches:
    """What the sources leave open, with the default taken here; the first real account tells.

    ``refund_end``: how refunds end by themselves after ``refund_seconds``; "" leaves them to the command.
    ``paid_code``: ORDER_PAID or ORDERPAID, sources differ. ``signed_errors``: are errors signed.
    """

    paid_code: str = "ORDER_PAID"
    signed_errors: bool = False
    notices_by_certificate: bool = False
    refund_seconds: float = 5.0
    refund_end: str = "SUCCESS"


class Violated(AssertionError):
    """The application did something that WeChat lets pass but the application must never do."""


class Sandbox:
    """Raises NotLocal for identifiers of the real WeChat and in production. Ports of 0 are chosen by the system.

    ``strict``: leaving the ``with`` block raises Violated when the application did what it must not do, so a test run
    fails.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        api_port: int = 0,
        pay_port: int = 0,
        backup_port: int = 0,
        seed: int = 1,
        strict: bool = False,
    ) -> None:
        refuse_production()
        check_local(identity)
        self.identity, self.strict = identity, strict
        self.state = State(identity.appid, identity.secret, seed=seed)
        self.agenda = Agenda(self.clock)
        self.book = Book(self.clock, identity.mchid, identity.appid)
        self.bills = Bills(self.book)
        self.notices = Notices(self, seed)
        self.switches = Switches()
        self.mini = Mini(self, self.state, identity.push_token, identity.push_aes_key)
        self.apps = {identity.appid: self.mini}
        self._nonces: set[str] = set()
        self._nonce_order: deque[str] = deque()
        self.api = Server(api_port, self.state, self)
        self._pay = PayHost(self)
        self.hosts: dict[str, Host | None] = {
            "pay": Host(pay_port, self._pay, "pay"),
            "backup": Host(backup_port, self._pay, "backup"),
        }
        self._ports = {name: host.port for name, host in self.hosts.items() if host}

    # -- life

    def start(self) -> Sandbox:
        self.agenda.start()
        for host in (self.api, *self.hosts.values()):
            if host is not None:
                host.start()
        return self

    def stop(self) -> None:
        self.agenda.stop()
        for host in (self.api, *self.hosts.values()):
            if host is not None:
                host.stop()

    def __enter__(self) -> Sandbox:
        return self.start()

    def __exit__(self, failure: object, *_: object) -> None:
        self.stop()
        if self.strict and failure is None and self.journal.violations:
            raise Violated([str(one["violation"]) for one in self.journal.violations])

    def break_host(self, name: str) -> None:
        """Nobody listens on "pay" or "backup" any more: connections are refused."""
        host, self.hosts[name] = self.hosts[name], None
        if host is not None:
            host.stop()

    def mend_host(self, name: str) -> None:
        """The address listens again, on the same port."""
        if self.hosts[name] is None:
            host = self.hosts[name] = Host(self._ports[name], self._pay, name)
            host.start()

    # -- addresses and settings

    @property
    def clock(self) -> Clock:
        return self.state.clock

    @property
    def journal(self) -> Journal:
        return self.state.journal

    @property
    def api_base(self) -> str:
        return self.api.base

    @property
    def pay_base(self) -> str:
        return f"http://127.0.0.1:{self._ports['pay']}"

    @property
    def backup_base(self) -> str:
        return f"http://127.0.0.1:{self._ports['backup']}"

    def environ(self, application: ForApplication, folder: Path, notify_base: str = "") -> dict[str, str]:
        """The settings that point the application here; key files are written into the folder."""
        addresses = {"WECHAT_API_BASE": self.api_base, "WECHAT_PAY_BASE": self.pay_base}
        addresses["WECHAT_PAY_BACKUP"] = self.backup_base
        if notify_base:
            addresses["WECHAT_PAY_NOTIFY_BASE"] = notify_base
        return {**application.environ(folder), **addresses}

    # -- acting as the user and as WeChat

    def user(self, name: str, appid: str = "") -> User:
        """The user of this name, made when new, as the main mini-program (or another one) knows them."""
        return (self.apps[appid].state if appid else self.state).add_user(name)

    def user_of(self, openid: str) -> User | None:
        """Whoever has this openid in any of the mini-programs."""
        return next((m.state.by_openid[openid] for m in self.apps.values() if openid in m.state.by_openid), None)

    def add_app(self, appid: str, secret: str, push_token: str = "", push_aes_key: str = "") -> Mini:
        """Another mini-program of the same company, bound to the same merchant. Raises NotLocal."""
        check_names(appid)
        state = State(appid, secret, beside=self.state)
        aes_key = push_aes_key or self.identity.push_aes_key
        self.apps[appid] = Mini(self, state, push_token or self.identity.push_token, aes_key)
        self.book.appids.add(appid)
        return self.apps[appid]

    def order(self, number: str) -> Order | None:
        with self.book.lock:
            return self.book.order(number)

    def call_up(self, parameters: dict[str, Any], openid: str) -> desk.Opened:
        """Open the cash desk with what the application gave to the client. Raises desk.DeskRefusal."""
        return desk.call_up(self, parameters, openid)

    def pay(self, number: str, *, coupon_fen: int = 0, after: float = 0.0, anyway: bool = False) -> str:
        """The user pays an order. ``after``: begun now, finished that many business seconds later, expiry or not.
        ``anyway``: even when it is closed by then. Raises desk.DeskRefusal."""
        if after > 0:
            desk.begin(self, number, after, coupon_fen=coupon_fen, anyway=anyway)
        elif anyway:
            desk.pay_anyway(self, number, coupon_fen=coupon_fen)
        else:
            return desk.act(self, number, "pay", coupon_fen=coupon_fen)
        return desk.OK

    def decide(self, number: str, what: str, *, coupon_fen: int = 0) -> str:
        """One of desk.ACTS; what ``wx.requestPayment`` says. Raises desk.DeskRefusal."""
        return desk.act(self, number, what, coupon_fen=coupon_fen)

    def end_refund(self, number: str, status: str) -> bool:
        """SUCCESS, ABNORMAL or CLOSED, now, with its notice. False when the refund was over before."""
        return self._end_refund(number, status, self.clock.now(), by_hand=True)

    # -- what the pay host asks for

    def follow_refund(self, entry: Refund) -> None:
        """Let an accepted refund come to its end by itself."""
        ending = entry.ending or self.switches.refund_end
        if ending:
            due = entry.created + self.switches.refund_seconds
            self.agenda.at(due, lambda at: self._end_refund(entry.number, ending, at))

    def _end_refund(self, number: str, status: str, at: float, *, by_hand: bool = False) -> bool:
        entry = refunding.end(self.book, number, status, at, by_hand=by_hand)
        if entry is None:
            return False
        with self.book.lock:
            resource = shapes.refund_notice(self.book, entry)
        url = entry.request.get("notify_url", "")
        self.notices.announce(f"REFUND.{status}", number, entry.order, resource, url, at)
        return True

    def account_gone(self, openid: str) -> bool:
        user = self.user_of(openid)
        return user is not None and user.account_gone

    def knows(self, appid: str, openid: str) -> bool:
        """Is this an openid of that mini-program?"""
        return appid in self.apps and openid in self.apps[appid].state.by_openid

    def seen_nonce(self, nonce: str) -> bool:
        """Was this nonce used before? Remembers it."""
        with self.state.lock:
            if nonce in self._nonces:
                return True
            self._nonces.add(nonce)
            self._nonce_order.append(nonce)
            if len(self._nonce_order) > NONCES_KEPT:
                self._nonces.discard(self._nonce_order.popleft())
            return False


def refuse_production() -> None:
    """Raises NotLocal when the environment says production."""
    if os.environ.get("DIANDI_ENV") == "production":
        raise NotLocal("never in production (DIANDI_ENV=production)")
