"""Control of the mini-program's side: phone codes, steps, popups, events, the inbox, verdicts, push, tokens, pages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from wechat.sandbox.clock import rfc3339
from wechat.sandbox.control import Call, Refused
from wechat.sandbox.mini import people
from wechat.sandbox.mini.push import FORMATS, MODES, PUSH_FAULTS, PushFault
from wechat.sandbox.mini.service import Mini
from wechat.sandbox.state import User

SHOWN = 200


def mini_of(call: Call) -> Mini:
    return call.box.apps[call.app] if call.app else call.box.mini


def user_of(call: Call) -> User:
    user = call.state.users.get(call.text("user"))
    if user is None:
        raise Refused("no such user; GET /_sandbox/users lists them", 404)
    return user


def _post_phone_codes(call: Call) -> dict[str, Any]:
    """The user pressed the button for the phone number; that is what is charged."""
    user = user_of(call)
    code = call.state.new_code(user.name, "phone")
    return {"user": user.name, "code": code, "phone": user.phone, "charges": call.state.phone_charges}


def _post_werun(call: Call) -> dict[str, Any]:
    """What ``wx.getWeRunData`` gives. ``steps`` by day stays for later calls; ``appid``, ``age_seconds`` spoil it."""
    user, mini = user_of(call), mini_of(call)
    steps = call.body.get("steps", {})
    if not isinstance(steps, dict) or not all(isinstance(one, int) for one in steps.values()):
        raise Refused("steps is an object of days and whole numbers")
    kept = mini.steps.setdefault(user.name, {})
    kept.update(steps)
    try:
        age = int(call.number("age_seconds", 0, least=-1e9))
        return {**people.werun(call.state, user, kept, appid=call.text("appid", ""), age_seconds=age)}
    except ValueError as error:
        raise Refused(str(error), 409) from None


def _post_visit(call: Call) -> dict[str, Any]:
    """The user opens the mini-program (content checks want a visit within two hours)."""
    user = user_of(call)
    user.visited = call.state.now()
    return {"user": user.name, "visited": rfc3339(user.visited)}


def _post_templates(call: Call) -> dict[str, Any]:
    """``template`` with its ``keys`` (none: any typed key); ``banned``."""
    mini, template, keys = mini_of(call), call.text("template"), call.body.get("keys", [])
    if not isinstance(keys, list):
        raise Refused("keys must be a list")
    mini.messages.templates[template] = tuple(str(key) for key in keys)
    (mini.messages.banned.add if call.body.get("banned") else mini.messages.banned.discard)(template)
    return {"templates": mini.messages.templates, "banned": sorted(mini.messages.banned)}


def _post_popups(call: Call) -> dict[str, Any]:
    """The subscription popup: ``templates`` (or ``template``) and ``answer`` accept or reject; at most five."""
    user, mini = user_of(call), mini_of(call)
    named = call.body.get("templates", [call.body.get("template")])
    answer = call.text("answer", "accept")
    if not isinstance(named, list) or not 1 <= len(named) <= 5 or not all(isinstance(one, str) for one in named):
        raise Refused("one to five templates")
    if answer not in ("accept", "reject"):
        raise Refused("answer is accept or reject")
    for template in named:
        mini.messages.templates.setdefault(template, ())
        if answer == "accept":
            mini.messages.quota[(user.openid, template)] += 1
    listed = [{"TemplateId": one, "SubscribeStatusString": answer, "PopupScene": "0"} for one in named]
    mini.push.event(user.openid, "subscribe_msg_popup_event", {}, listed=listed)
    return {"quota": {one: mini.messages.quota[(user.openid, one)] for one in named}}


def _post_unsubscribe(call: Call) -> dict[str, Any]:
    """The user takes subscriptions back in the settings."""
    user, mini, template = user_of(call), mini_of(call), call.text("template")
    mini.messages.quota[(user.openid, template)] = 0
    listed = [{"TemplateId": template, "SubscribeStatusString": "reject"}]
    mini.push.event(user.openid, "subscribe_msg_change_event", {}, listed=listed)
    return {"quota": {template: 0}}


def _post_events(call: Call) -> dict[str, Any]:
    """``kind``: modified, revoke (with ``revoke_info``), cancel, controlled, remind_api."""
    user, kind, push = user_of(call), call.text("kind"), mini_of(call).push
    appid, openid = call.state.appid, user.openid
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "modified": ("user_info_modified", {"OpenID": openid, "AppID": appid}),
        "revoke": (
            "user_authorization_revoke",
            {
                "OpenID": openid,
                "AppID": appid,
                "RevokeInfo": call.text("revoke_info", "8"),
                "PluginID": "",
                "OpenPID": "",
            },
        ),
        "cancel": ("user_authorization_cancellation", {"OpenID": openid, "AppID": appid}),
        "controlled": ("wxa_trade_controlled", {"msg": "您的小程序已接入发货信息管理服务"}),
        "remind_api": ("trade_manage_remind_access_api", {"msg": "请尽快接入发货信息管理接口"}),
    }
    if kind not in kinds:
        raise Refused(f"kind must be one of {', '.join(kinds)}")
    name, fields = kinds[kind]
    push.event(openid, name, fields)
    return {"event": name}


def _post_say(call: Call) -> dict[str, Any]:
    """The user writes to the customer service."""
    user, mini, text = user_of(call), mini_of(call), call.text("text")
    with mini.messages.lock:
        mini.messages.wrote[user.openid] = (call.state.now(), 0)
        number = 23_000_000_000_000_000 + len(mini.push.sent)
    message = {"MsgType": "text", "Content": text, "MsgId": number}
    mini.messages.inbox.append(
        {"at": call.state.now(), "openid": user.openid, "kind": "said", "data": {"content": text}}
    )
    mini.push.send(user.openid, "text", message)
    return {"MsgId": str(number)}


def _get_inbox(call: Call) -> dict[str, Any]:
    """What a user sees in WeChat, the newest first."""
    wanted = call.query.get("user", "")
    openid = call.state.users[wanted].openid if wanted in call.state.users else ""
    found = [one for one in mini_of(call).messages.inbox if openid in ("", one["openid"])][::-1][:SHOWN]
    return {"messages": [{**one, "at": rfc3339(one["at"])} for one in found]}


def _post_verdicts(call: Call) -> dict[str, Any]:
    """``word`` for texts or ``url`` (a part of it) for media; ``suggest`` pass, review, risky; ``label``."""
    safety, suggest = mini_of(call).safety, call.text("suggest", "risky")
    if suggest not in ("pass", "review", "risky"):
        raise Refused("suggest is pass, review or risky")
    verdict = (suggest, int(call.number("label", 20001 if suggest != "pass" else 100)))
    if "word" in call.body:
        safety.words[call.text("word")] = verdict
    if "url" in call.body:
        safety.verdicts[call.text("url")] = verdict
    return {"words": safety.words, "verdicts": safety.verdicts}


def _get_push(call: Call) -> dict[str, Any]:
    push = mini_of(call).push
    sent = [{"event": one.name, "held": one.held, "attempts": one.attempts} for one in list(push.sent)[::-1][:SHOWN]]
    standing = {"url": push.url, "mode": push.mode, "format": push.format, "numbers_as_text": push.numbers_as_text}
    return {
        **standing,
        "faults": [asdict(one) for one in push.faults if one.times > 0],
        "kinds": PUSH_FAULTS,
        "sent": sent,
    }


def _post_push(call: Call) -> dict[str, Any]:
    """``url``, ``mode``, ``format``, ``numbers_as_text``; ``fault``, ``match``, ``times``; ``release``; ``verify``."""
    push, body = mini_of(call).push, call.body
    if "url" in body:
        push.url = call.text("url")
    for name, allowed in (("mode", MODES), ("format", FORMATS)):
        if name in body:
            if call.text(name) not in allowed:
                raise Refused(f"{name} is one of {', '.join(allowed)}")
            setattr(push, name, call.text(name))
    if "numbers_as_text" in body:
        push.numbers_as_text = bool(body["numbers_as_text"])
    if "fault" in body:
        if call.text("fault") not in PUSH_FAULTS:
            raise Refused(f"fault must be one of {', '.join(PUSH_FAULTS)}")
        push.faults.append(PushFault(call.text("fault"), call.text("match", "*"), int(call.number("times", 1))))
    done: dict[str, Any] = {}
    if body.get("release"):
        done["released"] = push.release()
    if body.get("verify"):
        done["verified"] = push.verify()
    return {**_get_push(call), **done}


def _post_tokens(call: Call) -> dict[str, Any]:
    """``revoke``: as if another party forced a refresh; ``white_list``; ``secret_frozen``."""
    tokens = mini_of(call).tokens
    if call.body.get("revoke"):
        tokens.revoke()
    if "white_list" in call.body:
        tokens.white_list = tuple(str(one) for one in call.body["white_list"])
    if "secret_frozen" in call.body:
        tokens.secret_frozen = bool(call.body["secret_frozen"])
    return {"given": len(tokens.given), "white_list": tokens.white_list, "secret_frozen": tokens.secret_frozen}


def _post_pages(call: Call) -> dict[str, Any]:
    """The pages of a version: ``version`` and ``pages``; ``released``."""
    codes = mini_of(call).codes
    if "pages" in call.body:
        codes.pages[call.text("version", "release")] = tuple(str(one) for one in call.body["pages"])
    if "released" in call.body:
        codes.released = bool(call.body["released"])
    return {"pages": codes.pages, "released": codes.released, "drawn": codes.drawn[-20:]}


def _post_receipts(call: Call) -> dict[str, Any]:
    """The user confirms that the goods of ``out_trade_no`` arrived."""
    order = call.box.order(call.text("out_trade_no"))
    if order is None:
        raise Refused("no such order", 404)
    return {"confirmed": mini_of(call).confirm(order)}


CONTROL: dict[tuple[str, str], Callable[[Call], dict[str, Any]]] = {
    ("POST", "phone-codes"): _post_phone_codes,
    ("POST", "werun"): _post_werun,
    ("POST", "visits"): _post_visit,
    ("POST", "templates"): _post_templates,
    ("POST", "popups"): _post_popups,
    ("POST", "unsubscribe"): _post_unsubscribe,
    ("POST", "events"): _post_events,
    ("POST", "say"): _post_say,
    ("GET", "inbox"): _get_inbox,
    ("POST", "verdicts"): _post_verdicts,
    ("GET", "push"): _get_push,
    ("POST", "push"): _post_push,
    ("POST", "tokens"): _post_tokens,
    ("POST", "pages"): _post_pages,
    ("POST", "receipts"): _post_receipts,
}
