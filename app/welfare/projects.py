"""Projects: a target and a rule, milestones that two persons confirm with evidence, money paid out for them."""

from __future__ import annotations

import hashlib
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from app import audit, ledger
from app.db import session
from app.errors import IDEMPOTENCY_CONFLICT, NOT_FOUND, STATE_CONFLICT, Kind, declare
from app.funding.models import Sponsor
from app.ledger import Draft
from app.media import files
from app.units import FEN
from app.welfare.models import Evidence, Match, Milestone, Plot, WelfarePayout, WelfareProject

KINDS = ("tree", "carbon_sink", "school_kit", "other")
RULES = ("open", "cap", "overflow")
REACH, PAY, MATCH = "welfare.reach", "welfare.pay", "welfare.match"

EVIDENCE_USED = declare(
    "evidence_used",
    Kind.CONFLICT,
    zh="这张照片已用作另一个里程碑的证据。一张照片只能证明一件事。",
    en="This photo is the evidence of another milestone already. A photo proves one thing.",
)
EVIDENCE_MISSING = declare(
    "evidence_missing",
    Kind.CONFLICT,
    zh="该里程碑还没有照片证据，请先添加（flask welfare evidence）。",
    en="This milestone has no photo yet. Add one first (flask welfare evidence).",
)
MILESTONE_NOT_REACHED = declare(
    "milestone_not_reached",
    Kind.CONFLICT,
    zh="该里程碑尚未达成，不能付款。",
    en="This milestone is not reached, so nothing is paid for it yet.",
)


def open_project(
    *,
    program_id: int,
    code: str,
    name: str,
    name_en: str,
    target_credits: int,
    text_zh: str = "",
    text_en: str = "",
    kind: str = "other",
    over_rule: str = "open",
    overflow: str | None = None,
) -> WelfareProject:
    """The project of this code, made with its money account when there is none. ``overflow`` is a project's code."""
    query = select(WelfareProject).where(WelfareProject.program_id == program_id, WelfareProject.code == code)
    found = session().scalars(query).first()
    if found is None:
        money = ledger.account(program_id=program_id, asset=FEN, kind="welfare", owner_key=code)
        found = WelfareProject(
            program_id=program_id,
            code=code,
            name=name,
            name_en=name_en,
            text_zh=text_zh,
            text_en=text_en,
            target_credits=target_credits,
            given_credits=0,
            money_account_id=money,
            state="open",
            kind=kind,
            over_rule=over_rule,
            overflow_project_id=None if overflow is None else by_code(program_id, overflow).id,
        )
        session().add(found)
        session().flush()
    return found


def by_code(program_id: int, code: str) -> WelfareProject:
    """A project by its code. Raises NOT_FOUND."""
    query = select(WelfareProject).where(WelfareProject.program_id == program_id, WelfareProject.code == code)
    found = session().scalars(query).first()
    if found is None:
        raise NOT_FOUND(project=code)
    return found


def plan(
    *, project_id: int, position: int, title: str, title_en: str, planned_fen: int, due_on: date | None
) -> Milestone:
    """The milestone at this position, made or changed while it is planned. Raises STATE_CONFLICT."""
    query = select(Milestone).where(Milestone.project_id == project_id, Milestone.position == position)
    found = session().scalars(query).first() or Milestone(project_id=project_id, position=position, state="planned")
    if found.state != "planned":
        raise STATE_CONFLICT(state=found.state)
    found.title, found.title_en, found.planned_fen, found.due_on = title, title_en, planned_fen, due_on
    session().add(found)
    session().flush()
    return found


def plot(*, project_id: int, code: str, place: str, households: int, carbon_kg: int, price_fen: int) -> Plot:
    """A plot of a carbon-sink project; ``price_fen`` is per tonne. The one of this code is changed if it stands."""
    found = session().scalars(select(Plot).where(Plot.project_id == project_id, Plot.code == code)).first()
    found = found or Plot(project_id=project_id, code=code)
    found.place, found.households, found.carbon_kg, found.price_fen = place, households, carbon_kg, price_fen
    session().add(found)
    session().flush()
    return found


def add_evidence(*, milestone_id: int, sent: bytes, site: str, taken_on: date, actor: str, at: datetime) -> Evidence:
    """A photo of what was done, written anew without EXIF. Its file and its pixels belong to this milestone alone.

    Raises EVIDENCE_USED, IMAGE_REFUSED, IMAGE_TOO_LARGE, NOT_FOUND, STATE_CONFLICT.
    """
    milestone = session().get(Milestone, milestone_id, with_for_update=True)
    if milestone is None:
        raise NOT_FOUND(milestone=str(milestone_id))
    if milestone.state != "planned":
        raise STATE_CONFLICT(state=milestone.state)
    picture = files.look(sent, purpose="photo")
    made = Evidence(
        milestone_id=milestone_id,
        file_hash=hashlib.sha256(sent).digest(),
        pixel_hash=picture.sha256,
        picture=picture.body,
        taken_on=taken_on,
        site=site,
        added_by=actor,
        added_at=at,
    )
    try:
        with session().begin_nested():
            session().add(made)
            session().flush()
    except IntegrityError as error:
        raise EVIDENCE_USED() from error
    return made


def provable(milestone_id: int) -> Milestone:
    """A planned milestone with evidence, locked. Raises NOT_FOUND, STATE_CONFLICT, EVIDENCE_MISSING."""
    found = session().get(Milestone, milestone_id, with_for_update=True)
    if found is None:
        raise NOT_FOUND(milestone=str(milestone_id))
    if found.state != "planned":
        raise STATE_CONFLICT(state=found.state)
    if session().scalars(select(Evidence.id).where(Evidence.milestone_id == milestone_id).limit(1)).first() is None:
        raise EVIDENCE_MISSING()
    return found


def reach(
    *, milestone_id: int, reached_on: date, site: str, payee: str, approval_id: int, actor: str, at: datetime
) -> Milestone:
    """A second person confirms that a milestone is reached: where, when, and who is paid for it."""
    found = provable(milestone_id)
    found.state, found.reached_on, found.site, found.payee, found.approval_id = (
        "reached", reached_on, site, payee, approval_id,
    )  # fmt: skip
    project = session().get_one(WelfareProject, found.project_id)
    _audit(project, REACH, actor, at, {"milestone": found.position, "site": site, "payee": payee})
    session().flush()
    return found


def pay_out(
    *,
    milestone_id: int,
    fen: int,
    bank_reference: str,
    paid_on: date,
    evidence_hash: bytes,
    approval_id: int,
    actor: str,
    at: datetime,
    plot_code: str | None = None,
) -> WelfarePayout:
    """A project's money went to a reached milestone's payee. The bank's reference again is the first.

    Raises MILESTONE_NOT_REACHED, INSUFFICIENT, IDEMPOTENCY_CONFLICT, NOT_FOUND.
    """
    known = session().scalars(select(WelfarePayout).where(WelfarePayout.bank_reference == bank_reference)).first()
    if known is not None:
        if (known.milestone_id, known.fen) != (milestone_id, fen):
            raise IDEMPOTENCY_CONFLICT(reference=bank_reference)
        return known
    milestone = session().get(Milestone, milestone_id)
    if milestone is None:
        raise NOT_FOUND(milestone=str(milestone_id))
    if milestone.state != "reached":
        raise MILESTONE_NOT_REACHED(state=milestone.state)
    project = session().get_one(WelfareProject, milestone.project_id, with_for_update={"key_share": True})
    place = None
    if plot_code is not None:
        place = session().scalars(select(Plot).where(Plot.project_id == project.id, Plot.code == plot_code)).first()
        if place is None:
            raise NOT_FOUND(plot=plot_code)
    out = ledger.account(program_id=project.program_id, asset=FEN, kind="paid_out")
    memo = {"reference": bank_reference, "evidence": evidence_hash.hex(), "milestone": milestone.position}
    legs = [(project.money_account_id, -fen), (out, fen)]
    done = ledger.post([Draft(project.program_id, PAY, f"bank:{bank_reference}", legs, memo)], at=at)[0]
    made = WelfarePayout(
        project_id=project.id,
        milestone_id=milestone.id,
        plot_id=place.id if place else None,
        payee=milestone.payee or "",
        fen=fen,
        paid_on=paid_on,
        bank_reference=bank_reference,
        evidence_hash=evidence_hash,
        approval_id=approval_id,
        transfer_id=done.transfer_id,
        paid_at=at,
    )
    session().add(made)
    session().flush()
    _audit(project, PAY, actor, at, {**memo, "fen": fen})
    return made


def reserve_match(
    *,
    project_id: int,
    sponsor_code: str,
    rate_bps: int,
    fen: int,
    bank_reference: str,
    approval_id: int,
    actor: str,
    at: datetime,
) -> Match:
    """A sponsor has paid in ``fen`` to add ``rate_bps`` of what gifts to a project are worth. The reference is once."""
    known = session().scalars(select(Match).where(Match.bank_reference == bank_reference)).first()
    if known is not None:
        if (known.project_id, known.reserved_fen, known.rate_bps) != (project_id, fen, rate_bps):
            raise IDEMPOTENCY_CONFLICT(reference=bank_reference)
        return known
    project = session().get_one(WelfareProject, project_id, with_for_update={"key_share": True})
    if project.state != "open":
        raise STATE_CONFLICT(state=project.state)
    query = select(Sponsor).where(Sponsor.program_id == project.program_id, Sponsor.code == sponsor_code)
    sponsor = session().scalars(query).first()
    if sponsor is None:
        raise NOT_FOUND(sponsor=sponsor_code)
    own = ledger.account(program_id=project.program_id, asset=FEN, kind="match", owner_key=bank_reference)
    bank = ledger.account(program_id=project.program_id, asset=FEN, kind="bank")
    legs = [(bank, -fen), (own, fen)]
    ledger.post([Draft(project.program_id, "match.reserve", f"bank:{bank_reference}", legs)], at=at)
    made = Match(
        project_id=project_id,
        sponsor_id=sponsor.id,
        rate_bps=rate_bps,
        reserved_fen=fen,
        bank_reference=bank_reference,
        account_id=own,
        approval_id=approval_id,
        made_at=at,
    )
    session().add(made)
    session().flush()
    _audit(project, MATCH, actor, at, {"sponsor": sponsor_code, "fen": fen, "rate_bps": rate_bps})
    return made


def release_match(*, match_id: int, bank_reference: str, evidence_hash: bytes, actor: str, at: datetime) -> int:
    """What no gift has used goes back to the sponsor when the project is over. Answers the fen; twice is once."""
    match = session().get(Match, match_id)
    if match is None:
        raise NOT_FOUND(match=str(match_id))
    project = session().get_one(WelfareProject, match.project_id, with_for_update={"key_share": True})
    session().refresh(match, with_for_update=True)
    if project.state == "open":
        raise STATE_CONFLICT(state=project.state)
    left = match.reserved_fen - match.used_fen - match.returned_fen
    if left:
        bank = ledger.account(program_id=project.program_id, asset=FEN, kind="bank")
        memo = {"reference": bank_reference, "evidence": evidence_hash.hex()}
        draft = Draft(
            project.program_id,
            "match.return",
            f"bank:{bank_reference}",
            [(match.account_id, -left), (bank, left)],
            memo,
        )
        ledger.post([draft], at=at)
        match.returned_fen += left
        session().flush()
        _audit(project, "welfare.match_return", actor, at, {**memo, "fen": left})
    return left


def _audit(project: WelfareProject, action: str, actor: str, at: datetime, after: dict[str, object]) -> None:
    audit.write(
        actor=actor,
        action=action,
        object_type="welfare_project",
        object_id=project.id,
        at=at,
        program_id=project.program_id,
        after=after,
    )
