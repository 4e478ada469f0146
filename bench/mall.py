"""The mall: pages of the catalogue, orders over many items and on one hot item, pools of codes."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from statistics import median

from app import funding, mall, merchants
from app.clock import now
from app.db import run, transaction
from bench import load
from bench.city import CODE, PHONES, City, city, token
from bench.load import http_request
from bench.measures import Bench
from bench.reads import READERS
from edge.paging import encode

SHELF, STOCK = 64, 10_000_000
PAGE = f"/api/v1/programs/{CODE}/items"
POOL_CODES = 100_000


def catalogue(bench: Bench) -> float:
    """A page of twenty items for everybody, as bytes that were made a moment ago."""
    _shelf(city())
    return bench.ratio_to_f(lambda _: http_request("GET", PAGE))


def for_me(bench: Bench) -> float:
    """The same for whoever is signed in, with what is for them."""
    _shelf(city())
    ready = [
        http_request("GET", f"{PAGE}/for-me", headers={"Authorization": f"Bearer {token(number)}"})
        for number in range(READERS)
    ]
    load.run(bench.address, lambda number: ready[number % READERS], seconds=2)
    return bench.ratio_to_f(lambda number: ready[number % READERS])


def uncached(bench: Bench) -> float:
    """Each request another cursor, so that none finds bytes of an earlier one: the statement and the words anew."""
    _shelf(city())
    start = secrets.randbelow(2**50)
    return bench.ratio_to_f(lambda number: http_request("GET", f"{PAGE}?cursor={encode(-start - number)}"))


def order(bench: Bench) -> float:
    """Orders a second by 3,000 people over 64 items, each paid by credits, with its code."""
    items = _buyers(city())
    return bench.ratio_to_f(_ordering(items))


def hot_item(bench: Bench) -> float:
    """Orders a second on one item over those on 64; slices alternate."""
    items = _buyers(city())
    shares, one, many = [], [], []
    for _ in range(3):
        spread = load.run(bench.address, _ordering(items), seconds=bench.seconds / 3, connections=16)
        hot = load.run(bench.address, _ordering(items[:1]), seconds=bench.seconds / 3, connections=16)
        if any(status >= 300 for status in (*spread.statuses, *hot.statuses)):
            raise RuntimeError(f"unexpected answers: {spread.statuses} {hot.statuses}")
        shares.append(hot.per_second / spread.per_second)
        one.append(hot.per_second)
        many.append(spread.per_second)
    bench.notes["one"], bench.notes["many"] = median(one), median(many)
    return median(shares)


def pool_import(bench: Bench) -> float:
    """Seconds for a file of 100,000 third-party codes, sealed and on the shelf."""
    here = city()
    with transaction():
        item = mall.draft(
            program_id=here.program_id, code=f"pool-{secrets.token_hex(4)}", kind="code_pool", stock_pieces=0,
            name="券码", price_credits=10, settlement_fen=10, merchant_id=_merchant(here),
        )  # fmt: skip
        item_id = item.id
    mark = secrets.token_hex(4)
    lines = (f"{mark}-{number:08d}\n" for number in range(POOL_CODES))
    began = time.monotonic()
    with transaction():
        found = mall.import_codes(item_id=item_id, lines=lines, at=now())
    bench.notes["taken"] = found.taken
    return time.monotonic() - began


def _merchant(here: City) -> int:
    return merchants.register(program_id=here.program_id, code="bench-shop", name="测速小店").id


def _shelf(here: City) -> list[int]:
    """The items on sale; made when there are none."""
    known = "select id from items where program_id = %(p)s and code like 'shelf-%%' order by id"
    with transaction():
        found = [row.id for row in run(known, {"p": here.program_id})]
        for number in range(len(found), SHELF):
            item = mall.draft(
                program_id=here.program_id, code=f"shelf-{number}", kind="voucher", stock_pieces=STOCK,
                name=f"商品 {number}", name_en=f"Thing {number}", text_zh="一件好东西", price_credits=10,
                settlement_fen=10, merchant_id=_merchant(here),
            )  # fmt: skip
            mall.publish(item=item)
            found.append(item.id)
    return found


def _buyers(here: City) -> list[int]:
    """Everybody with a phone is rich enough for what will be ordered; the items."""
    at, name = now(), secrets.token_hex(4)
    for start in range(0, PHONES, 500):
        with transaction():
            requests = [
                funding.AwardRequest(
                    program_id=here.program_id,
                    person_id=person,
                    reason="bench",
                    source_ref=f"{name}-{person}",
                    occurred_at=at,
                    base_micro=100_000_000,
                    budget_id=here.budget_id,
                )
                for person in here.people[start : min(start + 500, PHONES)]
            ]
            funding.award(requests, at=at)
    return _shelf(here)


def _ordering(items: list[int]) -> Callable[[int], bytes]:
    """The n-th order: another person than the last, one of the items in turn."""
    mark = secrets.token_hex(6)

    def make(number: int) -> bytes:
        body = {
            "item_id": str(items[number % len(items)]),
            "quantity": 1,
            "client_ref": f"{mark}-{number}",
            "price_credits": 10,
        }
        headers = {"Authorization": f"Bearer {token(number % PHONES)}"}
        return http_request("POST", "/api/v1/orders", headers=headers, body=json.dumps(body).encode())

    return make
