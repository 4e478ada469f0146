"""All interfaces of the mini-program's side in one table, with what each call has in common."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wechat.sandbox.clock import rfc3339
from wechat.sandbox.faults import Fault, broken, spoiled
from wechat.sandbox.mini import codes, login, messages, people, safety, shipping, tokens
from wechat.sandbox.mini.calls import Interface, MiniCall, MiniRefusal, refusal
from wechat.sandbox.mini.push import Push
from wechat.sandbox.pay.book import Order
from wechat.sandbox.state import State
from wechat.sandbox.wire import Answer, Request

if TYPE_CHECKING:
    from wechat.sandbox.box import Sandbox

REFUSING = {"busy": -1, "system_error": -1, "rate": 45011, "quota": 45009, "bad_token": 40001, "expired_token": 42001}


@dataclass
class MiniSwitches:
    """What the sources leave open, or what differs between accounts."""

    plain_text: bool = True
    hmac_key_as_text: bool = True
    send_seconds: float = 0.0
    media_seconds: float = 2.0
    media_event_first: bool = False
    trade_managed: bool = True


@dataclass(frozen=True)
class Route:
    """One path: its method, whether it needs a token, who answers."""

    method: str
    token: bool
    interface: Interface


ROUTES: dict[str, Route] = {
    "/cgi-bin/stable_token": Route("", False, tokens.stable_token),
    "/cgi-bin/token": Route("GET", False, tokens.token),
    "/wxa/checksession": Route("GET", True, people.check_session),
    "/wxa/resetusersessionkey": Route("GET", True, people.reset_session),
    "/wxa/business/getuserphonenumber": Route("POST", True, people.phone_number),
    "/wxa/getwxacodeunlimit": Route("POST", True, codes.unlimited),
    "/wxa/generate_urllink": Route("POST", True, codes.url_link),
    "/wxa/generatescheme": Route("POST", True, codes.scheme),
    "/wxa/query_urllink": Route("POST", True, codes.query_link),
    "/wxa/queryscheme": Route("POST", True, codes.query_link),
    "/cgi-bin/message/subscribe/send": Route("POST", True, messages.send),
    "/cgi-bin/message/custom/send": Route("POST", True, messages.custom),
    "/wxa/msg_sec_check": Route("POST", True, safety.text),
    "/wxa/media_check_async": Route("POST", True, safety.media),
    "/wxa/sec/order/upload_shipping_info": Route("POST", True, shipping.upload),
    "/wxa/sec/order/get_order": Route("POST", True, shipping.get_order),
    "/wxa/sec/order/is_trade_managed": Route("POST", True, shipping.is_trade_managed),
    "/wxa/sec/order/notify_confirm_receive": Route("POST", True, shipping.confirmed),
    "/wxa/sec/order/set_msg_jump_path": Route("POST", True, shipping.jump_path),
}


class Mini:
    """The mini-program's side of a sandbox."""

    def __init__(self, box: Sandbox, state: State, push_token: str, push_aes_key: str) -> None:
        self.box, self.state = box, state
        self.switches = MiniSwitches()
        self.tokens = tokens.Tokens()
        self.messages = messages.Messages()
        self.safety = safety.Safety()
        self.codes = codes.Codes()
        self.push = Push(box, state.appid, push_token, push_aes_key)
        self.steps: dict[str, dict[str, int]] = {}

    def follow_shipping(self, order: Order, told: dict[str, Any]) -> None:
        """The events after a shipping: how it will settle, and when it has."""
        if not told["all"]:
            return
        due = told["shipped_at"] + shipping.SETTLE_DAYS[told["kind"]] * 86400
        key = {"transaction_id": order.transaction_id, "merchant_id": self.box.book.mchid}
        key["merchant_trade_no"] = order.number
        times = {"pay_time": int(order.paid_at or 0), "shipped_time": int(told["shipped_at"])}
        event = "trade_manage_order_settlement"
        self.push.event(order.openid, event, {**key, **times, "estimated_settlement_time": int(due)})
        self.box.agenda.at(due, lambda at: self._settle(order, told["shipped_at"], at, 2), aside=True)

    def confirm(self, order: Order) -> bool:
        """The user confirms the receipt by hand. False when there is nothing to confirm."""
        if shipping.state_of(self, order) != shipping.SHIPPED:
            return False
        self._settle(order, order.shipping["shipped_at"], self.state.now(), 1)
        return True

    def _settle(self, order: Order, shipped_at: float, at: float, method: int) -> None:
        with self.box.book.lock:
            kept = order.shipping
            if kept.get("confirmed_at") is not None or kept.get("shipped_at") != shipped_at:
                return
            if self.box.book.refunded(order) >= order.total_fen:
                return
            kept["confirmed_at"] = at
        key = {"transaction_id": order.transaction_id, "merchant_trade_no": order.number}
        times = {"confirm_receive_time": int(at), "settlement_time": int(at), "shipped_time": int(shipped_at)}
        event = "trade_manage_order_settlement"
        self.push.event(order.openid, event, {**key, **times, "confirm_receive_method": method})

    def paid(self, order: Order, at: float) -> None:
        """After a payment: WeChat reminds when nothing was shipped within 48 hours."""
        if self.switches.trade_managed:
            self.box.agenda.at(at + shipping.REMIND_SECONDS, lambda _: self._remind(order), aside=True)

    def _remind(self, order: Order) -> None:
        if shipping.state_of(self, order) == shipping.TO_SHIP:
            told = {"transaction_id": order.transaction_id, "merchant_trade_no": order.number}
            at = rfc3339(order.paid_at or 0)
            self.push.event(order.openid, "trade_manage_remind_shipping", {**told, "msg": "请尽快发货", "pay_time": at})


def answer(state: State, box: Sandbox | None, request: Request) -> Answer:
    """Answer a call of the mini-program's side; the journal is written before, so nobody can read it too early."""
    mini = _whose(box, request) if box else None
    state = mini.state if mini else state
    fault = state.take_fault(request.path)
    if fault is not None and fault.kind == "delay":
        time.sleep(fault.seconds)
    elif fault is not None and fault.kind != "delay_after":
        state.note(request.path, f"fault {fault.kind}")
        return _faulty(state, mini, request, fault)
    done = _done(state, mini, request, note=True)
    if fault is not None and fault.kind == "delay_after":
        time.sleep(fault.seconds)
    return done


def _whose(box: Sandbox, request: Request) -> Mini:
    """The mini-program that a call is about: by its app id, by its token, else the main one."""
    appid, token = (request.query.get(name, [""])[0] for name in ("appid", "access_token"))
    if not appid and not token:
        try:
            named = json.loads(request.body or b"{}").get("appid")
        except (ValueError, AttributeError, RecursionError):
            named = ""
        appid = named if isinstance(named, str) else ""
    owners = (mini for mini in box.apps.values() if token and token in mini.tokens.given)
    return box.apps.get(appid) or next(owners, box.mini)


def _faulty(state: State, mini: Mini | None, request: Request, fault: Fault) -> Answer:
    """Play a planted fault. ``lost_answer`` does the work and then cuts the line: the decisive one for retries."""
    instead = broken(fault.kind)
    if instead is not None:
        return instead
    if fault.kind in REFUSING or fault.kind == "errcode":
        return _json(refusal(REFUSING.get(fault.kind, fault.errcode)), mini)
    if fault.kind == "no_openid":
        return _json({"session_key": "x"}, mini)
    if fault.kind == "token_revoked" and mini is not None:
        mini.tokens.revoke()
    return spoiled(fault.kind, _done(state, mini, request, note=fault.kind == "token_revoked"))


def _done(state: State, mini: Mini | None, request: Request, *, note: bool) -> Answer:
    if request.path == login.PATH:
        if request.method != "GET":
            return _json(refusal(43001), mini)
        return _json(login.answer(state, request.query), mini)
    route = ROUTES.get(request.path)
    if route is None or mini is None:
        return Answer(404, b"not found", {"Content-Type": "text/plain"})
    call = MiniCall(mini, request)
    try:
        if route.method and request.method != route.method:
            raise MiniRefusal(43002 if route.method == "POST" else 43001)
        if route.token:
            mini.tokens.check(call)
        found: dict[str, Any] | Answer = route.interface(call)
    except MiniRefusal as refused:
        found = refusal(refused.errcode, refused.text)
    outcome = f"errcode {found.get('errcode', 0)}" if isinstance(found, dict) else str(found.status)
    if note:
        state.note(request.path, outcome, "; ".join(call.violations))
    return found if isinstance(found, Answer) else _json(found, mini)


def _json(content: dict[str, Any], mini: Mini | None) -> Answer:
    mimetype = "text/plain" if mini is None or mini.switches.plain_text else "application/json; charset=utf-8"
    return Answer(200, json.dumps(content, ensure_ascii=False).encode(), {"Content-Type": mimetype})
