"""The classes of differences between a bill and our books, each one statement that keeps what it finds.

``bill_lines`` holds the bill (see bills.py). A statement answers how many it found.
"""

from __future__ import annotations

from dataclasses import dataclass

_KEEP = """
    with found as ({select}), kept as (
      insert into payment_differences (program_id, mchid, kind, number, day, payment_id, refund_id, ours, theirs,
                                       found_at, seen_at)
      select distinct on (number) program_id, %(mchid)s, %(kind)s, number, %(day)s, payment_id, refund_id, ours, theirs,
             %(at)s, %(at)s from found order by number
      on conflict (mchid, kind, number)
      do update set seen_at = excluded.seen_at, times = payment_differences.times + 1
      returning id
    ) select count(*) as n from kept
"""
# What one side says, as text: an amount, a state, a number; never a payer.
_PAYMENT = "p.program_id, b.number, p.id as payment_id, null::bigint as refund_id"
_REFUND = "r.program_id, b.number, r.payment_id, r.id as refund_id"
_OF_PAYMENT = "from bill_lines b left join payments p on p.out_trade_no = b.number where b.what = 'payment'"
_OF_REFUND = (
    "from bill_lines b left join refunds r on r.out_refund_no = b.number"
    " left join payments p on p.id = r.payment_id where b.what = 'refund'"
)
# A payment near midnight may stand in the neighbouring day's bill: it is missing when both have been compared.
_BILLS_ARE_IN = """
    exists (select from bill_days d where d.mchid = %(mchid)s and d.kind = 'trade' and d.day = m.day)
    and (not m.early or exists (select from bill_days d
         where d.mchid = %(mchid)s and d.kind = 'trade' and d.day = m.day - 1))
    and (not m.late or exists (select from bill_days d
         where d.mchid = %(mchid)s and d.kind = 'trade' and d.day = m.day + 1))
"""
_MOMENT = """
    cross join lateral (
      select (x.t at time zone 'Asia/Shanghai')::date as day,
             (x.t at time zone 'Asia/Shanghai')::time < '00:10' as early,
             (x.t at time zone 'Asia/Shanghai')::time >= '23:50' as late
      from (select {at} as t) x
    ) m
"""
_AROUND = """{at} >= ((%(day)s::date - 1)::timestamp at time zone 'Asia/Shanghai')
      and {at} < ((%(day)s::date + 2)::timestamp at time zone 'Asia/Shanghai')"""


@dataclass(frozen=True, slots=True)
class Rule:
    """A kind of difference, and the statement that finds it."""

    kind: str
    select: str

    @property
    def sql(self) -> str:
        return _KEEP.format(select=self.select)


def _payments(kind: str, ours: str, theirs: str, where: str) -> Rule:
    return Rule(kind, f"select {_PAYMENT}, {ours} as ours, {theirs} as theirs {_OF_PAYMENT} and {where}")


def _refunds(kind: str, ours: str, theirs: str, where: str) -> Rule:
    return Rule(kind, f"select {_REFUND}, {ours} as ours, {theirs} as theirs {_OF_REFUND} and {where}")


_TAKEN = "p.state in ('paid', 'late')"
TRADE_RULES = (
    _payments("missing_here", "''", "b.fen::text", "p.id is null"),
    _payments("notice_missed", "p.state", "b.status", "p.id is not null and p.state not in ('paid', 'late')"),
    _payments("state", "p.state", "b.status", "p.id is not null and b.status <> 'SUCCESS'"),
    _payments("amount", "p.total_fen::text", "b.fen::text", "p.total_fen <> b.fen"),
    _payments("currency", "'CNY'", "b.currency", "p.id is not null and b.currency <> 'CNY'"),
    _payments("merchant", "p.mchid", "b.mchid", "p.mchid <> b.mchid"),
    _payments("appid", "p.appid", "b.appid", "p.appid <> b.appid"),
    _payments("payer", "'ordered by another'", "''", "p.payer_hash <> b.payer"),
    _payments(
        "transaction", "p.transaction_id", "b.transaction_id", f"{_TAKEN} and p.transaction_id <> b.transaction_id"
    ),
    _payments("fee", "b.fee_expected::text", "b.fee::text", "p.id is not null and abs(b.fee - b.fee_expected) >= 1000"),
    Rule(
        "twice",
        "select null::bigint as program_id, b.number, null::bigint as payment_id, null::bigint as refund_id,"
        " '1' as ours, count(*)::text as theirs from bill_lines b where b.number <> ''"
        " group by b.what, b.number having count(*) > 1",
    ),
)  # fmt: skip
REFUND_RULES = (
    _refunds("refund_missing_here", "''", "b.fen::text", "r.id is null"),
    _refunds("refund_amount", "r.fen::text", "b.fen::text", "r.fen <> b.fen"),
    _refunds("refund_payment", "p.out_trade_no", "b.payment_number", "p.out_trade_no <> b.payment_number"),
    _refunds(
        "refund_state", "r.state", "b.status",
        "r.id is not null and (r.state = 'asked' or (b.status = 'SUCCESS' and r.state in ('closed', 'abnormal')))",
    ),
    _refunds("refund_id", "r.refund_id", "b.refund_id", "r.refund_id <> b.refund_id"),
)  # fmt: skip
OURS_MISSING = (
    Rule(
        "missing_at_wechat",
        "select p.program_id, p.out_trade_no as number, p.id as payment_id, null::bigint as refund_id,"
        " p.total_fen::text as ours, '' as theirs from payments p"
        + _MOMENT.format(at="p.success_at")
        + " where p.mchid = %(mchid)s and p.billed_day is null and p.state in ('paid', 'late') and "
        + _AROUND.format(at="p.success_at")
        + f" and {_BILLS_ARE_IN}"
        " and not exists (select from payment_differences k where k.payment_id = p.id and k.refund_id is null"
        " and k.kind <> 'missing_at_wechat' and k.day is not null)",
    ),
    Rule(
        "refund_missing_at_wechat",
        "select r.program_id, r.out_refund_no as number, r.payment_id, r.id as refund_id,"
        " r.fen::text as ours, '' as theirs from refunds r join payments p on p.id = r.payment_id"
        + _MOMENT.format(at="r.accepted_at")
        + " where p.mchid = %(mchid)s and r.billed_day is null and r.accepted_at is not null"
        " and r.state <> 'closed' and " + _AROUND.format(at="r.accepted_at") + f" and {_BILLS_ARE_IN}"
        " and not exists (select from payment_differences k where k.refund_id = r.id"
        " and k.kind <> 'refund_missing_at_wechat' and k.day is not null)",
    ),
)


def _funds(kind: str, join: str, ours: str, where: str, columns: str) -> Rule:
    return Rule(
        kind,
        f"select {columns}, b.number as number, {ours} as ours, b.payment_number || ' ' || b.fen as theirs"
        f" from bill_lines b {join} where {where}",
    )


_BY_TRANSACTION = "left join payments p on p.mchid = %(mchid)s and p.transaction_id = b.transaction_id"
_BY_REFUND = "left join refunds r on r.refund_id = b.refund_id"
_NOBODY = "null::bigint as program_id, null::bigint as payment_id, null::bigint as refund_id"
FUND_RULES = (
    _funds(
        "funds_payment", _BY_TRANSACTION, "coalesce(p.total_fen::text, '')",
        "b.what = 'payment' and p.total_fen is distinct from b.fen",
        "p.program_id, p.id as payment_id, null::bigint as refund_id",
    ),
    _funds(
        "funds_refund", _BY_REFUND, "coalesce(r.fen::text, '')",
        "b.what = 'refund' and r.fen is distinct from -b.fen",
        "r.program_id, r.payment_id, r.id as refund_id",
    ),
    _funds(
        "funds_return", _BY_REFUND, "coalesce(r.state || ' ' || r.fen, '')",
        "b.what = 'refund_return' and (r.fen is distinct from b.fen or r.state <> 'closed')",
        "r.program_id, r.payment_id, r.id as refund_id",
    ),
    _funds("funds_other", "", "''", "b.what = 'other'", _NOBODY),
)  # fmt: skip
