"""Trade bill and fund-flow bill, built from this WeChat's own books, with differences that can be planted.

Form: UTF-8 with BOM, a header line, data lines in which each value follows a backtick, a summary header and a summary
line; amounts in yuan, fees with five decimals.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from wechat.sandbox.clock import BEIJING, beijing
from wechat.sandbox.pay.book import Book, Move, Order, Refund
from wechat.sandbox.pay.refusals import PayRefusal, wrong_field

GZIP_MARK = b"\x1f\x8b"
OFFER_SECONDS = 300
TRADE_COLUMNS = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额,"
    "微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注"
)
TRADE_SUMMARY = "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
FUND_COLUMNS = (
    "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),"
    "账户结余(元),资金变更提交申请人,备注,业务凭证号"
)
FUND_SUMMARY = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额"
PLANTS = ("drop", "amount", "fee", "state", "openid", "foreign", "twice", "hash", "byte")


@dataclass
class Plant:
    """A difference planted into the bills: ``number`` is the order or refund it hits, ``fen`` what is added."""

    kind: str
    number: str = ""
    fen: int = 1


@dataclass
class Line:
    """One row of the trade bill before it is written."""

    order: Order
    refund: Refund | None
    at: float
    fee_fen: int
    total_fen: int
    refund_fen: int
    state: str
    openid: str

    @property
    def number(self) -> str:
        return self.refund.number if self.refund else self.order.number


@dataclass
class Bills:
    """Offers of bills and the files behind them. ``missing_status``: sources differ between 400 and 404."""

    book: Book
    plants: list[Plant] = field(default_factory=list)
    missing_status: int = 400
    creating: bool = False
    _files: dict[str, tuple[float, bytes]] = field(default_factory=dict)

    def offer(self, base: str, date: str, what: str, kind: str, zipped: bool) -> dict[str, Any]:
        """Hash and address of a bill. Raises PayRefusal before 10:00 of the next day, and when nothing moved."""
        start = self._day(date)
        content = trade_bill(self, start, kind) if what == "trade" else fund_flow_bill(self, start, kind)
        if content is None:
            raise PayRefusal(self.missing_status, "NO_STATEMENT_EXIST", "账单文件不存在")
        digest = hashlib.sha1(content).hexdigest()  # noqa: S324 - WeChat's choice
        if any(plant.kind == "hash" for plant in self.plants):
            digest = hashlib.sha1(content + b" ").hexdigest()  # noqa: S324
        if any(plant.kind == "byte" for plant in self.plants):
            middle = len(content) // 2
            content = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        token = secrets.token_urlsafe(30)
        now = self.book.clock.wall()
        self._files = {key: kept for key, kept in self._files.items() if kept[0] > now}
        self._files[token] = (now + OFFER_SECONDS, gzip.compress(content) if zipped else content)
        return {
            "hash_type": "SHA1",
            "hash_value": digest,
            "download_url": f"{base}/v3/billdownload/file?token={token}",
        }

    def file(self, token: str) -> bytes:
        """Raises PayRefusal 403 for a token that was not given out or is too old."""
        until, content = self._files.get(token, (0.0, b""))
        if until <= self.book.clock.wall():
            raise PayRefusal(403, "NO_AUTH", "账单下载token无效或已过期")
        return content

    def _day(self, date: str) -> float:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", date):
            raise wrong_field("bill_date", date, "格式应为YYYY-MM-DD", location="query")
        try:
            start = datetime.strptime(date, "%Y-%m-%d").replace(tzinfo=BEIJING)
        except ValueError:
            raise wrong_field("bill_date", date, "日期不存在", location="query") from None
        now = beijing(self.book.clock.now())
        if start.date() >= now.date() or start < now - timedelta(days=93):
            raise wrong_field("bill_date", date, "只能下载三个月内、今天以前的账单", location="query")
        if self.creating or now < start + timedelta(days=1, hours=10):
            raise PayRefusal(400, "STATEMENT_CREATING", "账单生成中，请于次日10点后下载")
        return start.timestamp()


def trade_bill(bills: Bills, start: float, kind: str) -> bytes | None:
    """All payments and refunds of a day. None when there is no row."""
    book = bills.book
    with book.lock:
        lines = sorted(_trades(book, start, kind), key=lambda line: line.at)
        rows = [_trade_row(book, line) for line in _planted(bills, lines)]
    if not rows:
        return None
    sums = [_sum(rows, column) for column in (12, 16, 17)]
    fees, orders, asked = _sum(rows, 22, 5), _sum(rows, 24), _sum(rows, 25)
    return _file(TRADE_COLUMNS, rows, TRADE_SUMMARY, [str(len(rows)), *sums, fees, orders, asked])


def _trades(book: Book, start: float, kind: str) -> Iterable[Line]:
    end = start + 86400
    for order in book.orders.values():
        if kind != "REFUND" and order.paid_at is not None and start <= order.paid_at < end:
            fen = order.total_fen
            yield Line(order, None, order.paid_at, book.fee(fen), fen, 0, "SUCCESS", order.openid)
    for refund in book.refunds.values():
        if kind != "SUCCESS" and start <= refund.created < end and refund.status != "CLOSED":
            order, fen = book.orders[refund.order], refund.refund_fen
            yield Line(order, refund, refund.created, -book.fee(fen), 0, fen, "REFUND", order.openid)


def _planted(bills: Bills, lines: list[Line]) -> Iterable[Line]:
    """The lines, with the planted differences in them."""
    for line in lines:
        hits = [plant for plant in bills.plants if plant.number == line.number]
        if any(plant.kind == "drop" for plant in hits):
            continue
        for plant in hits:
            if plant.kind == "amount" and line.refund is None:
                line.total_fen += plant.fen
            elif plant.kind == "amount":
                line.refund_fen += plant.fen
            elif plant.kind == "fee":
                line.fee_fen += plant.fen
            elif plant.kind == "state":
                line.state = "REVOKED"
            elif plant.kind == "openid":
                line.openid = "o" + "X" * 27
        yield line
        if any(plant.kind == "twice" for plant in hits):
            yield line
    if lines:
        yield from (_foreign(lines[-1], plant) for plant in bills.plants if plant.kind == "foreign")


def _foreign(like: Line, plant: Plant) -> Line:
    """A payment that nobody but WeChat knows of."""
    request = {**like.order.request, "out_trade_no": plant.number, "amount": {"total": plant.fen}}
    order = Order(plant.number, request, like.openid, like.at, like.at, "SUCCESS", "4200" + "9" * 24, like.at)
    return Line(order, None, like.at, 0, plant.fen, 0, "SUCCESS", like.openid)


def _trade_row(book: Book, line: Line) -> list[str]:
    order, refund, at = line.order, line.refund, f"{beijing(line.at):%Y-%m-%d %H:%M:%S}"
    coupon = order.coupon_fen if refund is None else 0
    head = [at, order.appid, book.mchid, "0", "", order.transaction_id, order.number, line.openid, "JSAPI", line.state]
    head += ["OTHERS", "CNY", _yuan(line.total_fen), _yuan(coupon)]
    if refund is None:
        middle = ["0", "0", "0.00", "0.00", "", ""]
    else:
        state = {"ABNORMAL": "CHANGE"}.get(refund.status, refund.status)
        kept = refund.refund_fen - refund.payer_fen
        middle = [refund.refund_id, refund.number, _yuan(line.refund_fen), _yuan(kept), "ORIGINAL", state]
    tail = [str(order.request.get("description", "")), str(order.request.get("attach", "")), _yuan(line.fee_fen, 5)]
    tail += [f"{book.fee_rate_ppm / 10_000:.2f}%", _yuan(line.total_fen), _yuan(line.refund_fen), ""]
    return head + middle + tail


def fund_flow_bill(bills: Bills, start: float, kind: str) -> bytes | None:
    """Each movement of the merchant's account on a day. Only the basic account moves here."""
    book = bills.book
    with book.lock:
        before = book.balance_fen - sum(move.fen for move in book.moves if move.at >= start)
        moves = sorted((move for move in book.moves if start <= move.at < start + 86400), key=lambda move: move.at)
        if kind != "BASIC" or not moves:
            return None
        dropped = {plant.number for plant in bills.plants if plant.kind == "drop"}
        rows = []
        for move in moves:
            before += move.fen
            if (move.refund or move.order) not in dropped:
                rows.append(_fund_row(book, move, before))
    gains = [row for row in rows if row[5] == "收入"]
    costs = [row for row in rows if row[5] == "支出"]
    summary = [str(len(rows)), str(len(gains)), _sum(gains, 6), str(len(costs)), _sum(costs, 6)]
    return _file(FUND_COLUMNS, rows, FUND_SUMMARY, summary)


def _fund_row(book: Book, move: Move, balance: int) -> list[str]:
    words = {"PAYMENT": "交易", "REFUND": "退款", "FEE": "扣除交易手续费", "REFUND_RETURN": "退款撤回"}
    name = "退还交易手续费" if move.kind == "FEE" and move.fen > 0 else words[move.kind]
    order = book.orders[move.order]
    refund = book.refunds.get(move.refund)
    business = refund.refund_id if refund else order.transaction_id
    direction = "收入" if move.fen >= 0 else "支出"
    at = f"{beijing(move.at):%Y-%m-%d %H:%M:%S}"
    voucher = move.refund or move.order
    return [
        at,
        business,
        move.number,
        name,
        name,
        direction,
        _yuan(abs(move.fen)),
        _yuan(balance),
        "system",
        "",
        voucher,
    ]


def _file(columns: str, rows: list[list[str]], summary: str, sums: list[str]) -> bytes:
    lines = [columns, *(_data(row) for row in rows), summary, _data(sums)]
    return ("\ufeff" + "\r\n".join(lines) + "\r\n").encode()


def _data(values: list[str]) -> str:
    return ",".join("`" + value for value in values)


def _yuan(fen: int, decimals: int = 2) -> str:
    sign, size = ("-" if fen < 0 else ""), abs(fen)
    return f"{sign}{size // 100}.{size % 100:02d}" + "0" * (decimals - 2)


def _sum(rows: list[list[str]], column: int, decimals: int = 2) -> str:
    return _yuan(sum(_fen(row[column]) for row in rows), decimals)


def _fen(yuan: str) -> int:
    whole, _, part = yuan.lstrip("-").partition(".")
    fen = int(whole) * 100 + int(part[:2])
    return -fen if yuan.startswith("-") else fen
