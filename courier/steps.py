"""WeRun steps: opened with the stored session key, each piece once, handed on as days."""

from __future__ import annotations

from cryptography.exceptions import InvalidTag

from app import inbox, people, records, vault
from app.clock import now
from app.db import transaction
from app.errors import Kind, declare
from app.people.sign_in import SESSION_KEY
from courier import metrics
from wechat import open_data as wechat

ORIGIN = "werun"

WERUN_EXPIRED = declare(
    "werun_expired",
    Kind.CONFLICT,
    zh="微信运动数据已过期，请重新登录（wx.login）后再次获取并提交。",
    en="The WeRun data can't be opened any more. Log in again (wx.login), fetch it again and send it, once.",
)


def take(person_id: int, encrypted_data: str, iv: str) -> None:
    """Take what ``wx.getWeRunData`` gave. Raises CONSENT_REQUIRED, WERUN_EXPIRED, NOWHERE_TO_WALK.

    The same piece again changes nothing.
    """
    people.require_consent(person_id, "steps")
    days = _opened(person_id, encrypted_data, iv)
    at = now()
    with transaction():
        key = f"{person_id}:{wechat.fingerprint(encrypted_data)}"
        if not inbox.keep(origin=ORIGIN, message_key=key, body=b"", at=at):
            metrics.STEPS.labels("again").inc(len(days))
            return
        if days:
            found = [(one.day, one.steps) for one in days]
            records.take_steps(person_id=person_id, days=found, read_at=days[0].read_at, at=at)
    metrics.STEPS.labels("taken").inc(len(days))
    odd = sum(not one.exact for one in days)
    if odd:
        metrics.STEPS.labels("odd_time").inc(odd)


def _opened(person_id: int, encrypted_data: str, iv: str) -> list[wechat.StepDay]:
    """The days, by the session key of the mini-program used last. Why it can't be opened is nobody's business."""
    reason = "no_session_key"
    for identity in people.identities(person_id):
        if identity.session_key_sealed is None:
            continue
        try:
            key = vault.decrypt(SESSION_KEY, bytes(identity.session_key_sealed))
            content = wechat.open_data(
                session_key=key, encrypted_data=encrypted_data, iv=iv, appid=identity.appid, now=now().timestamp()
            )
            return wechat.steps_of(content)
        except InvalidTag:
            reason = "sealed_by_another_secret"
        except wechat.OpenDataRefused as error:
            reason = error.reason
    metrics.STEPS.labels(reason).inc()
    raise WERUN_EXPIRED()
