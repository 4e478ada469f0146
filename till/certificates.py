"""Certificate mode, for older merchants: WeChat's certificates change while we run, and several are valid at once.

Each process fetches them for itself, twice a day, beside its work. Never because a notice names an unknown serial: a
forger could make us call as often as he likes. Merchants with WeChat's public key need none of this.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

import structlog

from wechat.pay import PayClient
from wechat.pay import errors as pay

log = structlog.get_logger("till")
EVERY_SECONDS, AGAIN_SECONDS = 12 * 3_600.0, 300.0
IN_GOOD_TIME = timedelta(days=10)
_started: set[int] = set()
_lock = threading.Lock()


def keep_fresh(client: PayClient) -> None:
    """Begin to fetch in this process, once."""
    with _lock:
        if id(client) in _started:
            return
        _started.add(id(client))
    threading.Thread(target=_run, args=(client,), name="certificates", daemon=True).start()


def refresh(client: PayClient) -> bool:
    """Fetch now; what is there stays when that fails. Answers whether it worked."""
    try:
        serials = client.refresh_certificates()
    except pay.PayError as error:
        log.error("certificates_not_fetched", kind=type(error).__name__, code=error.code)
        return False
    last = client.merchant.keys.last_expiry()
    if last is not None and last - datetime.now(UTC) < IN_GOOD_TIME:
        log.error("certificates_end_soon", count=len(serials))
    return True


def _run(client: PayClient) -> None:
    while True:
        time.sleep(EVERY_SECONDS if refresh(client) else AGAIN_SECONDS)
