"""The HTTP side of WeChat Pay: each request is verified over its raw bytes, each good answer is signed."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from wechat.sandbox import crypto
from wechat.sandbox.faults import SIGNING, Fault, broken, spoiled
from wechat.sandbox.pay import bills, certificates, refunding, shapes, trading
from wechat.sandbox.pay.fields import parse
from wechat.sandbox.pay.refusals import PayRefusal, wrong_field
from wechat.sandbox.wire import Answer, Request

if TYPE_CHECKING:
    from wechat.sandbox.box import Sandbox

WINDOW_SECONDS = 300
LONGEST_NONCE = 128
_ORDERS = "/v3/pay/transactions/out-trade-no/"
_BY_ID = "/v3/pay/transactions/id/"
_REFUNDS = "/v3/refund/domestic/refunds"


class PayHost:
    """What both addresses of WeChat Pay run. Called with a request, answers it and writes the journal."""

    def __init__(self, box: Sandbox) -> None:
        self.box = box

    def __call__(self, request: Request) -> Answer:
        state = self.box.state
        fault = state.faults.take(request.path, request.host)
        checks: dict[str, Any] = {}
        if fault is not None and fault.kind == "delay":
            time.sleep(fault.seconds)
        answer, outcome = self._answer(request, fault, checks)
        if fault is not None and fault.kind == "delay_after":
            time.sleep(fault.seconds)
        state.journal.add(
            {
                "at": state.now(),
                "wall": state.clock.wall(),
                "host": request.host,
                "method": request.method,
                "path": request.path,
                "status": answer.status,
                "outcome": outcome,
                "checks": checks,
                "rule": fault.kind if fault else "",
                "violation": checks.pop("violation", ""),
                "raw": request,
                "answer": answer,
            }
        )
        return answer

    def _answer(self, request: Request, fault: Fault | None, checks: dict[str, Any]) -> tuple[Answer, str]:
        kind = fault.kind if fault else ""
        instead = broken(kind)
        if instead is not None:
            return instead, f"fault {kind}"
        try:
            self._verify(request, checks)
            serial = self._answer_serial(request)
            if kind == "rate":
                raise PayRefusal(429, "FREQUENCY_LIMITED", "频率限制，请稍后重试", 268447840)
            if kind in ("system_error", "busy"):
                raise PayRefusal(500, "SYSTEM_ERROR", "系统异常，请用相同参数重新调用", 268435467)
            answer = self._dispatch(request)
            if kind == "system_error_after":
                raise PayRefusal(500, "SYSTEM_ERROR", "系统异常，请用相同参数重新调用", 268435467)
        except PayRefusal as refusal:
            return self._refused(refusal), f"{refusal.status} {refusal.code} {refusal.number or ''}".strip()
        if "download" not in answer.headers:
            self._sign(answer, serial, kind if kind in SIGNING else "")
        answer.headers.pop("download", None)
        return spoiled(kind, answer), f"{answer.status}"

    # -- in

    def _verify(self, request: Request, checks: dict[str, Any]) -> None:
        """Section 4.1 of the sandbox's rules, in order. Raises PayRefusal 401, or 400 for missing headers."""
        identity = self.box.identity
        parts = crypto.authorization(request.headers.get("Authorization") or "")
        checks["authorization"] = parts is not None
        if parts is None:
            raise _sign_error("Authorization", "Http头Authorization值格式错误", "")
        message = crypto.lines(request.method, request.target, parts["timestamp"], parts["nonce_str"], request.body)
        for name, holds in (
            ("mchid", parts["mchid"] == identity.mchid),
            ("serial_no", _same_serial(parts["serial_no"], identity.merchant_serial)),
            ("timestamp", self._timely(parts["timestamp"])),
            ("nonce_str", len(parts["nonce_str"]) <= LONGEST_NONCE),
            ("signature", crypto.signed_by(identity.merchant_key, parts["signature"], message)),
        ):
            checks[name] = holds
            if not holds:
                raise _sign_error(name, f"{name}错误，验签失败", message.decode(errors="replace"))
        if self.box.seen_nonce(parts["nonce_str"]):
            checks["violation"] = "a nonce was used twice"
        for name in ("Accept", "User-Agent"):
            checks[name] = bool(request.headers.get(name))
            if not checks[name]:
                raise PayRefusal(400, "PARAM_ERROR", f"Http头缺少{name}", 268435461)
        if request.body and not _is_json(request.headers.get("Content-Type") or ""):
            raise PayRefusal(415, "PARAM_ERROR", "Content-Type必须为application/json", 268435461)

    def _timely(self, timestamp: str) -> bool:
        plain = timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12
        return plain and abs(self.box.state.clock.wall() - int(timestamp)) <= WINDOW_SECONDS

    def _answer_serial(self, request: Request) -> str:
        wanted = request.headers.get("Wechatpay-Serial") or ""
        identity = self.box.identity
        if not wanted:
            return identity.public_key_id if identity.public_key_only else identity.certificates[-1].serial
        if identity.key_for(wanted) is None:
            raise PayRefusal(400, "PARAM_ERROR", "Wechatpay-Serial不是本商户可用的公钥ID或证书序列号", 268435461)
        return wanted

    # -- what is asked

    def _dispatch(self, request: Request) -> Answer:
        method, path = request.method, unquote(request.path)
        for wanted, prefix, suffix, action in self._routes():
            middle = path[len(prefix) : len(path) - len(suffix) if suffix else None]
            if path.startswith(prefix) and path.endswith(suffix) and (bool(middle) is (prefix[-1] == "/")):
                if "/" in middle:
                    continue
                if method != wanted:
                    raise PayRefusal(405, "METHOD_NOT_ALLOWED", "请求方法不支持")
                return action(request, middle)
        raise PayRefusal(404, "NOT_FOUND", "请求的资源不存在")

    def _routes(self) -> tuple[tuple[str, str, str, Callable[[Request, str], Answer]], ...]:
        return (
            ("POST", "/v3/pay/transactions/jsapi", "", self._prepay),
            ("POST", _ORDERS, "/close", self._close),
            ("GET", _ORDERS, "", self._query),
            ("GET", _BY_ID, "", self._query_by_id),
            ("POST", _REFUNDS, "", self._refund),
            ("GET", _REFUNDS + "/", "", self._query_refund),
            ("GET", "/v3/certificates", "", self._certificates),
            ("GET", "/v3/bill/tradebill", "", self._trade_bill),
            ("GET", "/v3/bill/fundflowbill", "", self._fund_flow_bill),
            ("GET", "/v3/billdownload/file", "", self._bill_file),
        )

    def _prepay(self, request: Request, _: str) -> Answer:
        return _json(trading.prepay(self.box.book, parse(request.body), self.box.knows))

    def _query(self, request: Request, number: str) -> Answer:
        return _json(trading.query(self.box.book, number, _one(request, "mchid", only=("mchid",))))

    def _query_by_id(self, request: Request, number: str) -> Answer:
        return _json(trading.query(self.box.book, number, _one(request, "mchid", only=("mchid",)), by_transaction=True))

    def _close(self, request: Request, number: str) -> Answer:
        trading.close(self.box.book, number, parse(request.body), self.box.switches.paid_code)
        return Answer(204)

    def _refund(self, request: Request, _: str) -> Answer:
        entry, new = refunding.refund(self.box.book, parse(request.body), self.box.account_gone)
        with self.box.book.lock:
            body = shapes.refund(self.box.book, entry)
        if new:
            self.box.follow_refund(entry)
        return _json(body)

    def _query_refund(self, request: Request, number: str) -> Answer:
        return _json(refunding.query(self.box.book, number))

    def _certificates(self, request: Request, _: str) -> Answer:
        return _json(certificates.listed(self.box.identity))

    def _trade_bill(self, request: Request, _: str) -> Answer:
        return _json(self._bill(request, "trade", "bill_type", ("ALL", "SUCCESS", "REFUND")))

    def _fund_flow_bill(self, request: Request, _: str) -> Answer:
        return _json(self._bill(request, "fund", "account_type", ("BASIC", "OPERATION", "FEES")))

    def _bill(self, request: Request, what: str, choice: str, allowed: tuple[str, ...]) -> dict[str, Any]:
        only = ("bill_date", choice, "tar_type")
        kind, zipped = _one(request, choice, allowed[0], only=only), _one(request, "tar_type", "", only=only)
        for name, value, options in ((choice, kind, allowed), ("tar_type", zipped, ("", "GZIP"))):
            if value not in options:
                raise wrong_field(name, value, "取值不在允许的范围内", location="query")
        base = self.box.backup_base if request.host == "backup" else self.box.pay_base
        return self.box.bills.offer(base, _one(request, "bill_date", only=only), what, kind, zipped == "GZIP")

    def _bill_file(self, request: Request, _: str) -> Answer:
        content = self.box.bills.file(_one(request, "token", "", only=("token",)))
        kind = "application/octet-stream" if content[:2] == bills.GZIP_MARK else "text/plain; charset=utf-8"
        return Answer(200, content, {"Content-Type": kind, "download": "yes", "Request-ID": _request_id(0)})

    # -- out

    def _sign(self, answer: Answer, serial: str, fault: str = "") -> None:
        """Signature headers over the very bytes; ``fault`` is one of SIGNING or empty."""
        key = self.box.identity.key_for(serial)
        assert key is not None
        timestamp = str(int(self.box.state.clock.wall()) - (301 if fault == "stale_answer" else 0))
        nonce = secrets.token_hex(16)
        signed = b"another body" if fault == "wrong_signature" else answer.body
        answer.headers |= {
            "Request-ID": _request_id(0),
            "Wechatpay-Nonce": nonce,
            "Wechatpay-Timestamp": timestamp,
            "Wechatpay-Signature": crypto.sign(key, crypto.lines(timestamp, nonce, signed)),
            "Wechatpay-Serial": "5B00000000000000000000000000000000000000" if fault == "unknown_serial" else serial,
            "Wechatpay-Signature-Type": crypto.SCHEME,
        }
        if fault == "no_signature":
            del answer.headers["Wechatpay-Signature"]

    def _refused(self, refusal: PayRefusal) -> Answer:
        answer = _json(refusal.body(), refusal.status)
        if self.box.switches.signed_errors:
            self._sign(answer, self.box.identity.public_key_id)
        answer.headers["Request-ID"] = _request_id(refusal.number)
        return answer


def _sign_error(field: str, issue: str, built: str) -> PayRefusal:
    """401, with the string that this side built, so that a developer sees the difference."""
    information: dict[str, Any] = {"sign_message_length": len(built.encode()), "truncated_sign_message": built[:4096]}
    detail = {"field": field, "issue": issue, "location": "authorization", "sign_information": information}
    return PayRefusal(401, "SIGN_ERROR", "错误的签名，验签失败", 268443699, detail)


def _one(request: Request, name: str, default: str | None = None, *, only: tuple[str, ...]) -> str:
    query = request.query
    for other in query:
        if other not in only:
            raise PayRefusal(400, "INVALID_REQUEST", f"未定义的参数：{other}", 270924358)
    values = query.get(name, [] if default is None else [default])
    if len(values) != 1:
        raise wrong_field(name, None, "缺少必填参数或重复", location="query")
    return values[0]


def _same_serial(given: str, ours: str) -> bool:
    return given.upper().lstrip("0") == ours.upper().lstrip("0")


def _is_json(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "application/json"


def _request_id(number: int) -> str:
    return f"08{secrets.token_hex(14).upper()}-{number}"


def _json(content: dict[str, Any], status: int = 200) -> Answer:
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return Answer(status, body, {"Content-Type": "application/json; charset=utf-8"})
