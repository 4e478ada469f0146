"""Bills: the file is believed for its hash, its form and its sums, or not at all."""

from __future__ import annotations

import gzip
import hashlib
import io
import time
import tracemalloc
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wechat.payhost import APPID, MCHID, OPENID, PayHost, refused, signed
from tests.wechat.stub import Asked, Reply
from wechat.pay import errors
from wechat.pay.bills import TRADE, FundLine, TradeLine, fen, millifen, read_bill
from wechat.pay.facts import BEIJING

DAY = date(2026, 11, 24)
TITLES = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额,"
    "微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注"
)
SUMS = "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
FUND_TITLES = (
    "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),"
    "资金变更提交申请人,备注,业务凭证号"
)
FUND_SUMS = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额"


def paid(number: int, yuan: str = "12.00", name: str = "环保帆布袋", fee: str = "0.07200") -> list[str]:
    return [
        "2026-11-24 10:00:00", APPID, MCHID, "0", "", f"42000{number}", f"DD{number:010}", OPENID, "JSAPI", "SUCCESS",
        "OTHERS", "CNY", yuan, "0.00", "0", "0", "0.00", "0.00", "", "", name, "order", fee, "0.60%", yuan, "0.00", "",
    ]  # fmt: skip


def refunded(number: int, yuan: str = "5.00", fee: str = "-0.03000") -> list[str]:
    return [
        "2026-11-24 23:59:59", APPID, MCHID, "0", "", f"42000{number}", f"DD{number:010}", OPENID, "JSAPI", "REFUND",
        "OTHERS", "CNY", "0.00", "0.00", f"50000{number}", f"RF{number}", yuan, "0.00", "ORIGINAL", "SUCCESS",
        "环保帆布袋", "order", fee, "0.60%", "0.00", yuan, "",
    ]  # fmt: skip


def line(cells: list[str]) -> str:
    return ",".join("`" + cell for cell in cells) + "\r\n"


def trade_file(rows: list[list[str]], sums: list[str] | None = None) -> bytes:
    def total(place: int) -> str:
        return str(sum((Decimal(row[place]) for row in rows), Decimal("0.00")))

    last = sums or [str(len(rows)), total(12), total(16), total(17), total(22), total(24), total(25)]
    text = "\ufeff" + TITLES + "\r\n" + "".join(map(line, rows)) + SUMS + "\r\n" + line(last)
    return text.encode()


def bill_host(file: bytes, *, packed: bool = True, sha1: str | None = None, **said: Any) -> PayHost:
    """A host that offers one file, by default gzipped as we ask for."""
    digest = sha1 or hashlib.sha1(file).hexdigest()

    def says(asked: Asked) -> Reply:
        if asked.path == "/v3/billdownload/file":
            return Reply(gzip.compress(file) if packed else file)
        url = f"{host.base}/v3/billdownload/file?token=a%2b/b==&tartype=gzip"
        return signed({"hash_type": "SHA1", "hash_value": digest, "download_url": url, **said})

    host = PayHost(says)
    return host


def test_payments_and_refunds_are_read_by_column_name() -> None:
    with bill_host(trade_file([paid(1), refunded(1)])) as host, host.client().trade_bill(DAY) as bill:
        first, second = bill.rows
        assert [*bill.rows] == [first, second], "it can be read again"
    assert first == TradeLine(
        at=datetime(2026, 11, 24, 10, tzinfo=BEIJING), appid=APPID, mchid=MCHID, transaction_id="420001",
        out_trade_no="DD0000000001", openid=OPENID, trade_type="JSAPI", trade_state="SUCCESS", currency="CNY",
        settled_fen=1200, coupon_fen=0, refund_id="", out_refund_no="", refund_fen=0, coupon_refund_fen=0,
        refund_type="", refund_status="", description="环保帆布袋", attach="order", fee_millifen=7200, rate="0.60%",
        total_fen=1200, asked_refund_fen=0,
    )  # fmt: skip
    assert (second.trade_state, second.out_refund_no, second.refund_fen, second.fee_millifen) == (
        "REFUND", "RF1", 500, -3000,
    )  # fmt: skip
    assert bill.summary == {
        "rows": 2, "settled_fen": 1200, "refund_fen": 500, "coupon_refund_fen": 0, "fee_millifen": 4200,
        "total_fen": 1200, "asked_refund_fen": 500,
    }  # fmt: skip
    assert host.violations == []
    assert host.asked[0].target == "/v3/bill/tradebill?bill_date=2026-11-24&bill_type=ALL&tar_type=GZIP"
    assert (bill.day, bill.kind) == (DAY, "trade")


def test_columns_may_move_and_grow() -> None:
    rows = [paid(1)]
    order = [*range(26, -1, -1)]
    titles = ",".join([*(TITLES.split(",")[i] for i in order), "新列"])
    text = "\ufeff" + titles + "\n" + line([*(rows[0][i] for i in order), "x"])
    tail = trade_file(rows).decode().partition(SUMS)[2]
    with bill_host((text + SUMS + tail).encode()) as host, host.client().trade_bill(DAY) as bill:
        assert [row.out_trade_no for row in bill.rows] == ["DD0000000001"]


def test_names_may_hold_commas_and_backticks() -> None:
    names = ["袋,大,绿", "a,`b", "``", "1.00,`2.00,`3.00", ""]
    rows = [paid(number, name=name) for number, name in enumerate(names)]
    with bill_host(trade_file(rows)) as host, host.client().trade_bill(DAY) as bill:
        found = [*bill.rows]
    assert [row.description for row in found] == names
    assert {(row.attach, row.total_fen) for row in found} == {("order", 1200)}


def test_a_day_without_movement_has_a_file_without_lines() -> None:
    with bill_host(trade_file([])) as host, host.client().trade_bill(DAY) as bill:
        assert [*bill.rows] == []
        assert bill.summary["rows"] == 0


def test_a_file_that_is_not_packed_is_read_as_well() -> None:
    with bill_host(trade_file([paid(1)]), packed=False) as host, host.client().trade_bill(DAY) as bill:
        assert len([*bill.rows]) == 1
        kept = io.BytesIO()
        bill.copy_to(kept)
        assert hashlib.sha1(kept.getvalue()).hexdigest() == bill.sha1


def test_the_movements_of_the_account() -> None:
    rows = [
        [
            "2026-11-24 10:00:00",
            "420001",
            "F1",
            "小程序支付",
            "交易",
            "收入",
            "11.93",
            "111.93",
            "system",
            "",
            "420001",
        ],
        ["2026-11-24 11:00:00", "500001", "F2", "退款", "退款", "支出", "5.00", "106.93", MCHID, "a,b", "RF1"],
    ]
    sums = ["2", "1", "11.93", "1", "5.00"]
    file = "\ufeff" + FUND_TITLES + "\r\n" + "".join(map(line, rows)) + FUND_SUMS + "\r\n" + line(sums)
    with bill_host(file.encode()) as host, host.client().fund_flow_bill(DAY) as bill:
        first, second = bill.rows
    assert first == FundLine(
        datetime(2026, 11, 24, 10, tzinfo=BEIJING), "420001", "F1", "小程序支付", "交易", "income", 1193, 11193,
        "system", "", "420001",
    )  # fmt: skip
    assert (second.direction, second.amount_fen, second.note) == ("expense", 500, "a,b")
    assert host.asked[0].target == "/v3/bill/fundflowbill?bill_date=2026-11-24&account_type=BASIC&tar_type=GZIP"


def change(rows: list[list[str]], place: int, value: str) -> bytes:
    """The file with one cell changed and its sums left as they were."""
    sums = trade_file(rows).decode().splitlines()[-1][1:].split(",`")
    changed = [[*rows[0]], *rows[1:]]
    changed[0][place] = value
    return trade_file([*changed], sums)


GOOD = [paid(1), refunded(1)]
SUMS_OF_TWO = ["2", "12.00", "0.00", "0.00", "0.072", "12.00", "0.00"]
CORRUPT: dict[str, Callable[[], bytes]] = {
    "a line less than the sums say": lambda: trade_file(GOOD[:1], SUMS_OF_TWO),
    "an amount that the sums don't know": lambda: change(GOOD, 24, "12.01"),
    "a fraction of a fen": lambda: change(GOOD, 12, "12.001"),
    "an amount in words": lambda: change(GOOD, 12, "twelve"),
    "an amount with separators": lambda: change(GOOD, 12, "1,200.00"),
    "full-width digits": lambda: change(GOOD, 12, "１２.00"),
    "a time that is none": lambda: change(GOOD, 0, "yesterday"),
    "no sums": lambda: trade_file(GOOD).partition(SUMS.encode())[0],
    "half a line of sums": lambda: trade_file(GOOD)[:-12],
    "lines after the sums": lambda: trade_file(GOOD) + line(paid(2)).encode(),
    "no column": lambda: trade_file(GOOD).replace("商户订单号".encode(), b"x"),
    "a cell less": lambda: trade_file(GOOD).replace("`环保帆布袋,".encode(), b""),
    "no UTF-8": lambda: trade_file(GOOD).replace("环保".encode(), b"\xff\xfe"),
    "an endless line": lambda: trade_file([paid(1, name="x" * 70_000)]),
    "a page": lambda: b"<html>busy</html>",
    "nothing": lambda: b"",
}  # fmt: skip


@pytest.mark.parametrize("make", CORRUPT.values(), ids=CORRUPT.keys())
def test_a_file_that_is_not_in_order_is_refused_before_its_first_line(make: Callable[[], bytes]) -> None:
    with bill_host(make()) as host, pytest.raises(errors.BillCorrupt) as refusal:
        host.client().trade_bill(DAY)
    assert OPENID not in str(refusal.value)


def test_a_changed_byte_is_found_by_the_hash() -> None:
    file = trade_file(GOOD)
    host = bill_host(file.replace(b"OTHERS", b"OTHERZ"), sha1=hashlib.sha1(file).hexdigest())
    with host, pytest.raises(errors.BillCorrupt, match="hash"):
        host.client().trade_bill(DAY)


def test_a_broken_packing_is_corrupt() -> None:
    file = trade_file(GOOD)
    packed = gzip.compress(file)
    for broken in (packed[:-20], packed[:30] + b"\x00\x00" + packed[32:]):
        host = bill_host(broken, packed=False, sha1=hashlib.sha1(file).hexdigest())
        with host, pytest.raises(errors.BillCorrupt):
            host.client().trade_bill(DAY)


@pytest.mark.parametrize(
    "said",
    [{"hash_type": "MD5"}, {"hash_value": None}, {"hash_value": "abc"}, {"download_url": None}, {"download_url": 7}],
)
def test_a_bill_without_hash_or_address_is_corrupt(said: dict[str, Any]) -> None:
    with bill_host(trade_file(GOOD), **said) as host, pytest.raises(errors.BillCorrupt):
        host.client().trade_bill(DAY)
    assert len(host.asked) == 1


def test_our_signature_goes_to_wechat_pay_only() -> None:
    with bill_host(trade_file(GOOD)) as other:
        for url in (
            f"{other.base}/v3/billdownload/file?token=x", "http://127.0.0.1:9/v3/billdownload/file", "file:///etc/passwd",
            "//v3/billdownload/file", "https://api.mch.weixin.qq.com@127.0.0.1/v3/billdownload/file",
        ):  # fmt: skip
            with bill_host(trade_file(GOOD), download_url=url) as host, pytest.raises(errors.Refused):
                host.client().trade_bill(DAY)
        with bill_host(trade_file(GOOD)) as host:
            host.says = lambda asked: signed(
                {"hash_type": "SHA1", "hash_value": "0" * 40, "download_url": f"{host.base}/elsewhere"}
            )
            with pytest.raises(errors.Refused):
                host.client().trade_bill(DAY)
    assert other.asked == []


def test_no_bill_and_not_yet() -> None:
    for code, kind in (("NO_STATEMENT_EXIST", errors.NoStatement), ("STATEMENT_CREATING", errors.StatementCreating)):
        with PayHost(lambda asked, code=code: refused(400, code)) as host, pytest.raises(kind):  # type: ignore[misc]
            host.client().trade_bill(DAY)


def test_a_refused_file_is_an_error_and_not_a_bill() -> None:
    with bill_host(b"") as host:
        inner = host.says
        host.says = lambda asked: Reply(b"{}", 403) if "billdownload" in asked.path else inner(asked)
        with pytest.raises(errors.PayError):
            host.client().trade_bill(DAY)


@given(st.integers(min_value=-(10**15), max_value=10**15))
def test_yuan_become_fen_exactly(amount: int) -> None:
    sign, value = ("-" if amount < 0 else ""), abs(amount)
    assert fen(f"{sign}{value // 100}.{value % 100:02}") == amount
    assert fen(f"{sign}{value // 100}.{value % 100:02}000") == amount
    assert millifen(f"{sign}{value // 100000}.{value % 100000:05}") == amount


@pytest.mark.parametrize("text", ["", ".5", "5.", "+5", "1e3", "1_000", "5.001", "NaN", " 5", "5 ", "--5", "٥"])
def test_what_is_no_amount(text: str) -> None:
    with pytest.raises(ValueError):
        fen(text)


def test_a_large_bill_is_read_in_flat_memory() -> None:
    count = 20_000
    body = trade_file([paid(number) for number in range(count)])
    file = io.BytesIO(body)
    tracemalloc.start()
    began = time.monotonic()
    with read_bill(file, TRADE, kind="trade", day=DAY, sha1="") as bill:
        assert sum(row.total_fen for row in bill.rows) == 1200 * count
    took, (_, peak) = time.monotonic() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000, peak
    assert took < 30
