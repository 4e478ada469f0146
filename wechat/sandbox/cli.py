"""The cash desk and the controls from a terminal: ``python -m wechat.sandbox pay OUT_TRADE_NO`` and the like."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ENV_FILE = Path("var") / "env"
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
USUAL = "http://127.0.0.1:9101"
Words = argparse.Namespace


class Failed(Exception):
    """What to tell the person at the terminal."""


def act(words: list[str]) -> int:
    """Do one thing to a running local WeChat and print its answer as JSON. 0 done, 1 refused, 2 not understood."""
    options = _parser().parse_args(words)
    try:
        method, what, body = options.make(options)
        answer = _call(options.at, method, what, body)
    except Failed as failure:
        sys.stderr.write(f"{failure}\n")
        return 1
    sys.stdout.write(json.dumps(answer, ensure_ascii=False, indent=1) + "\n")
    return 1 if str(answer.get("errMsg", "")).startswith("requestPayment:fail ") and options.act == "pay" else 0


def seconds(text: str) -> float:
    """``20m``, ``2h``, ``90s``, ``1d`` or plain seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    if found is None:
        raise argparse.ArgumentTypeError("a time like 20m, 2h, 90s or 1d")
    return float(found.group(1)) * UNITS[found.group(2) or "s"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m wechat.sandbox", description="Act on a running local WeChat.")
    parser.add_argument("--at", default=_address(), help="its address (default: where `make run` started it)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, about: str, make: Callable[[Words], tuple[str, str, Any]]) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=about, description=about)
        added.set_defaults(make=make, act=name)
        return added

    _payment_commands(command)
    _other_commands(command)
    _people_commands(command)
    return parser


def _payment_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    pay = command("pay", "pay an order as its user", _pay)
    pay.add_argument("number")
    pay.add_argument("--as", dest="user", default="", help="whose hand it is")
    pay.add_argument("--after", type=seconds, default=0.0, help="begin now, finish later: 20m")
    pay.add_argument("--coupon", type=int, default=0, help="fen that a coupon pays")
    pay.add_argument("--anyway", action="store_true", help="also when it is closed or expired")
    for name, about in (
        ("cancel", "the user closes the cash desk"),
        ("wrong-password", "the user mistypes; the order stays unpaid"),
        ("insufficient", "the user's balance is too small; the order stays unpaid"),
        ("trap", "the client is told success although nothing was paid"),
    ):
        acted = command(name, about, lambda o: ("POST", "pay", {"out_trade_no": o.number, "act": _act(o)}))
        acted.add_argument("number")
    orders = command("orders", "orders and refunds, the newest first", lambda _: ("GET", "orders", None))
    orders.set_defaults(act="orders")
    refund = command(
        "refund-result",
        "let a refund end",
        lambda o: ("POST", "refund-result", {"out_refund_no": o.number, "status": o.status}),
    )
    refund.add_argument("number")
    refund.add_argument("status", choices=("success", "abnormal", "closed"))
    callbacks = command("callbacks", "notices with their attempts and answers", _callbacks)
    callbacks.add_argument("number", nargs="?", default="")
    callbacks.add_argument("--release", action="store_true", help="let held ones go")
    plant = command(
        "bill",
        "plant a difference into the bills",
        lambda o: ("POST", "bill-plants", _kept(o, "kind", "number", "fen")),
    )
    plant.add_argument("kind")
    plant.add_argument("number", nargs="?", default="")
    plant.add_argument("--fen", type=int, default=1)


def _other_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    login = command("login", "a login code for a user", lambda o: ("POST", "codes", {"user": o.user}))
    login.add_argument("user")
    clock = command("clock", "business time: show, advance 2h, scale 600, step", _clock)
    clock.add_argument("what", choices=("show", "advance", "scale", "step"), nargs="?", default="show")
    clock.add_argument("value", type=seconds, nargs="?", default=0.0)
    fault = command("fault", "plant a fault for calls, or for notices with --notice", _fault)
    fault.add_argument("kind", help="a kind, or `clear`")
    fault.add_argument("match", nargs="?", default="*", help="a path pattern; with --notice a number or event type")
    fault.add_argument("--notice", action="store_true")
    fault.add_argument("--times", type=int, default=1)
    fault.add_argument("--seconds", type=seconds, default=0.0)
    fault.add_argument("--probability", type=float, default=1.0)
    journal = command(
        "journal", "the last calls and the violations", lambda o: ("GET", f"journal?limit={o.limit}", None)
    )
    journal.add_argument("--limit", type=int, default=20)


def _people_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """What a user does in the mini-program and in WeChat."""
    popup = command("popup", "answer the subscription popup of a template", _popup)
    popup.add_argument("user")
    popup.add_argument("template")
    popup.add_argument("answer", choices=("accept", "reject"), nargs="?", default="accept")
    revoke = command("revoke", "take back what was authorised: 8 is the phone number, 12 the steps", _revoke)
    revoke.add_argument("user")
    revoke.add_argument("kind", nargs="?", default="8")
    event = command("event", "another event of a user", lambda o: ("POST", "events", _kept(o, "user", "kind")))
    event.add_argument("user")
    event.add_argument("kind", choices=("modified", "cancel", "controlled", "remind_api"))
    say = command("say", "write to the customer service", lambda o: ("POST", "say", _kept(o, "user", "text")))
    say.add_argument("user")
    say.add_argument("text")
    for name, about, what in (
        ("phone", "press the button for the phone number: a code", "phone-codes"),
        ("visit", "open the mini-program", "visits"),
        ("steps", "what wx.getWeRunData gives", "werun"),
    ):
        acted = command(name, about, lambda o, what=what: ("POST", what, {"user": o.user}))
        acted.add_argument("user")
    inbox = command("inbox", "what a user sees in WeChat", lambda o: ("GET", f"inbox?user={o.user}", None))
    inbox.add_argument("user")
    receipt = command(
        "receipt", "confirm that goods arrived", lambda o: ("POST", "receipts", {"out_trade_no": o.number})
    )
    receipt.add_argument("number")
    show = command("show-bill", "a bill as it stands", lambda o: ("GET", f"bills?date={o.date}&kind={o.kind}", None))
    show.add_argument("date")
    show.add_argument("kind", choices=("trade", "fund"), nargs="?", default="trade")


def _popup(o: Words) -> tuple[str, str, Any]:
    return "POST", "popups", _kept(o, "user", "template", "answer")


def _revoke(o: Words) -> tuple[str, str, Any]:
    return "POST", "events", {"user": o.user, "kind": "revoke", "revoke_info": o.kind}


def _pay(o: Words) -> tuple[str, str, Any]:
    body = {"out_trade_no": o.number, "user": o.user, "after_seconds": o.after}
    return "POST", "pay", {**body, "coupon_fen": o.coupon, "anyway": o.anyway}


def _act(o: Words) -> str:
    return str(o.act).replace("-", "_")


def _callbacks(o: Words) -> tuple[str, str, Any]:
    if o.release:
        return "POST", "callbacks", {"release": o.number}
    return "GET", f"callbacks?number={o.number}", None


def _clock(o: Words) -> tuple[str, str, Any]:
    calls: dict[str, tuple[str, str, Any]] = {
        "show": ("GET", "clock", None),
        "advance": ("POST", "clock", {"advance_seconds": o.value}),
        "scale": ("POST", "clock", {"scale": o.value}),
        "step": ("POST", "step", {"go": True}),
    }
    return calls[o.what]


def _fault(o: Words) -> tuple[str, str, Any]:
    where = "notice-faults" if o.notice else "faults"
    if o.kind == "clear":
        return "DELETE", where, None
    return (
        "POST",
        where,
        {"match" if o.notice else "path": o.match, **_kept(o, "kind", "times", "seconds", "probability")},
    )


def _kept(o: Words, *names: str) -> dict[str, Any]:
    return {name: getattr(o, name) for name in names}


def _address() -> str:
    given = os.environ.get("WECHAT_API_BASE", "")
    if not given and ENV_FILE.is_file():
        lines = (line.partition("=") for line in ENV_FILE.read_text().splitlines())
        given = next((value for name, _, value in lines if name == "WECHAT_API_BASE"), "")
    return given or USUAL


def _call(base: str, method: str, what: str, body: Any) -> dict[str, Any]:
    parts = urlsplit(base)
    line = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=70)
    try:
        line.request(method, f"/_sandbox/{what}", None if body is None else json.dumps(body))
        reply = line.getresponse()
        answer = json.loads(reply.read())
    except (OSError, ValueError, http.client.HTTPException):
        raise Failed(f"no local WeChat at {base}; start it with `make run`, or name it with --at") from None
    finally:
        line.close()
    if reply.status != 200:
        raise Failed(str(answer.get("error", answer)))
    return dict(answer)
