"""WeChat: sign-in, notices of payments one by one and a thousand at once, and the reconciliation of a large bill."""

from __future__ import annotations

import hashlib
import io
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from app import clock, funding, ledger, mall, merchants, orders, payments
from app.clock import now
from app.db import run, session, transaction
from app.mall.models import Item
from app.payments import bills
from app.people.models import WeChatIdentity
from bench import load, wechat
from bench.city import City, city
from bench.load import http_request
from bench.measures import Bench
from wechat.pay.bills import TRADE, read_bill

USERS, PER_SECOND, LINES, BUYERS, ITEMS = 500, 900, 100_000, 100, 8
BURST, CONNECTIONS = 1_000, 32
LONGEST_SECONDS = 4.5


def login(bench: Bench) -> float:
    """Sign-ins by a code that WeChat answers at once, from many addresses."""
    city()

    def make(number: int) -> bytes:
        body = {"code": f"{number % USERS}-{secrets.token_hex(8)}", "device": "bench"}
        address = f"10.{number // 62_500 % 250}.{number // 250 % 250}.{number % 250}"
        headers = {"X-Forwarded-For": address}
        return http_request("POST", "/api/v1/sign-in", headers=headers, body=json.dumps(body).encode())

    load.run(bench.address, make, seconds=2.5)  # the first sign-in of a user makes a person: not what is measured
    return bench.ratio_to_f(make)


def notice(bench: Bench) -> float:
    """Notices of payments, each of its own order: verified, opened, settled, codes issued."""
    short = replace(bench, seconds=min(bench.seconds, LONGEST_SECONDS))  # each notice needs an order made ready
    ready = _ready(city(), int(PER_SECOND * short.seconds))
    return short.ratio_to_f(_each_once(ready), connections=16)


def burst(bench: Bench) -> float:
    """A thousand notices sent at once by 32 connections: the slowest hundredth in seconds. All settled, each once."""
    found = city()
    ready = _ready(found, BURST)
    before = _settled()
    seen = load.run(bench.address, _each_once(ready), seconds=120, connections=CONNECTIONS, most=BURST)
    settled = _settled() - before
    if settled != BURST or set(seen.statuses) != {200}:
        raise RuntimeError(f"{settled} of {BURST} settled, answers {seen.statuses}")
    bench.notes.update(settled=settled, rate=seen.per_second, p50_ms=round(seen.p50_ms, 1))
    return seen.p99_ms / 1000


def reconcile_seconds(bench: Bench) -> float:
    """A bill of 100,000 payments against our books, ten differences in it: read, checked, compared, marked."""
    found = city()
    day = clock.business_day(now()) - timedelta(days=1)
    numbers = _paid_in_bulk(found, day)
    file, sha1 = _bill(numbers, day)
    began = time.perf_counter()
    with transaction():
        bill = read_bill(file, TRADE, kind="trade", day=day, sha1=sha1)
        report = bills.compare_trade(mchid=_mchid(), day=day, lines=bill.rows, sha1=sha1, at=now())
    took = time.perf_counter() - began
    bench.notes.update(lines=report.lines, agree=report.matched, differences=report.differences)
    if report.lines != LINES or report.found.get("amount") != 10:
        raise RuntimeError(f"the ten planted differences were not found: {report}")
    return took


def _mchid() -> str:
    return wechat.keys()[0].mchid


def _terms() -> payments.Terms:
    identity = wechat.keys()[0]
    return payments.Terms(identity.appid, identity.mchid, f"http://127.0.0.1:9{wechat.NOTICES}", "T")


def _each_once(ready: list[bytes]) -> Callable[[int], bytes]:
    """The next request that was not sent yet, over all rounds. Raises RuntimeError when there is none left."""
    waiting = iter(ready)

    def make(_: int) -> bytes:
        found = next(waiting, None)
        if found is None:
            raise RuntimeError("more notices were wanted than were made ready")
        return found

    return make


def _settled() -> int:
    with transaction():
        return int(run("select count(*) as n from payments where state = 'paid'")[0].n)


def _ready(found: City, count: int) -> list[bytes]:
    """So many orders that wait for their money, and the signed notices that pay them."""
    items = [_item(found, count) for _ in range(ITEMS)]
    buyers = found.people[:BUYERS]
    for person in buyers:
        with transaction():
            _buyer(found, person, 10 * (count // BUYERS + 1), now())
    made: list[tuple[Any, str]] = []
    for start in range(0, count, 50):
        with transaction():
            numbers = range(start, min(start + 50, count))
            made += [_waiting(found, buyers[number % BUYERS], items[number % ITEMS]) for number in numbers]
    return [wechat.notice(payment, openid) for payment, openid in made]


def _waiting(found: City, person: int, item_id: int) -> tuple[Any, str]:
    at, openid = now(), f"o-buyer-{person}"
    wish = orders.Wish(item_id, 1, 10, 990)
    placed = orders.place(person_id=person, client_ref=secrets.token_hex(12), wish=wish, at=at)
    payment = orders.begin_payment(order_id=placed.order_id, person_id=person, terms=_terms(), openid=openid, at=at)
    payments.prepaid(payment.id, prepay_id="wx", at=at)
    return Shown(payment), openid


class Shown:
    """What a notice needs of a payment, outside its session."""

    def __init__(self, payment: Any) -> None:
        self.out_trade_no, self.total_fen = payment.out_trade_no, payment.total_fen


def _item(found: City, count: int) -> int:
    """An item for credits and money."""
    with transaction():
        merchant = merchants.register(program_id=found.program_id, code="bench", name="小店", name_en="Shop")
        item = Item(
            program_id=found.program_id, code=f"kit-{secrets.token_hex(4)}", kind="service", merchant_id=merchant.id,
            name="骑行保养", name_en="Tune-up", price_credits=10, price_fen=990, settlement_fen=10, total=count,
            available=count, reserved=0, sold=0, per_person=None, valid_days=30, state="draft",
        )  # fmt: skip
        session().add(item)
        session().flush()
        mall.publish(item=item)
        return item.id


def _buyer(found: City, person: int, credits: int, at: Any) -> None:
    request = funding.AwardRequest(
        program_id=found.program_id, person_id=person, reason="bench", source_ref=secrets.token_hex(12),
        occurred_at=at - timedelta(days=secrets.randbelow(300)), base_micro=credits * 1_000_000,
        budget_id=found.budget_id,
    )  # fmt: skip
    funding.award([request], at=at)
    known = session().query(WeChatIdentity).filter_by(person_id=person).first()
    if known is None:
        openid = f"o-buyer-{person}"
        session().add(WeChatIdentity(person_id=person, appid=_terms().appid, openid=openid, seen_at=at))


_BULK = """
    insert into payments (program_id, subject_kind, subject_ref, person_id, appid, mchid, payer_hash, out_trade_no,
                          description, notify_url, total_fen, time_expire, state, transaction_id, success_at,
                          transfer_id, created_at)
    select %(program)s, 'order', -%(from)s - n, %(person)s, %(appid)s, %(mchid)s, %(payer)s,
           %(mark)s || to_char(n, 'FM0000000'), 'x', 'https://x', 990, %(at)s, 'paid',
           %(mark)s || to_char(n, 'FM000000000000'), %(at)s, %(transfer)s, %(at)s
    from generate_series(1, %(lines)s) n returning out_trade_no, transaction_id
"""


def _paid_in_bulk(found: City, day: date) -> list[tuple[str, str]]:
    """A day's payments by one statement; their orders and transfers don't matter for a bill."""
    mark = "T" + secrets.token_hex(5).upper()
    person, terms = found.people[0], _terms()
    with transaction():
        bank = ledger.account(program_id=found.program_id, asset="fen", kind="bank")
        mint = ledger.account(program_id=found.program_id, asset="fen", kind="wechat", owner_key="bench")
        draft = ledger.Draft(found.program_id, "bench", mark, [(bank, -1), (mint, 1)])
        values = {
            "program": found.program_id, "person": person, "appid": terms.appid, "mchid": terms.mchid,
            "payer": payments.payer_hash(terms.appid, "o-bulk"), "mark": mark, "lines": LINES,
            "from": secrets.randbelow(10**12) * 1_000_000, "at": clock.day_start(day) + timedelta(hours=12),
            "transfer": ledger.post([draft], at=now())[0].transfer_id,
        }  # fmt: skip
        rows = [(row.out_trade_no, row.transaction_id) for row in run(_BULK, values)]
        run("analyze payments")
    return rows


def _bill(numbers: list[tuple[str, str]], day: date) -> tuple[io.BytesIO, str]:
    """The bill of these payments in WeChat's form; every ten-thousandth is a fen dearer there."""
    titles = [name for name, _ in TRADE.columns]
    place = {name: index for index, name in enumerate(titles)}
    cells = ["0"] * len(titles)
    fixed = {
        "交易时间": f"{day} 12:00:00", "公众账号ID": _terms().appid, "商户号": _mchid(), "用户标识": "o-bulk",
        "交易类型": "JSAPI", "交易状态": "SUCCESS", "货币种类": "CNY", "费率": "0.60%", "商品名称": "骑行保养",
        "商户数据包": "", "退款类型": "", "退款状态": "",
    }  # fmt: skip
    money = ("应结订单金额", "代金券金额", "退款金额", "充值券退款金额", "订单金额", "申请退款金额")
    for name in money:
        cells[place[name]] = "0.00"
    for name, value in fixed.items():
        cells[place[name]] = value
    cells[place["手续费"]] = "0.06000"
    lines, total = [], 0
    for number, (out_trade_no, transaction_id) in enumerate(numbers):
        fen = 991 if number % 10_000 == 0 else 990
        total += fen
        cells[place["商户订单号"]], cells[place["微信订单号"]] = out_trade_no, transaction_id
        cells[place["应结订单金额"]] = cells[place["订单金额"]] = f"{fen / 100:.2f}"
        lines.append(",".join("`" + cell for cell in cells))
    sums = {
        "总交易单数": str(len(numbers)), "应结订单总金额": f"{total / 100:.2f}", "退款总金额": "0.00",
        "充值券退款总金额": "0.00", "手续费总金额": f"{len(numbers) * 6 / 100:.5f}", "订单总金额": f"{total / 100:.2f}",
        "申请退款总金额": "0.00",
    }  # fmt: skip
    text = "\r\n".join([",".join(titles), *lines, ",".join(sums), ",".join("`" + value for value in sums.values())])
    raw = ("\ufeff" + text + "\r\n").encode()
    return io.BytesIO(raw), hashlib.sha1(raw, usedforsecurity=False).hexdigest()
