"""The client of one merchant: signed requests over kept connections, verified answers, typed facts and errors.

Every call is idempotent by our own number, so a request that got no answer is repeated once, on the backup host when
there is one. Never call from inside a database transaction.
"""

from __future__ import annotations

import re
import secrets
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any, BinaryIO, TypeVar
from urllib.parse import quote, urlsplit

from wechat.pay.bills import FUND_FLOW, TRADE, Bill, FundLine, TradeLine, read_bill, unpack
from wechat.pay.errors import BillCorrupt, OrderClosed, Unknown
from wechat.pay.facts import Malformed, Refund, Transaction, refund_of, rfc3339, transaction_of
from wechat.pay.keys import Merchant, certificate_key, decrypt
from wechat.pay.signing import pay_params
from wechat.pay.transport import Call, Transport, json_object, posted

OUT_TRADE_NO = re.compile(r"[0-9A-Za-z_\-|*]{6,32}", re.ASCII)
OUT_REFUND_NO = re.compile(r"[0-9A-Za-z_\-|*@]{1,64}", re.ASCII)
TRANSACTION_ID = re.compile(r"[0-9A-Za-z]{1,32}", re.ASCII)
_UNWANTED = re.compile(r"[\x00-\x1f\x7f`]")  # the backtick is the bills' quotation mark
_SHA1 = re.compile(r"[0-9a-fA-F]{40}", re.ASCII)
Facts = TypeVar("Facts")


class PayClient:
    """Safe to share between threads. ``now`` is seconds since 1970; our clock must be within five minutes of WeChat's.

    Raises ValueError at construction for a wrong key or an APIv3 key that has not 32 bytes.
    """

    def __init__(
        self,
        merchant: Merchant,
        *,
        now: Callable[[], float] = time.time,
        nonce: Callable[[], str] = lambda: secrets.token_hex(16),
        connections: int = 16,
    ) -> None:
        self.merchant = merchant
        self._now, self._nonce = now, nonce
        self._transport = Transport(merchant, now=now, nonce=nonce, connections=connections)

    def prepay(
        self,
        *,
        appid: str,
        out_trade_no: str,
        description: str,
        total_fen: int,
        openid: str,
        time_expire: datetime,
        notify_url: str,
        attach: str = "",
    ) -> str:
        """Order a payment in the mini-program; answers the ``prepay_id``, which lives two hours.

        The same number needs the same content for ever: keep all arguments with the order and replay them. Raises
        ValueError for content that WeChat would refuse, OrderPaid, OrderClosed, OutTradeNoUsed, OtherContent,
        Frequency, Unknown (query by number), Refused.
        """
        body: dict[str, Any] = {
            "appid": appid,
            "mchid": self.merchant.mchid,
            "description": _words(description, "description", 127),
            "out_trade_no": _matching(OUT_TRADE_NO, out_trade_no, "out_trade_no"),
            "time_expire": rfc3339(time_expire),
            "notify_url": _notify_url(notify_url),
            "amount": {"total": _fen(total_fen, "total_fen"), "currency": "CNY"},
            "payer": {"openid": openid},
        }
        if attach:
            body["attach"] = _words(attach, "attach", 128)
        answer = self._object(posted("prepay", "/v3/pay/transactions/jsapi", body))
        prepay_id = answer.get("prepay_id")
        if not (isinstance(prepay_id, str) and prepay_id):
            raise Unknown("prepay: an answer without prepay_id", status=200)
        return prepay_id

    def call_up(self, *, appid: str, prepay_id: str) -> dict[str, str]:
        """The parameters of ``wx.requestPayment``, signed; no call to WeChat."""
        return pay_params(
            self._transport.key, appid=appid, prepay_id=prepay_id, timestamp=int(self._now()), nonce=self._nonce()
        )

    def query(self, out_trade_no: str) -> Transaction:
        """The order as WeChat knows it. Raises NotFound (it never arrived), Frequency, Unknown, Refused."""
        number = quote(_matching(OUT_TRADE_NO, out_trade_no, "out_trade_no"), safe="")
        path = f"/v3/pay/transactions/out-trade-no/{number}?mchid={self.merchant.mchid}"
        found = self._facts(Call("query", "GET", path), transaction_of)
        if (found.out_trade_no, found.mchid) != (out_trade_no, self.merchant.mchid):
            raise Unknown("query: the answer is about another order", status=200)
        return found

    def query_by_id(self, transaction_id: str) -> Transaction:
        """As ``query``, by WeChat's number, which only paid orders have."""
        number = _matching(TRANSACTION_ID, transaction_id, "transaction_id")
        path = f"/v3/pay/transactions/id/{number}?mchid={self.merchant.mchid}"
        found = self._facts(Call("query by id", "GET", path), transaction_of)
        if (found.transaction_id, found.mchid) != (transaction_id, self.merchant.mchid):
            raise Unknown("query by id: the answer is about another order", status=200)
        return found

    def close(self, out_trade_no: str) -> None:
        """Close an unpaid order; again is fine. Raises OrderPaid (query it), NotFound, Frequency, Unknown, Refused."""
        number = quote(_matching(OUT_TRADE_NO, out_trade_no, "out_trade_no"), safe="")
        path = f"/v3/pay/transactions/out-trade-no/{number}/close"
        try:
            self._transport.ask(posted("close", path, {"mchid": self.merchant.mchid}), expected=204)
        except OrderClosed:
            # A refusal is not signed; that nobody can pay any more is believed from a query only.
            if self.query(out_trade_no).trade_state != "CLOSED":
                raise

    def refund(
        self,
        *,
        out_trade_no: str,
        out_refund_no: str,
        refund_fen: int,
        total_fen: int,
        reason: str,
        notify_url: str,
    ) -> Refund:
        """Ask for a refund of a paid order. Accepted is not refunded: look at ``status``.

        A repeat carries the same number and content; another number refunds twice. Raises ValueError, NotFound
        (unknown or unpaid), NotEnough, AccountAbnormal, Frequency (not accepted), Unknown, OtherContent, Refused.
        """
        if _fen(refund_fen, "refund_fen") > _fen(total_fen, "total_fen"):
            raise ValueError("refund_fen is more than total_fen")
        body: dict[str, Any] = {
            "out_trade_no": _matching(OUT_TRADE_NO, out_trade_no, "out_trade_no"),
            "out_refund_no": _matching(OUT_REFUND_NO, out_refund_no, "out_refund_no"),
            "notify_url": _notify_url(notify_url),
            "amount": {"refund": refund_fen, "total": total_fen, "currency": "CNY"},
        }
        if reason:
            body["reason"] = _words(reason, "reason", 80)
        found = self._facts(posted("refund", "/v3/refund/domestic/refunds", body), self._refund_of)
        if (found.out_refund_no, found.out_trade_no, found.refund_fen) != (out_refund_no, out_trade_no, refund_fen):
            raise Unknown("refund: the answer is about another refund", status=200)
        return found

    def query_refund(self, out_refund_no: str) -> Refund:
        """The refund as WeChat knows it. Raises NotFound, Frequency (wait a minute), Unknown, Refused."""
        number = quote(_matching(OUT_REFUND_NO, out_refund_no, "out_refund_no"), safe="")
        found = self._facts(Call("query refund", "GET", f"/v3/refund/domestic/refunds/{number}"), self._refund_of)
        if found.out_refund_no != out_refund_no:
            raise Unknown("query refund: the answer is about another refund", status=200)
        return found

    def trade_bill(self, day: date) -> Bill[TradeLine]:
        """All payments and refunds of a day in Beijing, from 10:00 of the next day on, for three months.

        Raises NoStatement, StatementCreating, BillCorrupt, Frequency, Unknown, Refused. Close the bill after use.
        """
        path = f"/v3/bill/tradebill?bill_date={day:%Y-%m-%d}&bill_type=ALL&tar_type=GZIP"
        file, sha1 = self._bill_file("trade bill", path)
        return read_bill(file, TRADE, kind="trade", day=day, sha1=sha1)

    def fund_flow_bill(self, day: date) -> Bill[FundLine]:
        """The movements of the merchant's basic account on a day. As ``trade_bill``."""
        path = f"/v3/bill/fundflowbill?bill_date={day:%Y-%m-%d}&account_type=BASIC&tar_type=GZIP"
        file, sha1 = self._bill_file("fund flow bill", path)
        return read_bill(file, FUND_FLOW, kind="fund_flow", day=day, sha1=sha1)

    def refresh_certificates(self) -> list[str]:
        """Certificate mode: fetch WeChat's certificates; they join those in the key ring, expired ones leave it.

        For a daily job; never called because a serial is unknown. What is fetched opens with the APIv3 key only, and
        the answer's signature must be that of a key then in the ring. Raises NotFound (this merchant has the public
        key mode), Unknown, Refused; the ring then stays as it was. Answers the serials now in the ring.
        """
        answer = self._transport.ask_unverified(Call("certificates", "GET", "/v3/certificates"))
        fetched = self._certificates(json_object(answer.body) or {})
        ring = self.merchant.keys.joined(fetched, at=datetime.fromtimestamp(self._now(), UTC))
        self._transport.check("certificates", answer, ring)
        self.merchant.keys.adopt(ring)
        return ring.serials()

    def _certificates(self, said: Mapping[str, Any]) -> dict[str, str]:
        found: dict[str, str] = {}
        try:
            for entry in said["data"]:
                sealed = entry["encrypt_certificate"]
                nonce, more, ciphertext = sealed["nonce"], sealed["associated_data"], sealed["ciphertext"]
                pem = decrypt(self.merchant.apiv3_key, nonce=nonce, associated_data=more, ciphertext=ciphertext)
                certificate_key(text := pem.decode())
                found[str(entry["serial_no"])] = text
        except (KeyError, TypeError, AttributeError, ValueError):
            found = {}
        if not found:
            raise Unknown("certificates: an answer that does not open with our APIv3 key", status=200)
        return found

    def _bill_file(self, name: str, path: str) -> tuple[BinaryIO, str]:
        """The bill's file, unpacked, when its hash is the one that WeChat signed."""
        said = self._object(Call(name, "GET", path))
        sha1, url = said.get("hash_value"), said.get("download_url")
        if said.get("hash_type") != "SHA1" or not (isinstance(sha1, str) and _SHA1.fullmatch(sha1)):
            raise BillCorrupt(f"{name}: no SHA-1", status=200)
        if not isinstance(url, str) or urlsplit(url).fragment:
            raise BillCorrupt(f"{name}: no address", status=200)
        with tempfile.TemporaryFile() as packed:
            self._transport.download(url, packed)
            return unpack(packed, sha1=sha1), sha1.lower()

    def _object(self, call: Call) -> dict[str, Any]:
        found = json_object(self._transport.ask(call).body)
        if found is None:
            raise Unknown(f"{call.name}: an answer that is no object", status=200)
        return found

    def _facts(self, call: Call, read: Callable[[Mapping[str, Any]], Facts]) -> Facts:
        said = self._object(call)
        try:
            return read(said)
        except Malformed as error:
            missing = str(error)
        raise Unknown(f"{call.name}: an answer without a proper {missing}", status=200)

    def _refund_of(self, said: Mapping[str, Any]) -> Refund:
        return refund_of(said, mchid=self.merchant.mchid)


def _fen(value: int, name: str) -> int:
    """Amounts are integers: no bool, float, text or Decimal, and at least one fen."""
    if type(value) is not int or value < 1:
        raise ValueError(f"{name} is a whole number of fen, at least 1")
    return value


def _matching(pattern: re.Pattern[str], value: str, name: str) -> str:
    if not (isinstance(value, str) and pattern.fullmatch(value)):
        raise ValueError(f"{name} has an unfit length or character")
    return value


def _words(value: str, name: str, longest: int) -> str:
    if not value or len(value) > longest or _UNWANTED.search(value):
        raise ValueError(f"{name} has 1 to {longest} characters, no control characters and no backtick")
    return value


def _notify_url(value: str) -> str:
    """Https, the whole path, no query; plain http only to this machine, for the local WeChat."""
    parts = urlsplit(value)
    secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost"))
    if not secure or not parts.hostname or "?" in value or "#" in value or len(value) > 255:
        raise ValueError("notify_url is https, without query, at most 255 characters")
    return value
