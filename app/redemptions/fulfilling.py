"""Promises that no clerk scans: a parcel that has arrived, a third party's code that was handed out, a booked time that
nobody came for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from app.db import run

_FULFIL = """
    with open as materialized (
      select c.id from codes c where c.order_id = %(order)s and c.state = 'issued'
        and coalesce(c.id = any (%(codes)s::bigint[]), true)
      order by c.id for no key update
    )
    select (code_accrue(c, c.uses_left, m, null, null, 'order:' || c.order_id || ':' || c.id, null, null, %(by)s,
                        %(at)s)).id
    from open o join codes c on c.id = o.id join merchants m on m.id = c.merchant_id order by c.id
"""


def fulfil(*, order_id: int, by: str, at: datetime, code_ids: Sequence[int] | None = None) -> int:
    """Accrue all unspent promises of an order, or the codes named, without a scan; answers how many.

    Twice is once: what is spent is no longer issued. ``by`` says whose word it is (``person:7``, ``job``). Expired and
    refunded codes are left alone. Locks: codes, order, ledger accounts.
    """
    codes = None if code_ids is None else list(code_ids)
    return len(run(_FULFIL, {"order": order_id, "codes": codes, "by": by, "at": at}))
