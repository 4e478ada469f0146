"""After the result is published: a record reversed, or an appeal granted as of its day. The list stays as it is; what
changes stands beside it, and prizes follow the challenge's rule.

``take_back``: a prize goes when what it was given for is not reached any more: the amount, or the value of the first
who went without. In teams and org-units only whoever has put nothing in any more loses it. Nobody moves up. ``keep``:
it stays. Whoever now reaches what a prize asks gets it, from the budget itself: the reserve has gone back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app import funding, notices
from app.challenges import scoring, settling
from app.challenges.definition import LESS_IS_BETTER
from app.challenges.models import Challenge, ChallengeCorrection, ChallengeWin
from app.db import run, session

_BEFORE = """
    select person_id, group_id, value, place from challenge_parts
    where challenge_id = %(id)s and person_id = any (%(people)s::bigint[])
"""


def correct(*, challenge_id: int, person_ids: Sequence[int], at: datetime) -> int:
    """Bring a published challenge's parts up to date for some persons; answers how many corrections were written.

    Twice is once: the second time nothing differs.
    """
    people = sorted(set(person_ids))
    found = session().get(Challenge, challenge_id, with_for_update=True, populate_existing=True)
    if found is None or found.state not in ("settling", "settled") or not people:
        return 0
    funding.lock_wallets([(person, found.program_id) for person in people], at=at)
    run(scoring.ONE_AT_A_TIME, {"key": f"challenge:{challenge_id}"})
    values = {"id": challenge_id, "people": people}
    before = _by_person(run(_BEFORE, values))
    scoring.parts(challenge_id, people=people, as_of=None)
    after = _by_person(run(_BEFORE, values))
    return sum(_settle_person(found, person, before[person], after[person], at) for person in people)


def _by_person(rows: list[Any]) -> dict[int, dict[int, Any]]:
    found: dict[int, dict[int, Any]] = defaultdict(dict)
    for row in rows:
        found[row.person_id][row.group_id] = row
    return found


def _settle_person(found: Challenge, person: int, before: dict[int, Any], after: dict[int, Any], at: datetime) -> int:
    old, new = sum(row.value for row in before.values()), sum(row.value for row in after.values())
    if {key: row.value for key, row in before.items()} == {key: row.value for key, row in after.items()}:
        return 0
    effects: list[tuple[str, int | None]] = [
        *_taken_back(found, person, after, at),
        *_paid_late(found, person, after, at),
    ]
    for effect, prize_no in effects or [("none", None)]:
        session().add(
            ChallengeCorrection(
                challenge_id=found.id, person_id=person, value_before=old, value_after=new, effect=effect,
                prize_no=prize_no, at=at,
            )
        )  # fmt: skip
    session().flush()
    return max(len(effects), 1)


def _taken_back(found: Challenge, person: int, after: dict[int, Any], at: datetime) -> list[tuple[str, int]]:
    if found.on_reversal == "keep":
        return []
    done = []
    for win in session().query(ChallengeWin).filter_by(challenge_id=found.id, person_id=person).order_by("prize_no"):
        if win.state not in ("due", "paid") or _deserves(found, _prize(found, win.prize_no), after.get(win.subject_id)):
            continue
        if win.award_id is not None:
            funding.reverse_awards(award_ids=[win.award_id], at=at)
        win.state = "taken_back"
        done.append(("taken_back", win.prize_no))
        zh = f"收回奖励 {win.credits} 积分：相关记录已被更正，可申诉。"
        en = f"its prize of {win.credits} credits was taken back, as a record was corrected. You can appeal."
        _tell(found, person, win.prize_no, "taken_back", zh, en, at)
    session().flush()
    return done


def _paid_late(found: Challenge, person: int, after: dict[int, Any], at: datetime) -> list[tuple[str, int]]:
    """Prizes that the person reaches now and did not get, or lost. Only for persons: a group's list stands."""
    part = after.get(person)
    if part is None or found.kind in ("team", "unit"):
        return []
    done = []
    for prize in found.prizes:
        win = session().get(ChallengeWin, (found.id, person, prize["no"]))
        if (win is not None and win.state != "taken_back") or not _deserves(found, prize, part):
            continue
        again = f":again:{_count(found.id, person)}"
        if win is None:
            win = ChallengeWin(challenge_id=found.id, person_id=person, prize_no=prize["no"], subject_id=person,
                               value=part.value, credits=prize["credits"], state="due")  # fmt: skip
            session().add(win)
            session().flush()
        if win.credits:
            request = settling.request(found, person, prize["no"], win.credits, at, again=again)
            win.award_id = funding.award([request], at=at)[0].award_id
        win.state, win.value = "paid", part.value
        done.append(("paid", prize["no"]))
        _tell(found, person, prize["no"], "paid" + again, f"补发奖励 {win.credits} 积分。",
              f"its prize of {win.credits} credits has been paid after all.", at)  # fmt: skip
    session().flush()
    return done


def _deserves(found: Challenge, prize: dict[str, Any], part: Any) -> bool:
    """Whether what a person has put in still earns a prize."""
    if part is None or part.place <= 0:
        return False
    if found.kind in ("team", "unit"):
        return True
    if "reach" in prize:
        less = found.measure == LESS_IS_BETTER
        return bool(part.value <= prize["reach"] if less else part.value >= prize["reach"])
    own = run(_RANK, {"id": found.id, "person": part.person_id})
    if own and prize["rank_from"] <= own[0].rank <= prize["rank_to"]:
        first_without = run(_AT_RANK, {"id": found.id, "rank": prize["rank_to"] + 1})
        return not first_without or bool(part.place >= first_without[0].place)
    last_with = run(_AT_RANK, {"id": found.id, "rank": prize["rank_to"]})
    better = run(_AT_RANK, {"id": found.id, "rank": prize["rank_from"] - 1})
    return bool(last_with and part.place > last_with[0].place and not (better and part.place > better[0].place))


_RANK = "select rank from challenge_results where challenge_id = %(id)s and subject_id = %(person)s"
_AT_RANK = "select place from challenge_results where challenge_id = %(id)s and rank = %(rank)s"


def _prize(found: Challenge, number: int) -> dict[str, Any]:
    return next(prize for prize in found.prizes if prize["no"] == number)


def _count(challenge_id: int, person: int) -> int:
    query = "select count(*) as n from challenge_corrections where challenge_id = %(id)s and person_id = %(person)s"
    return int(run(query, {"id": challenge_id, "person": person})[0].n)


def _tell(found: Challenge, person: int, prize_no: int, what: str, zh: str, en: str, at: datetime) -> None:
    notices.tell(
        key=f"challenge:{found.id}:{what}:{person}:{prize_no}:{_count(found.id, person)}", person_id=person,
        program_id=found.program_id, kind="challenge.corrected", zh=f"挑战「{found.name}」：{zh}",
        en=f"The challenge “{found.name_en}”: {en}", details={"challenge": found.code}, at=at,
    )  # fmt: skip
