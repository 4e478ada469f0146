"""A scan by the API: 320 clerks of 64 shops redeem codes of their merchants; in units of F."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

from app import funding, merchants, vault
from app.clock import now
from app.db import run, session, transaction
from app.mall.models import Item
from app.redemptions import typed_code
from app.redemptions.issuing import HASHED
from bench.city import City, city, token
from bench.load import http_request
from bench.measures import Bench

MERCHANTS, SHOPS, CLERKS = 16, 64, 320
CODES_A_SECOND = 2_500  # of measuring: more than anybody will redeem


def redeem(bench: Bench) -> float:
    """Scans a second, each of a fresh code, in units of F."""
    here, at = city(), now()
    with transaction():
        shops = _shops(here, at)
    with transaction():
        typed = _codes(here, at, int(bench.seconds * CODES_A_SECOND))
    return bench.ratio_to_f(_scanning(shops, typed), connections=16)


def _shops(here: City, at: datetime) -> list[int]:
    """The shops, with all phones as their clerks; made when there are none."""
    found = []
    for number in range(SHOPS):
        merchant = merchants.register(
            program_id=here.program_id, code=f"m{number % MERCHANTS}", name=f"商户{number % MERCHANTS}"
        )
        found.append(merchants.open_shop(merchant=merchant, name=f"门店{number}").id)
    run(
        """
        insert into staff (shop_id, person_id, role, active_from)
        select (%(shops)s::bigint[])[(x.n - 1) %% %(count)s + 1], x.person, 'clerk', %(at)s
        from unnest(%(people)s::bigint[]) with ordinality as x (person, n)
        on conflict do nothing
        """,
        {"shops": found, "count": SHOPS, "people": here.people[:CLERKS], "at": at - timedelta(days=1)},
    )
    return found


_CODES = """
    with code as (
      select *, nextval(pg_get_serial_sequence('orders', 'id')) as order_id,
             nextval(pg_get_serial_sequence('codes', 'id')) as code_id
      from unnest(%(hashes)s::bytea[], %(merchants)s::bigint[]) with ordinality as x (hash, merchant, n)
    ), ordered as (
      insert into orders (id, program_id, person_id, wallet_id, item_id, client_ref, body_hash, quantity, credits,
                          settlement_fen, state, transfer_id, placed_at, paid_at)
      select order_id, %(program)s, %(buyer)s, %(wallet)s, %(item)s, %(name)s || n, '', 1, 100, 150, 'paid',
             %(transfer)s, %(at)s, %(at)s from code
    ), issued as (
      insert into codes (id, program_id, merchant_id, person_id, order_id, title, code_hash, code_sealed,
                         settlement_fen, valid_from, valid_until)
      select code_id, %(program)s, merchant, %(buyer)s, order_id, '茶', hash, '', 150, %(at)s - interval '1 day',
             %(at)s + interval '30 days' from code
    )
    insert into code_fundings (code_id, lot_id, budget_id, price_fen, credits, draw_fen)
    select code_id, %(lot)s, %(budget)s, 2000, 100, 150 from code
"""


def _codes(here: City, at: datetime, count: int) -> list[str]:
    """Codes of orders without the acts and credits behind them; the n-th belongs to the n-th clerk's merchant."""
    owners = run(
        "select id from merchants where program_id = %(p)s and code ~ '^m[0-9]+$' order by substr(code, 2)::int",
        {"p": here.program_id},
    )
    typed = [typed_code.new() for _ in range(count)]
    values = {
        "hashes": [vault.keyed_hash(HASHED, one) for one in typed],
        "merchants": [owners[n % CLERKS % SHOPS % MERCHANTS].id for n in range(count)],
        "program": here.program_id,
        "budget": here.budget_id,
        "item": _item(here, owners[0].id),
        "name": f"bench-{secrets.token_hex(4)}-",
        "at": at,
        **_buyer(here, at),
    }
    run(_CODES, values)
    run("analyze orders")
    run("analyze codes")
    run("analyze code_fundings")  # as it is where codes come one by one
    return typed


def _buyer(here: City, at: datetime) -> dict[str, int]:
    """Somebody with a wallet, a lot and a transfer to name."""
    person = here.people[-1]
    request = funding.AwardRequest(
        program_id=here.program_id,
        person_id=person,
        reason="bench",
        source_ref=f"bench:{secrets.token_hex(6)}",
        occurred_at=at - timedelta(days=secrets.randbelow(300)),
        base_micro=100_000_000,
    )
    funding.award([request], at=at)
    wallet = funding.lock_wallet(person_id=person, program_id=here.program_id, at=at)
    lot = run("select max(id) as id from lots where account_id = %(a)s", {"a": wallet.credits_account_id})[0].id
    transfer = run("select max(id) as id from transfers where program_id = %(p)s", {"p": here.program_id})[0].id
    return {"buyer": person, "wallet": wallet.id, "lot": lot, "transfer": transfer}


def _item(here: City, merchant_id: int) -> int:
    found = run("select id from items where program_id = %(p)s and code = 'bench'", {"p": here.program_id})
    if found:
        return int(found[0].id)
    made = Item(
        program_id=here.program_id,
        code="bench",
        kind="voucher",
        merchant_id=merchant_id,
        name="茶",
        price_credits=100,
        settlement_fen=150,
        total=1_000_000,
        available=1_000_000,
        sold=0,
        state="on_sale",
    )
    session().add(made)
    session().flush()
    return made.id


def _scanning(shops: list[int], typed: list[str]) -> Callable[[int], bytes]:
    """The n-th request: the n-th clerk scans the n-th code. ``ratio_to_f`` counts from zero in each round."""
    taken = iter(range(len(typed)))

    def make(_: int) -> bytes:
        number = next(taken)
        phone = number % CLERKS
        body = {"code": typed[number], "scan_id": f"s{number}-{typed[number]}"}
        headers = {"Authorization": f"Bearer {token(phone)}"}
        path = f"/api/v1/shops/{shops[phone % SHOPS]}/redemptions"
        return http_request("POST", path, headers=headers, body=json.dumps(body).encode())

    return make
