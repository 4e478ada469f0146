"""Bills of WeChat Pay: a checked file, read line by line in flat memory.

A bill is UTF-8 with a byte order mark: a header, lines whose values each begin with a backtick, a header of sums and a
line of sums. Amounts are yuan and become whole fen; fees have five decimals and become thousandths of a fen. Columns
are found by name. A file whose hash, form, count or sums don't fit is refused whole, before its first line is used.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, BinaryIO, Generic, NamedTuple, TypeVar

from wechat.pay.errors import BillCorrupt
from wechat.pay.facts import BEIJING

CHUNK_BYTES = 256 * 1024
LARGEST_BYTES = 4 * 1024**3
LONGEST_LINE = 64 * 1024
_YUAN = re.compile(r"(-?)([0-9]{1,15})(?:\.([0-9]{1,10}))?", re.ASCII)
_SEPARATOR = ",`"
_UNIT = re.compile(r"[((]元[))]$")


class TradeLine(NamedTuple):
    """One payment (trade_state SUCCESS) or refund (REFUND) of the trade bill. Compare ``total_fen`` with our amount.

    ``fee_millifen``: thousandths of a fen. A payment has neither refund number, which WeChat writes as ``0``.
    """

    at: datetime
    appid: str
    mchid: str
    transaction_id: str
    out_trade_no: str
    openid: str
    trade_type: str
    trade_state: str
    currency: str
    settled_fen: int
    coupon_fen: int
    refund_id: str
    out_refund_no: str
    refund_fen: int
    coupon_refund_fen: int
    refund_type: str
    refund_status: str
    description: str
    attach: str
    fee_millifen: int
    rate: str
    total_fen: int
    asked_refund_fen: int


class FundLine(NamedTuple):
    """One movement of the merchant's account. ``direction`` is ``income`` or ``expense``, amounts are positive."""

    at: datetime
    transaction_id: str
    flow_id: str
    business: str
    kind: str
    direction: str
    amount_fen: int
    balance_fen: int
    applicant: str
    note: str
    voucher: str


Line = TypeVar("Line", TradeLine, FundLine)


@dataclass(slots=True)
class Bill(Generic[Line]):
    """A bill that has been checked. Iterate :attr:`rows` as often as needed; close it, or use it as a context."""

    day: date
    kind: str
    summary: dict[str, int]
    sha1: str
    _file: BinaryIO = field(repr=False)
    _form: _Form[Line] = field(repr=False)

    @property
    def rows(self) -> Iterator[Line]:
        """The lines, from the first. One iteration at a time."""
        return _lines(self._file, self._form, {})

    def copy_to(self, target: BinaryIO) -> None:
        """The file as it was checked, to be kept."""
        self._file.seek(0)
        while chunk := self._file.read(CHUNK_BYTES):
            target.write(chunk)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Bill[Line]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class _Form(Generic[Line]):
    """How one kind of bill looks: its columns in the order of ``make``'s fields, its sums, and how they are made."""

    make: Callable[..., Line]
    columns: tuple[tuple[str, Callable[[str], Any]], ...]
    sums: tuple[tuple[str, str, Callable[[str], int]], ...]
    count: Callable[[dict[str, int], Line], None]


def unpack(source: BinaryIO, *, sha1: str) -> BinaryIO:
    """The bill in an unpacked file of its own, when its SHA-1 is the one that was signed. Raises BillCorrupt."""
    source.seek(0)
    packed = source.read(2) == b"\x1f\x8b"
    source.seek(0)
    # A temporary file has no name that could outlive us.
    target: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - the bill keeps it and closes it
    digest, size = hashlib.sha1(usedforsecurity=False), 0
    reader: Any = gzip.GzipFile(fileobj=source) if packed else source
    fault = ""
    try:
        while chunk := reader.read(CHUNK_BYTES):
            size += len(chunk)
            if size > LARGEST_BYTES:
                fault = "too large"
                break
            digest.update(chunk)
            target.write(chunk)
    except (OSError, EOFError, zlib.error):
        fault = "does not unpack"
    if not fault and digest.hexdigest() != sha1.lower():
        fault = "hash"
    if fault:
        target.close()
        raise BillCorrupt(f"bill: {fault}")
    return target


def read_bill(file: BinaryIO, form: _Form[Line], *, kind: str, day: date, sha1: str) -> Bill[Line]:
    """Read the whole file once, so that nobody begins with a bill that ends badly. Raises BillCorrupt."""
    summary: dict[str, int] = {}
    counted = dict.fromkeys((key for _, key, _ in form.sums), 0)
    for line in _lines(file, form, summary):
        form.count(counted, line)
    if counted != summary:
        wrong = sorted(key for key in counted if counted[key] != summary.get(key))
        raise BillCorrupt(f"bill: the lines don't make the sums ({', '.join(wrong)})")
    return Bill(day, kind, summary, sha1, file, form)


def _lines(file: BinaryIO, form: _Form[Line], summary: dict[str, int]) -> Iterator[Line]:
    """The data lines; ``summary`` is filled at the end. Raises BillCorrupt with a line's number, no content."""
    file.seek(0)
    titles = _titles(_text(file.readline(LONGEST_LINE), 1).removeprefix("\ufeff"))
    places = _places(titles, form)
    last_text = _last_text(titles)
    number, raw = 1, b""
    while raw := file.readline(LONGEST_LINE):
        number += 1
        text = _text(raw, number)
        if not text.startswith("`"):
            break
        try:
            cells = _cells(text, len(titles), last_text)
            line = form.make(*(convert(cells[place]) for place, convert in places))
        except (ValueError, IndexError):
            raise BillCorrupt(f"bill: line {number}") from None
        yield line
    _read_sums(file, form, raw, number, summary)


def _places(titles: list[str], form: _Form[Line]) -> list[tuple[int, Callable[[str], Any]]]:
    missing = [name for name, _ in form.columns if name not in titles]
    if missing:
        raise BillCorrupt(f"bill: no column {missing[0]}")
    return [(titles.index(name), convert) for name, convert in form.columns]


def _last_text(titles: list[str]) -> int:
    """The column of free text, which may hold the separator itself: the goods' name."""
    return titles.index("商品名称") if "商品名称" in titles else -1


def _cells(text: str, expected: int, last_text: int) -> list[str]:
    cells = text[1:].split(_SEPARATOR)
    surplus = len(cells) - expected
    if surplus > 0 and last_text >= 0:
        whole = _SEPARATOR.join(cells[last_text : last_text + surplus + 1])
        cells[last_text : last_text + surplus + 1] = [whole]
    if len(cells) != expected:
        raise ValueError("cells")
    return cells


def _read_sums(file: BinaryIO, form: _Form[Line], header: bytes, number: int, summary: dict[str, int]) -> None:
    titles = _titles(_text(header, number))
    text = _text(file.readline(LONGEST_LINE), number + 1)
    values = text[1:].split(_SEPARATOR) if text.startswith("`") else []
    if len(titles) != len(values) or file.read(1024).strip():
        raise BillCorrupt("bill: no sums at the end")
    found = dict(zip(titles, values, strict=True))
    try:
        summary.update({key: convert(found[title]) for title, key, convert in form.sums})
    except (KeyError, ValueError):
        raise BillCorrupt("bill: sums that cannot be read") from None


def _text(raw: bytes, number: int) -> str:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise BillCorrupt(f"bill: line {number} is no UTF-8") from None
    if len(raw) >= LONGEST_LINE:
        raise BillCorrupt(f"bill: line {number} is too long")
    return text.rstrip("\r\n")


def _titles(text: str) -> list[str]:
    return [_UNIT.sub("", title.strip().lstrip("`")) for title in text.split(",")]


def fen(yuan: str) -> int:
    """Whole fen of an amount in yuan. Raises ValueError for anything else, also for a fraction of a fen."""
    return _scaled(yuan, 2)


def millifen(yuan: str) -> int:
    """Thousandths of a fen: fees have five decimals."""
    return _scaled(yuan, 5)


def _scaled(yuan: str, places: int) -> int:
    found = _YUAN.fullmatch(yuan)
    if found is None:
        raise ValueError("no amount")
    sign, whole, part = found.group(1), found.group(2), found.group(3) or ""
    if part[places:].strip("0"):
        raise ValueError("too fine an amount")
    value = int(whole + part[:places].ljust(places, "0"))
    return -value if sign else value


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BEIJING)


def _number(text: str) -> str:
    return "" if text == "0" else text


def _direction(text: str) -> str:
    return {"收入": "income", "支出": "expense"}.get(text) or _refuse()


def _refuse() -> str:
    raise ValueError("direction")


def _count_trade(counted: dict[str, int], line: TradeLine) -> None:
    counted["rows"] += 1
    counted["settled_fen"] += line.settled_fen
    counted["refund_fen"] += line.refund_fen
    counted["coupon_refund_fen"] += line.coupon_refund_fen
    counted["fee_millifen"] += line.fee_millifen
    counted["total_fen"] += line.total_fen
    counted["asked_refund_fen"] += line.asked_refund_fen


def _count_fund(counted: dict[str, int], line: FundLine) -> None:
    counted["rows"] += 1
    counted[f"{line.direction}_rows"] += 1
    counted[f"{line.direction}_fen"] += line.amount_fen


TRADE = _Form(
    make=TradeLine,
    columns=(
        ("交易时间", _moment),
        ("公众账号ID", str),
        ("商户号", str),
        ("微信订单号", str),
        ("商户订单号", str),
        ("用户标识", str),
        ("交易类型", str),
        ("交易状态", str),
        ("货币种类", str),
        ("应结订单金额", fen),
        ("代金券金额", fen),
        ("微信退款单号", _number),
        ("商户退款单号", _number),
        ("退款金额", fen),
        ("充值券退款金额", fen),
        ("退款类型", str),
        ("退款状态", str),
        ("商品名称", str),
        ("商户数据包", str),
        ("手续费", millifen),
        ("费率", str),
        ("订单金额", fen),
        ("申请退款金额", fen),
    ),
    sums=(
        ("总交易单数", "rows", int),
        ("应结订单总金额", "settled_fen", fen),
        ("退款总金额", "refund_fen", fen),
        ("充值券退款总金额", "coupon_refund_fen", fen),
        ("手续费总金额", "fee_millifen", millifen),
        ("订单总金额", "total_fen", fen),
        ("申请退款总金额", "asked_refund_fen", fen),
    ),
    count=_count_trade,
)
FUND_FLOW = _Form(
    make=FundLine,
    columns=(
        ("记账时间", _moment),
        ("微信支付业务单号", str),
        ("资金流水单号", str),
        ("业务名称", str),
        ("业务类型", str),
        ("收支类型", _direction),
        ("收支金额", fen),
        ("账户结余", fen),
        ("资金变更提交申请人", str),
        ("备注", str),
        ("业务凭证号", str),
    ),
    sums=(
        ("资金流水总笔数", "rows", int),
        ("收入笔数", "income_rows", int),
        ("收入金额", "income_fen", fen),
        ("支出笔数", "expense_rows", int),
        ("支出金额", "expense_fen", fen),
    ),
    count=_count_fund,
)
