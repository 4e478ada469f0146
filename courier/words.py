"""WeChat's errors as our refusals, and when to come back after one."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from app import clock
from app.errors import BUSY, TOO_MANY, Refusal
from wechat import errors

log = structlog.get_logger("courier")
STEPS_MINUTES = (1, 2, 5, 10, 20, 40, 60)


def refusal_of(error: errors.WeChatError) -> Refusal:
    """What to say to somebody whose request needed WeChat and can't have it now. What is ours to mend is logged."""
    if error.alarm:
        log.error("wechat_needs_us", code=error.errcode, rid=error.rid, kind=type(error).__name__)
    if isinstance(error, errors.RateLimited):
        return TOO_MANY(retry_after=error.retry_after, limit="wechat")
    return BUSY(retry_after=3 if error.retry else 60)


def again_at(error: errors.WeChatError, attempts: int, at: datetime) -> datetime:
    """When the same may work: soon, then less often; after a spent quota tomorrow; after our own fault in an hour."""
    if isinstance(error, errors.QuotaSpent):
        return tomorrow(at)
    if isinstance(error, errors.RateLimited):
        return at + timedelta(seconds=error.retry_after)
    if error.retry:
        return at + timedelta(minutes=STEPS_MINUTES[min(attempts, len(STEPS_MINUTES) - 1)])
    return at + timedelta(hours=1)


def tomorrow(at: datetime) -> datetime:
    """Shortly after midnight in Beijing, when WeChat's day begins."""
    return clock.day_start(clock.business_day(at) + timedelta(days=1)) + timedelta(minutes=5)
