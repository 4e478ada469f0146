"""Content checks: texts at once, pictures by a verdict that is pushed later. Away means pending, never passed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from app import community, media, people, safety, teams, vault
from app.clock import now
from app.db import forbid_in_transaction, transaction
from courier import metrics
from courier.clients import App, apps
from courier.words import again_at
from wechat import errors
from wechat import safety as wechat

log = structlog.get_logger("courier")
SIGNED_FOR = timedelta(hours=1)
"""WeChat may fetch for half an hour; the owner sees a pending picture by the same kind of address."""
MOST_TIMES = 20
SEAM = 50
_WIDE = 0xFFFF
_SEVERITY = {wechat.PASS: 0, wechat.REVIEW: 1, wechat.RISKY: 2}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of text: WeChat's scene, and what is done when it has passed (object id, text) or not (object id)."""

    scene: int
    passed: Callable[[int, str], None]
    refused: Callable[[int], None] | None = None


# A feature that shows people's words to others has a line here.
KINDS: Mapping[str, Kind] = {
    people.NICKNAME: Kind(wechat.PROFILE, people.nickname_passed),
    teams.TEAM_NAME: Kind(wechat.PROFILE, teams.name_passed),
    community.POST_TEXT: Kind(wechat.FORUM, community.post_passed, community.post_refused),
    community.COMMENT_TEXT: Kind(wechat.COMMENT, community.comment_passed, community.comment_refused),
}


def check_text(check_id: int) -> None:
    """Have one text checked; nothing when it is decided or taken back."""
    forbid_in_transaction("a content check")
    check = safety.pending(check_id)
    if check is None:
        return None
    app, openid = _who(check.person_id)
    if app is None:
        return _put_off(check, None, "no_identity")
    kind = KINDS[check.kind]
    nickname = check.body if check.kind == people.NICKNAME else ""
    try:
        verdict = _verdict(app, check.body, openid=openid, scene=kind.scene, nickname=nickname)
    except errors.NotHereLately:
        return _put_off(check, None, "author_away")
    except errors.WeChatError as error:
        _alarm(error, check.attempts)
        return _put_off(check, again_at(error, check.attempts, now()), "wechat_away")
    decide_text(check_id, verdict.suggest, by="wechat", label=verdict.label, trace_id=verdict.trace_id)
    return None


def _verdict(app: App, body: str, *, openid: str, scene: int, nickname: str) -> wechat.Verdict:
    """The worst verdict on the parts of a text: WeChat takes 2,500 characters at once."""
    worst = None
    for part in parts(body):
        found = wechat.check_text(app.api, content=part, openid=openid, scene=scene, nickname=nickname)
        if worst is None or _SEVERITY[found.suggest] > _SEVERITY[worst.suggest]:
            worst = found
        if worst.suggest == wechat.RISKY:
            break
    assert worst is not None, "an empty text is never asked about"
    return worst


def parts(body: str) -> list[str]:
    """A text in pieces that WeChat takes, whichever way it counts an emoji. They overlap, so that a seam hides no
    word."""
    pieces, begin = [], 0
    while begin < len(body):
        end, units = begin, 0
        while end < len(body) and units + (width := 1 + (ord(body[end]) > _WIDE)) <= wechat.LONGEST_TEXT:
            units, end = units + width, end + 1
        pieces.append(body[begin:end])
        begin = end if end == len(body) else end - SEAM
    return [piece for piece in pieces if piece.strip()]


def decide_text(check_id: int, verdict: str, *, by: str, label: int | None = None, trace_id: str | None = None) -> bool:
    """Write a verdict down and tell the feature; answers whether there was anything to decide."""
    with transaction():
        found = safety.decide(check_id=check_id, verdict=verdict, by=by, at=now(), label=label, trace_id=trace_id)
        if found is not None and verdict == wechat.PASS:
            KINDS[found.kind].passed(found.object_id, found.body)
        refused = KINDS[found.kind].refused if found is not None and verdict == wechat.RISKY else None
        if found is not None and refused is not None:
            refused(found.object_id)
    if found is not None:
        metrics.CHECKS.labels(found.kind, verdict).inc()
    return found is not None


def check_medium(medium_id: int) -> None:
    """Have one picture checked: WeChat fetches it by a signed address. The verdict is pushed, early or late."""
    forbid_in_transaction("a content check")
    found = media.pending(medium_id)
    if found is None:
        return None
    app, openid = _who(found.person_id)
    at = now()
    if app is None or found.attempts >= MOST_TIMES:
        with transaction():
            media.asking_failed(medium_id=medium_id, until=None, at=at)
        return None
    try:
        url = apps().public_base + signed_path(found.name, at)
        scene = wechat.PROFILE if found.purpose == "avatar" else wechat.SOCIAL_LOG
        trace_id = wechat.check_media(app.api, url=url, media_type=wechat.IMAGE, scene=scene, openid=openid)
    except errors.NotHereLately:
        return _ask_again(medium_id, at + timedelta(hours=1), "author_away", at)
    except errors.AskedBefore:
        return _ask_again(medium_id, at + timedelta(minutes=5), "asked_before", at)
    except errors.WeChatError as error:
        _alarm(error, found.attempts)
        return _ask_again(medium_id, again_at(error, found.attempts, at), "wechat_away", at)
    with transaction():
        media.asked(medium_id=medium_id, trace_id=trace_id, at=now())
    metrics.CHECKS.labels("picture", "asked").inc()
    return None


def signed_path(name: str, at: datetime) -> str:
    """A picture's address that works for an hour, also while others may not see it."""
    until = int((at + SIGNED_FOR).timestamp())
    return f"/media/{name}?until={until}&mark={_mark(name, until)}"


def opens(name: str, until: str, mark: str, at: datetime) -> bool:
    """Whether a signed address is ours and still works."""
    if not (until.isascii() and until.isdigit() and len(until) <= 12) or int(until) < at.timestamp():
        return False
    return vault.same(_mark(name, int(until)), mark)


def _mark(name: str, until: int) -> str:
    return vault.keyed_hash("media-address", f"{name}|{until}").hex()[:40]


def _who(person_id: int) -> tuple[App | None, str]:
    """The mini-program and openid under which somebody was here last."""
    for identity in people.identities(person_id):
        app = apps().find(identity.appid)
        if app is not None:
            return app, str(identity.openid)
    return None, ""


def _put_off(check: Any, until: datetime | None, why: str) -> None:
    with transaction():
        safety.put_off(check_id=check.id, until=until)
    metrics.CHECKS.labels(check.kind, why).inc()


def _ask_again(medium_id: int, until: datetime, why: str, at: datetime) -> None:
    with transaction():
        media.asking_failed(medium_id=medium_id, until=until, at=at)
    metrics.CHECKS.labels("picture", why).inc()


def _alarm(error: errors.WeChatError, attempts: int) -> None:
    """What WeChat refuses for a fault of ours, or has refused for long, is for somebody to look at."""
    if error.alarm or isinstance(error, errors.BadRequest) or attempts >= MOST_TIMES:
        log.error("content_check_fails", code=error.errcode, rid=error.rid, kind=type(error).__name__)
