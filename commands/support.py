"""``flask messages``, ``safety``, ``tickets``, ``recovery``: what operators see and decide about people's matters."""

from __future__ import annotations

from typing import Any

import click
from flask.cli import AppGroup

from app import approvals, media, messages, people, personal_data, recovery, safety, tickets
from app.approvals.models import Approval
from app.clock import now
from app.db import transaction
from commands.shared import actor, actor_option, json_option, refused_with_words, show
from courier import safety as courier_safety
from courier import tickets as courier_tickets

messages_group = AppGroup("messages", help="Subscribe messages: templates, delivery log, sending again.")
safety_group = AppGroup("safety", help="Texts and pictures that wait for a verdict.")
tickets_group = AppGroup("tickets", help="What people write to customer service.")
recovery_group = AppGroup("recovery", help="Accounts asked for by a new phone.")
GROUPS = (messages_group, safety_group, tickets_group, recovery_group)
RECOVER, JOIN = "people.recover", "people.join"
# What a joined account may lose, because its owner finds it in the one that is kept or can bind it anew there.
MAY_GO = ("membership", "bound_account", "vehicle")


def _recover(payload: dict[str, Any], approval: Approval, at: Any) -> str:
    # Copies of the old logins in Redis are a minute old at most, and the epoch ends them for every write.
    recovery.hand_over(recovery_id=payload["recovery_id"], by=approval.checker or "", at=at)
    return f"recovery {payload['recovery_id']}: the account has its new identity"


def _join(payload: dict[str, Any], approval: Approval, at: Any) -> str:
    keep, give = payload["keep"], payload["give"]
    ended = recovery.join(keep_id=keep, give_id=give, by=approval.checker or "", at=at)
    ended += personal_data.forget(person_id=give, seen=payload["seen"], at=at)
    people.logins.evict(ended)
    return f"person {give} is person {keep} now"


EXECUTORS = {RECOVER: _recover, JOIN: _join}


@messages_group.command("templates")
@json_option
def templates(as_json: bool) -> None:
    """The messages that we know, for WECHAT_TEMPLATES, and the keys that a template needs in WeChat's console."""
    show(
        (
            {"name": one.name, "title": one.title, "keys": "phrase1 thing2 time3", "tells": ", ".join(one.kinds)}
            for one in messages.TEMPLATES
        ),
        as_json=as_json,
    )


@messages_group.command("log")
@click.option("--person", "person_id", type=int)
@click.option("--state", type=click.Choice(["waiting", "sending", "sent", "not_subscribed", "failed", "unknown"]))
@click.option("--limit", type=click.IntRange(1, 1000), default=50)
@json_option
def log(person_id: int | None, state: str | None, limit: int, as_json: bool) -> None:
    """What was sent and how it went, newest first."""
    show((dict(row._asdict()) for row in messages.log(person_id=person_id, state=state, limit=limit)), as_json=as_json)


@messages_group.command("resend")
@click.argument("delivery_id", type=int)
@actor_option
def resend(delivery_id: int, handle: str) -> None:
    """Send a message again that failed, was not allowed or got lost; one more subscription is needed."""
    with refused_with_words(), transaction():
        found = messages.resend(delivery_id=delivery_id, by=actor(handle), at=now())
        click.echo(f"delivery {delivery_id} waits until {found.send_at.isoformat(timespec='seconds')}")


@safety_group.command("list")
@json_option
def list_waiting(as_json: bool) -> None:
    """Texts and pictures without a verdict; those under review wait for a person."""
    rows = [
        {"what": "text", "id": one.id, "state": one.state, "label": one.label, "content": one.body}
        for one in safety.waiting()
    ]
    rows += [
        {"what": "picture", "id": one.id, "state": one.state, "label": one.label,
         "content": courier_safety.signed_path(one.name, now())}
        for one in media.waiting()
    ]  # fmt: skip
    show(rows, as_json=as_json, empty="nothing waits")


@safety_group.command("decide")
@click.argument("what", type=click.Choice(["text", "picture"]))
@click.argument("number", type=int)
@click.argument("verdict", type=click.Choice(["pass", "risky"]))
@actor_option
def decide(what: str, number: int, verdict: str, handle: str) -> None:
    """Decide about a text or a picture; its author hears of a refusal."""
    with refused_with_words():
        by = actor(handle)
        if what == "text":
            if not courier_safety.decide_text(number, verdict, by=by):
                raise safety.CHECKED_TWICE()
        else:
            with transaction():
                media.decide(medium_id=number, passed=verdict == "pass", by=by, at=now())
    click.echo(f"{what} {number}: {verdict}")


@tickets_group.command("list")
@click.option("--state", type=click.Choice(["open", "answered", "closed"]))
@json_option
def list_tickets(state: str | None, as_json: bool) -> None:
    """Tickets, those that wait first."""
    show((dict(row._asdict()) for row in tickets.listed(state=state)), as_json=as_json, empty="no tickets")


@tickets_group.command("show")
@click.argument("ticket_id", type=int)
@json_option
def show_ticket(ticket_id: int, as_json: bool) -> None:
    """What was said, in order."""
    with refused_with_words():
        show((dict(row._asdict()) for row in tickets.lines(ticket_id)), as_json=as_json)


@tickets_group.command("answer")
@click.argument("ticket_id", type=int)
@click.argument("words")
@actor_option
def answer(ticket_id: int, words: str, handle: str) -> None:
    """Answer: in WeChat within 48 hours of the person's last message, else in the applet's inbox."""
    if not 0 < len(words.strip()) <= tickets.LONGEST:
        raise click.UsageError(f"an answer has 1 to {tickets.LONGEST} characters")
    with refused_with_words():
        how = courier_tickets.answer(ticket_id, words.strip(), by=actor(handle))
    click.echo(f"ticket {ticket_id}: {how}")
    if how == "failed":
        raise SystemExit(1)


@tickets_group.command("close")
@click.argument("ticket_id", type=int)
@actor_option
def close(ticket_id: int, handle: str) -> None:
    """Nothing more is to be said."""
    with refused_with_words(), transaction():
        actor(handle)
        tickets.close(ticket_id=ticket_id, at=now())
    click.echo(f"ticket {ticket_id} closed")


@recovery_group.command("list")
@click.option("--all", "everything", is_flag=True, help="Also those that have ended.")
@json_option
def list_recoveries(everything: bool, as_json: bool) -> None:
    """Accounts that a new identity asks for, oldest first."""
    show((dict(row._asdict()) for row in recovery.listed(everything=everything)), as_json=as_json, empty="nobody asks")


@recovery_group.command("approve")
@click.argument("recovery_id", type=int)
@click.option("--reason", required=True, help="what was checked, for the second person")
@actor_option
def approve(recovery_id: int, reason: str, handle: str) -> None:
    """Ask a second person to hand the account over, once its owner has had 72 hours to object."""
    with refused_with_words(), transaction():
        recovery.check_ripe(recovery_id, now())
        asked = approvals.ask(
            action=RECOVER, payload={"recovery_id": recovery_id}, reason=reason, maker=actor(handle), at=now()
        )
        click.echo(f"approval {asked.id} waits for a second person: flask approvals approve {asked.id} --as …")


@recovery_group.command("join")
@click.argument("keep", type=int)
@click.argument("give", type=int)
@click.option("--reason", required=True, help="who asked, and how it was checked")
@actor_option
def join(keep: int, give: int, reason: str, handle: str) -> None:
    """Two persons that WeChat's unionid shows to be one: ask a second person to move GIVE's identities to KEEP.

    GIVE is deleted then. What it still holds (credits, codes, unpaid orders) must be spent, given or expired before.
    """
    with refused_with_words(), transaction():
        recovery.check_join(keep_id=keep, give_id=give)
        losses, seen = personal_data.losses(give, now())
        kept_back = [loss for loss in losses if loss["what"] not in MAY_GO]
        if kept_back:
            held = ", ".join(f"{loss['what']} {loss.get('amount', '')} {loss['name']}" for loss in kept_back)
            raise click.ClickException(f"person {give} still holds: {held}")
        payload = {"keep": keep, "give": give, "seen": seen}
        asked = approvals.ask(action=JOIN, payload=payload, reason=reason, maker=actor(handle), at=now())
        gone = ", ".join(f"{loss['what']} {loss['name']}" for loss in losses) or "nothing"
        click.echo(f"approval {asked.id} waits for a second person; person {give} loses: {gone}")


@recovery_group.command("refuse")
@click.argument("recovery_id", type=int)
@click.option("--words", required=True, help="why, for whoever asked")
@actor_option
def refuse(recovery_id: int, words: str, handle: str) -> None:
    """Refuse; the wallets are free again."""
    with refused_with_words(), transaction():
        recovery.refuse(recovery_id=recovery_id, words=words, by=actor(handle), at=now())
    click.echo(f"recovery {recovery_id} refused")
