"""Message push from WeChat to the application: plain or secure, JSON or XML, up to three attempts, faults by script."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from xml.sax.saxutils import escape

from wechat.sandbox import crypto
from wechat.sandbox.outbound import call as outbound

if TYPE_CHECKING:
    from wechat.sandbox.box import Sandbox

ATTEMPTS, APART_SECONDS, WAIT_SECONDS = 3, 5.0, 5.0
MODES, FORMATS = ("plain", "secure"), ("json", "xml")
FORGED = ("wrong_signature", "signature_swapped", "foreign_appid", "bad_padding", "no_encrypt", "stale")
PUSH_FAULTS = (*FORGED, "drop", "duplicate", "parallel", "unknown_event", "hold")
NESTS = {
    "subscribe_msg_popup_event": "SubscribeMsgPopupEvent",
    "subscribe_msg_change_event": "SubscribeMsgChangeEvent",
    "subscribe_msg_sent_event": "SubscribeMsgSentEvent",
}
GH = "gh_local00sandbox"


@dataclass
class PushFault:
    """For the next ``times`` events of this name ("*": any)."""

    kind: str
    match: str = "*"
    times: int = 1
    count: int = 3


@dataclass
class Pushed:
    """One event and how it went."""

    openid: str
    name: str
    message: dict[str, Any]
    attempts: list[tuple[str, int, str]] = field(default_factory=list)
    held: bool = False


class Push:
    """``url`` empty: nothing is configured in WeChat's console, events are kept and not sent.

    ``numbers_as_text``: as in the official samples. ``mode`` and ``format`` may change at run time.
    """

    def __init__(self, box: Sandbox, appid: str, token: str, aes_key: str) -> None:
        self.box, self.appid, self.token, self.aes_key = box, appid, token, aes_key
        self.url = ""
        self.mode, self.format = "secure", "json"
        self.numbers_as_text = False
        self.sent: deque[Pushed] = deque(maxlen=5_000)
        self.faults: list[PushFault] = []
        self.lock = threading.Lock()

    def event(
        self, openid: str, name: str, fields: dict[str, Any], *, listed: list[dict[str, Any]] | None = None
    ) -> Pushed:
        """An event; ``List`` is an object when there is one entry and an array when there are several."""
        message: dict[str, Any] = {"MsgType": "event", "Event": name, **fields}
        if listed is not None:
            message["List"] = listed[0] if len(listed) == 1 else listed
        return self.send(openid, name, message)

    def send(self, openid: str, name: str, message: dict[str, Any]) -> Pushed:
        """Queue a message of this user."""
        created: Any = int(self.box.clock.now())
        head = {"ToUserName": GH, "FromUserName": openid, "CreateTime": created}
        whole = {**head, **message}
        pushed = Pushed(openid, name, self._as_samples(whole) if self.numbers_as_text else whole)
        with self.lock:
            self.sent.append(pushed)
        if self.url:
            self.box.agenda.at(self.box.clock.now(), lambda due: self._deliver(pushed, due))
        return pushed

    def release(self) -> int:
        """Let held events go, the last one first."""
        with self.lock:
            held = [one for one in self.sent if one.held][::-1]
        for pushed in held:
            pushed.held = False
            self._once(pushed, "genuine")
        return len(held)

    def verify(self) -> bool:
        """The GET that WeChat's console sends when the address is saved: does it answer the echo?"""
        timestamp, nonce, echo = str(int(self.box.clock.wall())), str(secrets.randbelow(10**9)), secrets.token_hex(9)
        signature = crypto.push_signature(self.token, timestamp, nonce)
        query = {"signature": signature, "timestamp": timestamp, "nonce": nonce, "echostr": echo}
        status, body, _ = outbound("GET", f"{self.url}?{urlencode(query)}", {}, None, WAIT_SECONDS)
        return status == 200 and body == echo.encode()

    # -- one delivery

    def _deliver(self, pushed: Pushed, due: float, attempt: int = 1) -> None:
        fault = self._fault(pushed)
        kind = fault.kind if fault else ""
        if kind == "hold":
            pushed.held = True
            return
        if kind in FORGED or kind == "unknown_event":
            self._once(pushed, kind)
        if kind == "drop":
            pushed.attempts.append(("drop", 0, ""))
            heard = False
        elif kind == "parallel" and fault is not None:
            threads = [threading.Thread(target=self._once, args=(pushed, "genuine")) for _ in range(fault.count)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            heard = True
        else:
            heard = self._once(pushed, "genuine")
            if kind == "duplicate":
                heard = self._once(pushed, "genuine")
        if not heard and attempt < ATTEMPTS:
            self.box.agenda.at(due + APART_SECONDS, lambda later: self._deliver(pushed, later, attempt + 1))

    def _fault(self, pushed: Pushed) -> PushFault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and fault.match in ("*", pushed.name):
                    fault.times -= 1
                    return fault
            return None

    def _once(self, pushed: Pushed, kind: str) -> bool:
        """Was it heard? 200 with ``success``, an empty body, or an encrypted answer that can be read."""
        query, body = self.bytes_of(pushed, kind)
        mimetype = "application/json" if self.format == "json" else "text/xml"
        headers = {"Content-Type": mimetype, "User-Agent": "Mozilla/4.0"}
        started = time.monotonic()
        status, said, _ = outbound("POST", f"{self.url}?{urlencode(query)}", headers, body, WAIT_SECONDS)
        heard = status == 200 and self._understood(said)
        pushed.attempts.append((kind, status, said[:200].decode(errors="replace")))
        violation = f"a {kind} push was answered with {status}" if kind in FORGED and 200 <= status < 300 else ""
        if kind == "genuine" and status == 200 and not heard:
            violation = "an answer to a push that is neither success, empty, nor encrypted"
        self.box.journal.add(
            {
                "at": self.box.clock.now(),
                "host": "push",
                "method": "POST",
                "path": self.url,
                "status": status,
                "outcome": f"{pushed.name} {kind} -> {status} in {time.monotonic() - started:.3f} s",
                "rule": kind,
                "violation": violation,
                "raw": (query, body),
                "answer": said,
            }
        )
        return heard

    def _understood(self, said: bytes) -> bool:
        if said.strip() in (b"", b"success"):
            return True
        try:
            answer = json.loads(said)
            parts = (str(answer["TimeStamp"]), str(answer["Nonce"]), answer["Encrypt"])
            signed = crypto.push_signature(self.token, *parts) == answer["MsgSignature"]
            _, appid = crypto.push_opened(self.aes_key, answer["Encrypt"])
        except (ValueError, KeyError, TypeError):
            return False
        return signed and appid == self.appid

    # -- bytes

    def bytes_of(self, pushed: Pushed, kind: str = "genuine") -> tuple[dict[str, str], bytes]:
        """Query and body of one attempt, genuine or wrong in one way."""
        message = pushed.message if kind != "unknown_event" else {**pushed.message, "Event": "wxa_pondering_event"}
        timestamp = str(int(self.box.clock.wall()) - (86400 if kind == "stale" else 0))
        nonce = str(secrets.randbelow(10**9))
        query = {
            "signature": crypto.push_signature(self.token, timestamp, nonce),
            "timestamp": timestamp,
            "nonce": nonce,
            "openid": pushed.openid,
        }
        if self.mode == "plain":
            if kind == "wrong_signature":
                query["signature"] = "0" * 40
            return query, self._body(message)
        appid = "wxlocal999999999999" if kind == "foreign_appid" else self.appid
        sealed = crypto.push_sealed(self.aes_key, self._body(message), appid, bad_padding=kind == "bad_padding")
        signature = crypto.push_signature(self.token, timestamp, nonce, sealed)
        if kind == "wrong_signature":
            signature = crypto.push_signature("another token", timestamp, nonce, sealed)
        if kind == "signature_swapped":
            signature = query["signature"]
        query |= {"encrypt_type": "aes", "msg_signature": signature}
        outer = {"ToUserName": GH, "Encrypt": sealed}
        if kind == "no_encrypt":
            del outer["Encrypt"]
        return query, self._body(outer)

    def _body(self, message: dict[str, Any]) -> bytes:
        if self.format == "json":
            return json.dumps(message, ensure_ascii=False).encode()
        nested = dict(message)
        nest = NESTS.get(str(nested.get("Event")))
        if nest and "List" in nested:
            entries = nested.pop("List")
            nested[nest] = {"List": entries}
        return f"<xml>{_xml(nested)}</xml>".encode()

    def _as_samples(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._as_samples(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._as_samples(inner) for inner in value]
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _xml(content: dict[str, Any]) -> str:
    parts = []
    for name, value in content.items():
        for entry in value if isinstance(value, list) else [value]:
            if isinstance(entry, dict):
                inner = _xml(entry)
            elif isinstance(entry, str):
                inner = f"<![CDATA[{entry.replace(']]>', ']]]]><![CDATA[>')}]]>"
            else:
                inner = escape(str(entry))
            parts.append(f"<{name}>{inner}</{name}>")
    return "".join(parts)
