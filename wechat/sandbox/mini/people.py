"""Session keys, phone numbers, steps: what WeChat tells about a user who agreed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from typing import Any

from wechat.sandbox import crypto
from wechat.sandbox.clock import beijing
from wechat.sandbox.mini.calls import MiniCall, MiniRefusal
from wechat.sandbox.state import State, User

WERUN_DAYS = 31


def check_session(call: MiniCall) -> dict[str, Any]:
    """``GET /wxa/checksession``."""
    _signed_user(call, gone=87009)
    return {"errcode": 0, "errmsg": "ok"}


def reset_session(call: MiniCall) -> dict[str, Any]:
    """``GET /wxa/resetusersessionkey``: a new key with the old one's end."""
    user = _signed_user(call, gone=87007)
    user.session_key = base64.b64encode(secrets.token_bytes(16)).decode()
    return {"errcode": 0, "errmsg": "ok", "openid": user.openid, "session_key": user.session_key}


def _signed_user(call: MiniCall, gone: int) -> User:
    if call.query("sig_method") != "hmac_sha256":
        raise MiniRefusal(87008)
    if not call.query("openid") or not call.query("signature"):
        raise MiniRefusal(40097)
    user = call.user(call.query("openid"))
    if not user.session_key or call.now >= user.session_until:
        raise MiniRefusal(gone)
    text = user.session_key.encode()
    key = text if call.mini.switches.hmac_key_as_text else base64.b64decode(text)
    if not hmac.compare_digest(hmac.new(key, b"", hashlib.sha256).hexdigest(), call.query("signature")):
        raise MiniRefusal(87009)
    return user


def phone_number(call: MiniCall) -> dict[str, Any]:
    """``POST /wxa/business/getuserphonenumber``. The charge fell already, when the user pressed the button."""
    content = call.content()
    call.fields(content, "code", "openid")
    if "openid" not in content:
        call.violations.append("openid is missing: WeChat can then not refuse another user's code")
    with call.state.lock:
        code = call.state.codes.get(str(content.get("code")))
        good = code is not None and code.purpose == "phone" and not code.used and call.now < code.until
        if code is None or not good or content.get("openid", code.user.openid) != code.user.openid:
            raise MiniRefusal(40029)
        code.used = True
        phone = code.user.phone
    watermark = {"timestamp": int(call.now), "appid": call.state.appid}
    told = {"phoneNumber": phone, "purePhoneNumber": phone, "countryCode": "86", "watermark": watermark}
    return {"errcode": 0, "errmsg": "ok", "phone_info": told}


def werun(state: State, user: User, steps: dict[str, int], *, appid: str = "", age_seconds: int = 0) -> dict[str, str]:
    """What ``wx.getWeRunData`` gives: the last 31 days of Beijing, sealed with the user's session key. ``steps`` by
    day (``2026-11-25``) overrules the made-up ones; ``appid`` and ``age_seconds`` plant a wrong watermark."""
    now = state.now()
    midnight = beijing(now).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
    days = [midnight - 86400 * back for back in range(WERUN_DAYS - 1, -1, -1)]
    listed = [{"timestamp": int(at), "step": steps.get(f"{beijing(at):%Y-%m-%d}", _made_up(user, at))} for at in days]
    watermark = {"timestamp": int(now) - age_seconds, "appid": appid or state.appid}
    plain = json.dumps({"stepInfoList": listed, "watermark": watermark}).encode()
    iv = secrets.token_bytes(16)
    if not user.session_key:
        raise ValueError("the user has not signed in; there is no session key")
    sealed = crypto.open_data_sealed(user.session_key, iv, plain)
    return {"encryptedData": sealed, "iv": base64.b64encode(iv).decode()}


def _made_up(user: User, at: float) -> int:
    """The same steps for the same user and day in every run."""
    digest = hashlib.sha256(f"{user.name}/{int(at)}".encode()).digest()
    return 2_000 + int.from_bytes(digest[:2], "big") % 9_000
