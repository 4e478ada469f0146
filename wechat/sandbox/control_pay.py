"""Control of payments: the cash desk, the user's acts, refunds' ends, notices and their faults, bills, hosts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, fields, replace
from datetime import datetime
from typing import Any

from wechat.sandbox.clock import BEIJING, rfc3339
from wechat.sandbox.control import Call, Refused
from wechat.sandbox.identity import certificate, with_certificates
from wechat.sandbox.mini.shipping import state_of
from wechat.sandbox.pay import desk
from wechat.sandbox.pay.bills import PLANTS, Plant, fund_flow_bill, trade_bill
from wechat.sandbox.pay.book import Order, Refund
from wechat.sandbox.pay.notices import NOTICE_FAULTS, Notice, NoticeFault
from wechat.sandbox.pay.refunding import ENDINGS

SHOWN = 200


def _get_orders(call: Call) -> dict[str, Any]:
    box, wanted = call.box, call.query.get("openid", "")
    with box.book.lock:
        for number in list(box.book.orders)[-SHOWN:]:
            box.book.order(number)  # lets old ones close
        newest = list(box.book.orders.values())[::-1]
        orders = [_order(call, one) for one in newest if wanted in ("", one.openid)][:SHOWN]
        refunds = [_refund(one) for one in list(box.book.refunds.values())[::-1][:SHOWN]]
    return {"now": rfc3339(box.clock.now()), "orders": orders, "refunds": refunds, "balance_fen": box.book.balance_fen}


def _order(call: Call, order: Order) -> dict[str, Any]:
    expired = order.state == "NOTPAY" and call.box.clock.now() >= order.expires
    return {
        "out_trade_no": order.number,
        "description": order.request["description"],
        "total_fen": order.total_fen,
        "payer_fen": order.payer_fen,
        "state": "EXPIRED" if expired else order.state,
        "begun": order.begun,
        "user": _name(call, order),
        "openid": order.openid,
        "created": rfc3339(order.created),
        "expires": rfc3339(order.expires),
        "paid_at": None if order.paid_at is None else rfc3339(order.paid_at),
        "transaction_id": order.transaction_id,
        "refunds": list(order.refunds),
        "order_state": state_of(call.box.mini, order) if order.paid_at is not None else 0,
    }


def _name(call: Call, order: Order) -> str:
    user = call.box.user_of(order.openid)
    return user.name if user else ""


def _refund(refund: Refund) -> dict[str, Any]:
    return {
        "out_refund_no": refund.number,
        "out_trade_no": refund.order,
        "refund_fen": refund.refund_fen,
        "status": refund.status,
        "created": rfc3339(refund.created),
        "reason": refund.request.get("reason", ""),
    }


def _post_callup(call: Call) -> dict[str, Any]:
    """Open the cash desk with the five parameters and a user; says what WeChat would show."""
    user = call.state.users.get(call.text("user"))
    if user is None:
        raise Refused("no such user", 404)
    parameters = call.body.get("parameters")
    if not isinstance(parameters, dict):
        raise Refused("parameters must be the object that the application gave to the client")
    try:
        opened = call.box.call_up(parameters, user.openid)
    except desk.DeskRefusal as refusal:
        return {"opened": False, "message": refusal.text, "why": refusal.why}
    return {"opened": True, **asdict(opened)}


def _post_pay(call: Call) -> dict[str, Any]:
    """``out_trade_no``, ``act`` (pay, cancel, wrong_password, insufficient, trap), ``coupon_fen``, ``after_seconds``,
    ``anyway``, ``user``: whose hand it is, checked against the order."""
    number, what, box = call.text("out_trade_no"), call.text("act", "pay"), call.box
    coupon, after = int(call.number("coupon_fen", 0)), call.number("after_seconds", 0)
    order = box.order(number)
    user = call.text("user", "")
    try:
        if user and order is not None and user != _name(call, order):
            raise desk.DeskRefusal("下单账号与支付账号不一致", "the order is another user's")
        if what == "pay":
            said = box.pay(number, coupon_fen=coupon, after=after, anyway=bool(call.body.get("anyway")))
        else:
            said = box.decide(number, what, coupon_fen=coupon)
    except desk.DeskRefusal as refusal:
        return {"errMsg": f"requestPayment:fail {refusal.text}", "message": refusal.text, "why": refusal.why}
    except ValueError as error:
        raise Refused(str(error)) from None
    return {"errMsg": said}


def _post_refund_result(call: Call) -> dict[str, Any]:
    number, status = call.text("out_refund_no"), call.text("status").upper()
    if status not in ENDINGS:
        raise Refused(f"status must be one of {', '.join(ENDINGS)}")
    if number not in call.box.book.refunds:
        raise Refused(f"no refund {number}", 404)
    return {"out_refund_no": number, "changed": call.box.end_refund(number, status)}


def _get_callbacks(call: Call) -> dict[str, Any]:
    wanted = call.query.get("number", "")
    found = [one for one in call.box.notices.sent if wanted in ("", one.number, one.order)]
    return {"callbacks": [_notice(one) for one in found[::-1][:SHOWN]], "probe_rate": call.box.notices.probe_rate}


def _notice(notice: Notice) -> dict[str, Any]:
    return {
        "id": notice.id,
        "event_type": notice.event_type,
        "number": notice.number,
        "state": "held" if notice.held else notice.state,
        "url": notice.url,
        "attempts": [
            {**asdict(one), "due": rfc3339(one.due), "at": rfc3339(one.at), "seconds": round(one.seconds, 3)}
            for one in notice.attempts
        ],
    }


def _post_callbacks(call: Call) -> dict[str, Any]:
    """``release`` held ones (of a number, or ""), ``again`` the notice with this id, ``probe_rate``."""
    notices = call.box.notices
    done: dict[str, Any] = {}
    if "release" in call.body:
        done["released"] = notices.release(call.text("release"))
    if "again" in call.body:
        found = [one for one in notices.sent if one.id == call.text("again")]
        if not found:
            raise Refused("no such notice", 404)
        notices.again(found[0])
        done["again"] = found[0].id
    if "probe_rate" in call.body:
        notices.probe_rate = done["probe_rate"] = call.number("probe_rate", most=1)
    return done


def _get_notice_faults(call: Call) -> dict[str, Any]:
    return {"faults": [asdict(one) for one in call.box.notices.faults if one.times > 0], "kinds": NOTICE_FAULTS}


def _post_notice_faults(call: Call) -> dict[str, Any]:
    known = {one.name for one in fields(NoticeFault)}
    if set(call.body) - known:
        raise Refused(f"known: {', '.join(sorted(known))}")
    fault = NoticeFault(
        call.text("kind"),
        call.text("match", "*"),
        int(call.number("times", 1)),
        int(call.number("count", 2, least=1, most=100)),
        float(call.number("seconds", 0)),
        float(call.number("probability", 1, most=1)),
    )
    try:
        call.box.notices.plant(fault)
    except ValueError as error:
        raise Refused(str(error)) from None
    return _get_notice_faults(call)


def _delete_notice_faults(call: Call) -> dict[str, Any]:
    call.box.notices.faults.clear()
    return _get_notice_faults(call)


def _get_switches(call: Call) -> dict[str, Any]:
    bills = {"creating": call.box.bills.creating, "missing_status": call.box.bills.missing_status}
    book = {"balance_fen": call.box.book.balance_fen, "fee_rate_ppm": call.box.book.fee_rate_ppm}
    return {**asdict(call.box.switches), **bills, **book}


def _post_switches(call: Call) -> dict[str, Any]:
    """Any of what GET shows, by name."""
    box = call.box
    shown = _get_switches(call)
    for name, value in call.body.items():
        alike = name in shown and (type(value) is type(shown[name]) or _numbers(value, shown[name]))
        if not alike:
            raise Refused(f"{name} is no switch, or its value has another type")
        owner = next(one for one in (box.switches, box.bills, box.book) if hasattr(one, name))
        setattr(owner, name, value)
    return _get_switches(call)


def _numbers(*values: Any) -> bool:
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)


def _post_plants(call: Call) -> dict[str, Any]:
    """A difference in the bills: ``kind``, ``number`` of the order or refund, ``fen``."""
    kind = call.text("kind")
    if kind not in PLANTS:
        raise Refused(f"kind must be one of {', '.join(PLANTS)}")
    call.box.bills.plants.append(Plant(kind, call.text("number", ""), int(call.number("fen", 1, least=-1e9))))
    return {"plants": [asdict(one) for one in call.box.bills.plants]}


def _delete_plants(call: Call) -> dict[str, Any]:
    call.box.bills.plants.clear()
    return {"plants": []}


def _get_bills(call: Call) -> dict[str, Any]:
    """A bill as it stands now, planted differences in it: ``?date=2026-11-25&kind=trade`` (or ``fund``)."""
    date, kind = call.query.get("date", ""), call.query.get("kind", "trade")
    try:
        start = datetime.strptime(date, "%Y-%m-%d").replace(tzinfo=BEIJING).timestamp()
    except ValueError:
        raise Refused("date is a day like 2026-11-25") from None
    made = (
        trade_bill(call.box.bills, start, "ALL") if kind == "trade" else fund_flow_bill(call.box.bills, start, "BASIC")
    )
    return {"bill": "" if made is None else made.decode().lstrip("\ufeff")}


def _post_hosts(call: Call) -> dict[str, Any]:
    """``break`` or ``mend``: "pay" or "backup"."""
    for word, action in (("break", call.box.break_host), ("mend", call.box.mend_host)):
        if word in call.body:
            if call.text(word) not in call.box.hosts:
                raise Refused("hosts are pay and backup")
            action(call.text(word))
    return {"listening": {name: host is not None for name, host in call.box.hosts.items()}}


def _post_certificates(call: Call) -> dict[str, Any]:
    """``rotate``: a new one beside the old ones; ``retire``: only the newest stays; ``public_key_only``."""
    box, kept = call.box, call.box.identity.certificates
    if call.body.get("rotate"):
        box.identity = with_certificates(box.identity, *kept, certificate())
    if call.body.get("retire"):
        box.identity = with_certificates(box.identity, kept[-1])
    if "public_key_only" in call.body:
        box.identity = replace(box.identity, public_key_only=bool(call.body["public_key_only"]))
    return {
        "serials": [one.serial for one in box.identity.certificates],
        "public_key_only": box.identity.public_key_only,
    }


def _post_step(call: Call) -> dict[str, Any]:
    """Leap to the next thing that is due, and wait for it."""
    due = call.box.agenda.step()
    return {"due": None if due is None else rfc3339(due), "now": rfc3339(call.box.clock.now())}


def _post_quiet(call: Call) -> dict[str, Any]:
    """Wait until nothing is due and nothing runs."""
    return {"quiet": call.box.agenda.quiet(call.number("seconds", 10, most=60))}


CONTROL: dict[tuple[str, str], Callable[[Call], dict[str, Any]]] = {
    ("GET", "orders"): _get_orders,
    ("POST", "callup"): _post_callup,
    ("POST", "pay"): _post_pay,
    ("POST", "refund-result"): _post_refund_result,
    ("GET", "callbacks"): _get_callbacks,
    ("POST", "callbacks"): _post_callbacks,
    ("GET", "notice-faults"): _get_notice_faults,
    ("POST", "notice-faults"): _post_notice_faults,
    ("DELETE", "notice-faults"): _delete_notice_faults,
    ("GET", "switches"): _get_switches,
    ("POST", "switches"): _post_switches,
    ("POST", "bill-plants"): _post_plants,
    ("DELETE", "bill-plants"): _delete_plants,
    ("GET", "bills"): _get_bills,
    ("POST", "hosts"): _post_hosts,
    ("POST", "certificates"): _post_certificates,
    ("POST", "step"): _post_step,
    ("POST", "quiet"): _post_quiet,
}
