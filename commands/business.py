"""``flask merchants``, second half: applications, offers, holds, leaving; ``flask green``: products and venues."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import click
from flask.cli import AppGroup

from app import approvals, audit, green, offers, programs
from app.approvals import Approval
from app.clock import now
from app.db import transaction
from app.merchants import applying, running
from app.redemptions import moving, risk
from commands.merchants import group, merchant_of
from commands.shared import actor, actor_option, dry, dry_option, json_option, program_option, refused_with_words, show

green_group = AppGroup("green", help="Low-carbon products and certified venues.")
RELEASE, CONFIRM = "redemptions.release", "redemptions.confirm"
reason_option = click.option("--reason", required=True, help="in words that the other side reads")


def _release(payload: dict[str, Any], approval: Approval, at: datetime) -> str:
    risk.release(redemption_id=payload["redemption_id"], by=approval.checker or "", at=at)
    return f"redemption {payload['redemption_id']} is released; it is settled three days from now"


def _confirm(payload: dict[str, Any], approval: Approval, at: datetime) -> str:
    risk.confirm(redemption_id=payload["redemption_id"], by=approval.checker or "", at=at)
    return f"redemption {payload['redemption_id']} is reversed; its code is over"


EXECUTORS = {RELEASE: _release, CONFIRM: _confirm}


@group.command("applications")
@program_option
@json_option
@actor_option
def applications(code: str, as_json: bool, handle: str) -> None:
    """Who asks to become a merchant, with the number to call; the reading is audited."""
    with refused_with_words(), transaction():
        by = actor(handle)
        rows = []
        for one in applying.waiting(programs.by_code(code).id):
            audit.write(
                actor=by, action="merchant.read_phone", object_type="merchant_application", object_id=one.id, at=now()
            )
            rows.append(
                {"id": one.id, "name": one.name, "licence": one.licence_no, "phone": applying.phone_of(one),
                 "shops": ", ".join(shop["name"] for shop in one.shops), "asked": one.asked_at}
            )  # fmt: skip
        show(rows, as_json=as_json, empty="nobody asks")


@group.command("approve")
@click.argument("application_id", type=int)
@click.option("--merchant", "merchant_code", required=True, help="the code of the new merchant")
@click.option("--merchant-group", "group_code", help="code of a group whose merchants honour each other's codes")
@dry_option
@actor_option
def approve(application_id: int, merchant_code: str, group_code: str | None, dry_run: bool, handle: str) -> None:
    """Make a merchant of an application, with its shops and its owner."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        made = applying.approve(
            application_id=application_id, code=merchant_code, group_code=group_code, by=actor(handle), at=now()
        )
        click.echo(f"merchant {made.code}: {made.name}")
        trial.done()


@group.command("refuse")
@click.argument("application_id", type=int)
@reason_option
@dry_option
@actor_option
def refuse(application_id: int, reason: str, dry_run: bool, handle: str) -> None:
    """Refuse an application with a reason."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        applying.refuse(application_id=application_id, reason=reason, by=actor(handle), at=now())
        click.echo(f"application {application_id} is refused")
        trial.done()


@group.command("offers")
@program_option
@json_option
def list_offers(code: str, as_json: bool) -> None:
    """Offers that wait for a decision."""
    with refused_with_words():
        rows = (
            {"id": one.id, "merchant": one.merchant_id, "name": one.name, "pieces": one.pieces,
             "credits": one.price_credits, "settlement_fen": one.settlement_fen, "submitted": one.submitted_at}
            for one in offers.waiting(programs.by_code(code).id)
        )  # fmt: skip
        show(rows, as_json=as_json, empty="nothing waits")


@group.command("approve-offer")
@click.argument("offer_id", type=int)
@click.option("--item", "item_code", help="code of the item (default: offer-ID)")
@dry_option
@actor_option
def approve_offer(offer_id: int, item_code: str | None, dry_run: bool, handle: str) -> None:
    """Put an offer on the shelf, with its terms of use."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        item = offers.approve(offer_id=offer_id, code=item_code, by=actor(handle), at=now())
        click.echo(f"item {item.code} is on sale: {item.available} for {item.price_credits} credits")
        trial.done()


@group.command("refuse-offer")
@click.argument("offer_id", type=int)
@reason_option
@dry_option
@actor_option
def refuse_offer(offer_id: int, reason: str, dry_run: bool, handle: str) -> None:
    """Refuse an offer with a reason; the merchant may mend it."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        offers.refuse(offer_id=offer_id, reason=reason, by=actor(handle), at=now())
        click.echo(f"offer {offer_id} is refused")
        trial.done()


@group.command("pause")
@program_option
@click.argument("merchant_code")
@reason_option
@dry_option
@actor_option
def pause(code: str, merchant_code: str, reason: str, dry_run: bool, handle: str) -> None:
    """Stop all redemptions of a merchant; its clerks read the reason."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        merchant = merchant_of(programs.by_code(code).id, merchant_code)
        running.pause(merchant=merchant, reason=reason, by=actor(handle), at=now())
        click.echo(f"merchant {merchant_code} is paused")
        trial.done()


@group.command("resume")
@program_option
@click.argument("merchant_code")
@actor_option
def resume(code: str, merchant_code: str, handle: str) -> None:
    """Let a merchant redeem again."""
    with refused_with_words(), transaction():
        running.resume(merchant=merchant_of(programs.by_code(code).id, merchant_code), by=actor(handle), at=now())
        click.echo(f"merchant {merchant_code} goes on")


@group.command("holds")
@program_option
@json_option
def holds(code: str, as_json: bool) -> None:
    """Redemptions that are held for a risk, with the reason in words."""
    with refused_with_words():
        rows = [
            {**row._asdict(), "held_reason": risk.REASONS[row.held_reason][1]}
            for row in risk.holds(programs.by_code(code).id)
        ]
        show(rows, as_json=as_json, empty="nothing is held")


@group.command("release")
@click.argument("redemption_id", type=int)
@reason_option
@actor_option
def release(redemption_id: int, reason: str, handle: str) -> None:
    """Ask that a held redemption be settled; another operator approves it."""
    _ask(RELEASE, redemption_id, reason, handle)


@group.command("confirm")
@click.argument("redemption_id", type=int)
@reason_option
@actor_option
def confirm(redemption_id: int, reason: str, handle: str) -> None:
    """Ask that a held redemption be reversed as fraud; another operator approves it."""
    _ask(CONFIRM, redemption_id, reason, handle)


@group.command("leave")
@program_option
@click.argument("merchant_code")
@click.option("--to", "to_code", help="merchant of the same group who honours the live codes")
@dry_option
@actor_option
def leave(code: str, merchant_code: str, to_code: str | None, dry_run: bool, handle: str) -> None:
    """A merchant leaves: nothing new is sold, live codes run out or move; then it has left, for its final statement."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        program_id, by = programs.by_code(code).id, actor(handle)
        merchant = merchant_of(program_id, merchant_code)
        running.leave(merchant=merchant, by=by, at=now())
        click.echo(f"{offers.withdraw_all(merchant_id=merchant.id)} items left the shelf")
        if to_code:
            moved = moving.move(leaving=merchant, to=merchant_of(program_id, to_code), by=by, at=now())
            click.echo(f"{moved} codes moved to {to_code}")
        live = running.live_codes(merchant.id)
        if live == 0:
            running.part(merchant=merchant, at=now())
        click.echo(f"merchant {merchant_code} is {merchant.state}; {live} codes are live")
        trial.done()


@green_group.command("products")
@program_option
@json_option
def products(code: str, as_json: bool) -> None:
    """Low-carbon products that wait for a decision."""
    with refused_with_words():
        rows = (
            {"id": one.id, "item": one.item_id, "scenario": one.scenario, "certificate": one.certificate_ref}
            for one in green.waiting(programs.by_code(code).id)
        )
        show(rows, as_json=as_json, empty="nothing waits")


@green_group.command("decide")
@click.argument("product_id", type=int)
@click.argument("verdict", type=click.Choice(["approve", "refuse", "revoke"]))
@click.option("--reason", default="", help="for refuse and revoke")
@dry_option
@actor_option
def decide(product_id: int, verdict: str, reason: str, dry_run: bool, handle: str) -> None:
    """Approve, refuse or revoke a low-carbon product."""
    if verdict != "approve" and not reason:
        raise click.UsageError("say why: --reason")
    with refused_with_words(), dry(dry_run) as trial, transaction():
        by, at = actor(handle), now()
        if verdict == "approve":
            green.approve(product_id=product_id, by=by, at=at)
        else:
            {"refuse": green.refuse, "revoke": green.revoke}[verdict](
                product_id=product_id, reason=reason, by=by, at=at
            )
        click.echo(f"product {product_id}: {verdict}")
        trial.done()


@green_group.command("venue")
@program_option
@click.argument("venue_code")
@click.option("--name", required=True)
@click.option("--name-en", default="")
@click.option("--scenario", required=True)
@click.option("--certificate", required=True, help="number of the certificate")
@click.option("--facts", default="{}", help="what a scan reports, as JSON")
@click.option("--place", help="lat,lng,metres in degrees: only who stands there may scan")
@dry_option
@actor_option
def venue(
    code: str, venue_code: str, name: str, name_en: str, scenario: str, certificate: str, facts: str, place: str | None,
    dry_run: bool, handle: str,
) -> None:  # fmt: skip
    """Certify a venue and print the token of its sign, this once; make the picture with `flask wechat code`."""
    with refused_with_words(), dry(dry_run) as trial, transaction():
        made, token = green.certify(
            program_id=programs.by_code(code).id,
            code=venue_code,
            name=name,
            name_en=name_en,
            scenario=scenario,
            certificate_ref=certificate,
            facts=json.loads(facts),
            place=_place(place),
            by=actor(handle),
            at=now(),
        )
        click.echo(f"venue {made.code}: scene {token}")
        trial.done()


@green_group.command("revoke-venue")
@program_option
@click.argument("venue_code")
@reason_option
@actor_option
def revoke_venue(code: str, venue_code: str, reason: str, handle: str) -> None:
    """A venue's certificate is over; its sign says so."""
    with refused_with_words(), transaction():
        found = green.venue_of(programs.by_code(code).id, venue_code)
        green.revoke_venue(venue=found, reason=reason, by=actor(handle), at=now())
        click.echo(f"venue {venue_code} is revoked")


def _ask(action: str, redemption_id: int, reason: str, handle: str) -> None:
    with refused_with_words(), transaction():
        asked = approvals.ask(
            action=action, payload={"redemption_id": redemption_id}, reason=reason, maker=actor(handle), at=now()
        )
        click.echo(f"approval {asked.id} waits for a second person: flask approvals approve {asked.id} --as …")


def _place(written: str | None) -> tuple[int, int, int] | None:
    if written is None:
        return None
    try:
        lat, lng, metres = written.split(",")
        return round(float(lat) * 1e6), round(float(lng) * 1e6), int(metres)
    except ValueError as error:
        raise click.UsageError("--place is written lat,lng,metres such as 30.657,104.066,200") from error
