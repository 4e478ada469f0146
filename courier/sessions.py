"""WeChat's session of a person: does the stored key still hold, and a new one in its place."""

from __future__ import annotations

from contextlib import suppress

from cryptography.exceptions import InvalidTag

from app import people, vault
from app.db import forbid_in_transaction, transaction
from app.people.sign_in import SESSION_KEY
from courier.clients import apps
from wechat import errors
from wechat import sessions as wechat


def check(person_id: int) -> dict[str, str]:
    """How the session of each mini-program stands: ``holds``, ``gone`` or ``none``. Raises WeChatError."""
    forbid_in_transaction("a session check")
    found = {}
    for identity in people.identities(person_id):
        app, key = apps().find(identity.appid), _key(identity.session_key_sealed)
        if app is None or key is None:
            found[identity.appid] = "none"
            continue
        holds = wechat.session_holds(app.api, openid=identity.openid, session_key=key)
        found[identity.appid] = "holds" if holds else "gone"
    return found


def reset(person_id: int) -> dict[str, str]:
    """Replace each session key that still holds; ``reset``, ``gone`` (a new login is needed) or ``none``.

    Raises WeChatError. Not often for one person: WeChat counts it.
    """
    forbid_in_transaction("a session reset")
    found = {}
    for identity in people.identities(person_id):
        app, key = apps().find(identity.appid), _key(identity.session_key_sealed)
        if app is None or key is None:
            found[identity.appid] = "none"
            continue
        fresh: str | None = None
        with suppress(errors.SessionGone):
            fresh = wechat.reset_session(app.api, openid=identity.openid, session_key=key)
        with transaction():
            people.keep_session_key(identity_id=identity.id, session_key=fresh)
        found[identity.appid] = "gone" if fresh is None else "reset"
    return found


def _key(sealed: bytes | None) -> str | None:
    """The key; None where there is none, or where it was sealed by a secret that we no longer have."""
    if sealed is None:
        return None
    try:
        return vault.decrypt(SESSION_KEY, bytes(sealed))
    except InvalidTag:
        return None
