"""What goes back: a failed project's or milestone's unspent money, pro rata to the fen; a gift that fraud had given.

Credits return to the lots they came from (ended lots live on for the declared grace), the money to the budgets behind
them, a match to its sponsor's reserve. Of somebody who is deleted, the credits go to the budgets at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select

from app import audit, funding, ledger, notices
from app.db import run, session
from app.errors import NOT_FOUND, STATE_CONFLICT
from app.funding.actions import return_account
from app.funding.debts import repay_all
from app.funding.holds import grace
from app.funding.models import Budget, Wallet
from app.funding.spending import worth_fen
from app.ledger import Draft, LotPart
from app.units import CREDITS
from app.welfare.models import Gift, GiftMatch, GiftReturn, Match, Milestone, WelfareProject

FAIL, FAIL_MILESTONE, TAKE_BACK = "welfare.fail", "welfare.fail_milestone", "welfare.take_back"
BATCH = 100


def fail(*, project_id: int, reason: str, approval_id: int, actor: str, at: datetime) -> int:
    """End a project that fails: what it has not spent goes back. Answers how many gifts get something back."""
    project = _locked(project_id)
    if project.state == "failed":
        return 0
    project.state, project.fail_reason, project.ended_at = "failed", reason, at
    session().flush()
    return _plan(project, None, reason, approval_id, FAIL, actor, at)


def fail_milestone(*, milestone_id: int, reason: str, approval_id: int, actor: str, at: datetime) -> int:
    """A milestone fails: its planned money, as far as it is there, goes back; the project goes on."""
    milestone = session().get(Milestone, milestone_id, with_for_update=True)
    if milestone is None:
        raise NOT_FOUND(milestone=str(milestone_id))
    if milestone.state != "planned":
        raise STATE_CONFLICT(state=milestone.state)
    project = _locked(milestone.project_id)
    milestone.state, milestone.fail_reason = "failed", reason
    session().flush()
    return _plan(project, milestone.planned_fen, reason, approval_id, FAIL_MILESTONE, actor, at)


def take_back(*, gift_id: int, reason: str, approval_id: int, actor: str, at: datetime) -> int:
    """A gift was made with credits that fraud had earned: the sponsor pays only what stands, the figure is corrected.

    What comes back to the wallet pays its debt first. Of money that was paid out already nothing can return. Answers
    the fen that go back.
    """
    gift = session().get(Gift, gift_id)
    if gift is None:
        raise NOT_FOUND(gift=str(gift_id))
    project = _locked(gift.project_id)
    standing = gift.fen - gift.returned_fen
    fen = max(min(standing, _balance(project.money_account_id) - _promised(project.id)), 0)
    row = GiftReturn(
        gift_id=gift_id, why="taken", approval_id=approval_id, credits=gift.credits - gift.returned_credits, fen=fen,
        matched_fen=0, planned_at=at,
    )  # fmt: skip
    session().add(row)
    session().flush()
    _audit(project, TAKE_BACK, actor, at, {"gift": gift_id, "fen": fen}, reason)
    return fen


_PARTS = """
    with part as (
      select g.id as gift_id, null::bigint as match_id, g.credits - g.returned_credits as credits,
             g.fen - g.returned_fen as fen from gifts g where g.project_id = %(project)s
      union all
      select x.gift_id, x.match_id, 0, x.fen - x.returned_fen from gift_matches x join gifts g on g.id = x.gift_id
      where g.project_id = %(project)s
    )
    select p.*, sum(p.fen) over (order by p.gift_id, p.match_id nulls first) as upto, sum(p.fen) over () as whole
    from part p where p.fen > 0 order by p.gift_id, p.match_id nulls first
"""


def _plan(
    project: WelfareProject, most: int | None, reason: str, approval_id: int, action: str, actor: str, at: datetime
) -> int:
    """Share what is unspent over all gifts and matches, by cumulative floor: the parts sum to it to the fen."""
    unspent = _balance(project.money_account_id) - _promised(project.id)
    unspent = unspent if most is None else min(unspent, most)
    rows = run(_PARTS, {"project": project.id})
    planned: dict[int, GiftReturn] = {}
    for row in rows if unspent > 0 else ():
        whole = int(row.whole)
        share = min(unspent, whole)
        fen = int(row.upto) * share // whole - (int(row.upto) - row.fen) * share // whole
        made = planned.setdefault(
            row.gift_id,
            GiftReturn(
                gift_id=row.gift_id,
                why="failed",
                approval_id=approval_id,
                credits=0,
                fen=0,
                matched_fen=0,
                planned_at=at,
            ),
        )
        if row.match_id is None:
            made.fen, made.credits = fen, row.credits * fen // row.fen
        else:
            made.matched_fen += fen
    session().add_all(planned.values())
    session().flush()
    _audit(project, action, actor, at, {"unspent_fen": unspent, "gifts": len(planned)}, reason)
    return len(planned)


def _promised(project_id: int) -> int:
    """What is planned to go back and has not yet."""
    query = """select coalesce(sum(r.fen + r.matched_fen), 0)::bigint as fen from gift_returns r
               join gifts g on g.id = r.gift_id where g.project_id = %(p)s and r.returned_at is null"""
    return int(run(query, {"p": project_id})[0].fen)


def return_due(*, at: datetime) -> int:
    """Return the next batch of what is planned; answers how many, call it again while it answers."""
    query = select(GiftReturn.id).where(GiftReturn.returned_at.is_(None)).order_by(GiftReturn.id).limit(BATCH)
    found = list(session().scalars(query))
    for one in found:
        _return(one, at)
    return len(found)


def _return(return_id: int, at: datetime) -> None:
    planned = session().get_one(GiftReturn, return_id)
    gift = session().get_one(Gift, planned.gift_id)
    wallet = funding.lock_wallet(person_id=gift.person_id, program_id=gift.program_id, at=at)
    project = _locked(gift.project_id)
    session().refresh(planned, with_for_update=True)
    session().refresh(gift, with_for_update=True)
    if planned.returned_at is not None:
        return
    deleted = bool(run("select 1 from persons where id = %(p)s and state = 'deleted'", {"p": gift.person_id}))
    credits, legs, parts = _credit_legs(gift, planned, wallet, deleted)
    legs += _match_legs(gift, planned)
    legs.append((project.money_account_id, -planned.fen - planned.matched_fen))
    legs = [(account, amount) for account, amount in legs if amount]
    if legs:
        draft = Draft(gift.program_id, "gift.return", f"return:{planned.id}", legs, {"why": planned.why})
        planned.transfer_id = ledger.post([draft], at=at)[0].transfer_id
        if parts and not deleted:
            ledger.give_back(parts, transfer_id=planned.transfer_id, at=at, grace_until=grace(at))
    planned.returned_at, planned.credits = at, credits
    gift.returned_credits += credits
    gift.returned_fen += planned.fen
    project.given_credits -= credits
    session().flush()
    repay_all([wallet], at=at)
    _tell(gift, planned, credits, project, at)


def _credit_legs(
    gift: Gift, planned: GiftReturn, wallet: Wallet, deleted: bool
) -> tuple[int, list[tuple[int, int]], list[LotPart]]:
    """Money to each budget behind the gift, credits to their lots: never more than the money covers.

    A part of ``c`` credits was worth ``floor(c × price)``; of ``f`` fen it gets ``floor(c × f ÷ worth)``,
    which the money and the fraction that had stayed in the budget cover together.
    """
    rows = run(_SPENT, {"transfer": gift.transfer_id})
    parts = [LotPart(row.lot_id, row.budget_id, row.price_fen, row.amount) for row in rows]
    back = _shared(parts, gift, planned)
    spent = ledger.account(program_id=gift.program_id, asset=CREDITS, kind="spent")
    legs: list[tuple[int, int]] = []
    returned: list[LotPart] = []
    for part, credits, fen in back:
        legs.append((session().get_one(Budget, part.budget_id).money_account_id, fen))
        if credits:
            legs.append((spent, -credits))
            into = return_account(part.budget_id, gift.id) if deleted else wallet.credits_account_id
            legs.append((into, credits))
            returned.append(LotPart(part.lot_id, part.budget_id, part.price_fen, credits))
    return sum(part.credits for part in returned), legs, returned


_SPENT = """
    select u.lot_id, l.budget_id, l.price_fen, u.amount from lot_uses u join lots l on l.id = u.lot_id
    where u.transfer_id = %(transfer)s and u.amount > 0 order by u.lot_id
"""


def _shared(parts: Sequence[LotPart], gift: Gift, planned: GiftReturn) -> list[tuple[LotPart, int, int]]:
    """How much of the planned fen and credits each lot gets, over all returns of the gift by cumulative floor."""
    worth = worth_fen(parts)
    if gift.fen == 0:
        return [(part, 0, 0) for part in parts]
    before, after = gift.returned_fen, gift.returned_fen + planned.fen
    found, upto = [], 0
    for part, value in zip(parts, worth, strict=True):
        shares = [(upto + value) * sum_ // gift.fen - upto * sum_ // gift.fen for sum_ in (before, after)]
        credits = [part.credits * share // value if value else 0 for share in shares]
        found.append((part, credits[1] - credits[0], shares[1] - shares[0]))
        upto += value
    return found


def _match_legs(gift: Gift, planned: GiftReturn) -> list[tuple[int, int]]:
    """A match goes back to the reserves it came from, in their order."""
    legs, left = [], planned.matched_fen
    for row in session().scalars(select(GiftMatch).where(GiftMatch.gift_id == gift.id).order_by(GiftMatch.match_id)):
        part = min(left, row.fen - row.returned_fen)
        if part:
            match = session().get_one(Match, row.match_id, with_for_update=True)
            legs.append((match.account_id, part))
            row.returned_fen += part
            match.used_fen -= part
            left -= part
    return legs


def _tell(gift: Gift, planned: GiftReturn, credits: int, project: WelfareProject, at: datetime) -> None:
    if planned.why == "failed":
        zh = f"公益项目“{project.name}”未能完成，未使用部分已按比例退回：{credits} 积分。"
        en = f"The project {project.name_en or project.name} could not be completed; {credits} credits came back."
    else:
        zh = f"因相关记录被认定无效，您对“{project.name}”的捐赠已更正。如有异议请申诉。"
        en = f"Your gift to {project.name_en or project.name} was corrected: the records behind it were found invalid."
    notices.tell(key=f"return:{planned.id}", person_id=gift.person_id, program_id=gift.program_id, kind="gift.returned",
                 zh=zh, en=en, at=at)  # fmt: skip


def _locked(project_id: int) -> WelfareProject:
    found = session().get(WelfareProject, project_id, with_for_update={"key_share": True}, populate_existing=True)
    if found is None:
        raise NOT_FOUND(project=str(project_id))
    return found


def _balance(account_id: int) -> int:
    return int(run("select balance from accounts where id = %(id)s for update", {"id": account_id})[0].balance)


def _audit(project: WelfareProject, action: str, actor: str, at: datetime, after: Any, reason: str) -> None:
    audit.write(
        actor=actor,
        action=action,
        object_type="welfare_project",
        object_id=project.id,
        at=at,
        program_id=project.program_id,
        after=after,
        reason=reason,
    )
