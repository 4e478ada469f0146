"""Figures of the business beside those of the machine: what waits, what is held, what the budgets can still issue.

Asked from PostgreSQL when somebody scrapes, at most every fifteen seconds per process, never by a request of a user.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import psycopg
from prometheus_client.core import GaugeMetricFamily
from sqlalchemy.exc import SQLAlchemyError

from app.db import run, session

FRESH_SECONDS = 15.0
_QUERIES = {
    "diandi_records_held": ("records that wait for a person", "program", """
        select p.code as label, count(r.id) as value from programs p
        left join records r on r.program_id = p.id and r.state = 'held' group by p.code"""),
    "diandi_awards_pending_credits": ("credits that wait for a sponsor's money", "program", """
        select p.code as label, coalesce(sum(w.credits), 0) as value from programs p
        left join awards w on w.program_id = p.id and w.state = 'pending' group by p.code"""),
    "diandi_budget_capacity_credits": ("credits that a budget can still issue", "budget", """
        select p.code || '/' || b.code as label, sum(a.balance) as value from budgets b
        join programs p on p.id = b.program_id
        join budget_slices s on s.budget_id = b.id join accounts a on a.id = s.account_id group by 1"""),
    "diandi_payment_differences_open": ("differences about money that wait for a person", "kind", """
        select kind as label, count(*) as value from payment_differences where state = 'open' group by kind"""),
    "diandi_source_lag_hours": ("hours since the newest act of a source", "source", """
        select p.code || '/' || s.code as label,
               extract(epoch from now() - (select max(r.occurred_at) from records r where r.source_id = s.id)) / 3600
                 as value
        from sources s join programs p on p.id = s.program_id where s.kind = 'partner'"""),
}  # fmt: skip
_lock = threading.Lock()
_kept: tuple[float, list[GaugeMetricFamily]] = (0.0, [])


class Figures:
    """A collector for one registry; without PostgreSQL it has nothing to say."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        global _kept
        with _lock:
            if time.monotonic() - _kept[0] > FRESH_SECONDS or not _kept[1]:
                _kept = (time.monotonic(), _asked())
            yield from _kept[1]


def _asked() -> list[GaugeMetricFamily]:
    families = []
    try:
        for name, (about, label, query) in _QUERIES.items():
            family = GaugeMetricFamily(name, about, labels=[label])
            for row in run(query):
                if row.value is not None:
                    family.add_metric([row.label], float(row.value))
            families.append(family)
    except (SQLAlchemyError, psycopg.Error):
        session().rollback()
        return []
    return families
