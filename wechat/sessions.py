"""Session keys: whether one still holds, and a new one in its place. Only open data needs them, never our login."""

from __future__ import annotations

import hashlib
import hmac

from wechat.api import Api, Interface
from wechat.errors import SessionGone, WeChatUnavailable

CHECK = Interface("checksession", "GET", "/wxa/checksession", again=True)
# Never twice: the first call may have replaced the key.
RESET = Interface("resetusersessionkey", "GET", "/wxa/resetusersessionkey")


def session_signature(session_key: str) -> str:
    """HMAC-SHA256 of nothing. That the key is the base64 text and not its bytes is assumed: no source says."""
    return hmac.new(session_key.encode(), b"", hashlib.sha256).hexdigest()


def session_holds(api: Api, *, openid: str, session_key: str) -> bool:
    """Whether the key is the user's current one. Raises WeChatError when WeChat cannot say."""
    try:
        api.call(CHECK, query=_query(openid, session_key))
    except SessionGone:
        return False
    return True


def reset_session(api: Api, *, openid: str, session_key: str) -> str:
    """A new session key; the old one dies, its remaining life is inherited. Raises SessionGone: a new login."""
    answer = api.call(RESET, query=_query(openid, session_key))
    found = answer.get("session_key")
    if not isinstance(found, str) or not found or answer.get("openid", openid) != openid:
        raise WeChatUnavailable(RESET.name, "NoSessionKey")
    return found


def _query(openid: str, session_key: str) -> dict[str, str]:
    return {"openid": openid, "signature": session_signature(session_key), "sig_method": "hmac_sha256"}
