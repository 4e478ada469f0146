"""Challenges: look, take part, live progress with rank, the published result."""

from __future__ import annotations

from typing import Any

import orjson
from apiflask import APIBlueprint
from flask import Response
from marshmallow import fields

from app import challenges, leaderboards, programs, teams
from app.challenges import Standing
from app.clock import now
from app.db import retrying, transaction
from app.errors import NOT_FOUND
from app.leaderboards import Line, Mine
from app.memo import remember
from app.people import Login
from app.programs import NOT_A_MEMBER
from edge import schemas
from edge.answers import answer
from edge.guards import public
from edge.language import language
from edge.paging import PageQuery, decode, page, paged
from edge.routes import asks, gives, refuses
from miniprogram_api.guards import citizen
from miniprogram_api.show import avatar, either, when, when_or_none

routes = APIBlueprint("challenges", __name__, tag="Challenges")

UNITS = {"mg": "mg", "metres": "m", "wh_per_100km": "Wh/100km", "count": "times", "days": "days"}
TOP = 10
PATH = "/programs/<code:program>/challenges"


class Prize(schemas.Answer):
    no = fields.Integer(required=True)
    name = fields.String(required=True)
    credits = fields.Integer(required=True)
    reach = fields.String(required=True, allow_none=True, metadata={"description": "what must be reached, in `unit`"})
    rank_from = fields.Integer(required=True, allow_none=True)
    rank_to = fields.Integer(required=True, allow_none=True)


class ChallengeShown(schemas.Answer):
    code = fields.String(required=True)
    kind = fields.String(required=True, metadata={"description": "goal, streak, race, team or unit"})
    state = fields.String(required=True, metadata={"description": "live, settling, settled or cancelled"})
    name = fields.String(required=True)
    text = fields.String(required=True)
    unit = fields.String(required=True, metadata={"description": "of every value: mg, m, Wh/100km, times or days"})
    less_is_better = fields.Boolean(required=True)
    enrol_from = fields.String(required=True)
    enrol_until = fields.String(required=True)
    starts_at = fields.String(required=True)
    ends_at = fields.String(required=True)
    closes_at = fields.String(required=True, metadata={"description": "late data count until then"})
    capacity = fields.Integer(required=True, allow_none=True)
    enrolled = fields.Integer(required=True)
    version = fields.Integer(required=True)
    on_reversal = fields.String(required=True, metadata={"description": "what becomes of a prize: take_back or keep"})
    prizes = fields.List(fields.Nested(Prize), required=True)
    mine = fields.Boolean(metadata={"description": "I take part; in lists"})


class Won(schemas.Answer):
    no = fields.Integer(required=True)
    credits = fields.Integer(required=True)
    state = fields.String(required=True, metadata={"description": "due, paid, taken_back or lapsed"})


class RankLine(schemas.Answer):
    rank = fields.Integer(required=True)
    name = fields.String(required=True)
    avatar_url = fields.String(required=True, allow_none=True)
    value = fields.String(required=True)


class ChallengePlace(schemas.Answer):
    enrolled = fields.Boolean(required=True)
    value = fields.String(required=True, metadata={"description": "of who is ranked: me, my team or my org-unit"})
    part = fields.String(required=True, metadata={"description": "what I have put in myself"})
    rank = fields.Integer(required=True, allow_none=True)
    neighbours = fields.List(fields.Nested(RankLine), required=True)
    next_prize = fields.Nested(Prize, required=True, allow_none=True)
    prizes = fields.List(fields.Nested(Won), required=True)


class ChallengePage(schemas.Answer):
    challenge = fields.Nested(ChallengeShown, required=True)
    total = fields.Integer(required=True, metadata={"description": "how many are ranked now"})
    top = fields.List(fields.Nested(RankLine), required=True)
    me = fields.Nested(ChallengePlace, required=True)


class Enrolled(schemas.Answer):
    enrolled = fields.Boolean(required=True)
    new = fields.Boolean(required=True)


class ResultLine(schemas.Answer):
    rank = fields.Integer(required=True)
    name = fields.String(required=True)
    avatar_url = fields.String(required=True, allow_none=True)
    value = fields.String(required=True)
    people = fields.Integer(required=True)


class Report(schemas.Answer):
    ranked = fields.Integer(required=True)
    winners = fields.Integer(required=True)
    paid_credits = fields.Integer(required=True)
    to_the_first_ten = fields.Integer(required=True)
    to_everybody_else = fields.Integer(required=True)
    taken_back_credits = fields.Integer(required=True)


class CorrectionLine(schemas.Answer):
    at = fields.String(required=True)
    value_before = fields.String(required=True)
    value_after = fields.String(required=True)
    effect = fields.String(required=True, metadata={"description": "none, taken_back or paid"})
    prize_no = fields.Integer(required=True, allow_none=True)


class Result(schemas.Answer):
    challenge = fields.String(required=True)
    state = fields.String(required=True)
    hash = fields.String(required=True, metadata={"description": "SHA-256 over all lines"})
    settled_at = fields.String(required=True, allow_none=True)
    report = fields.Nested(Report, required=True)
    lines = fields.List(fields.Nested(ResultLine), required=True)
    next_from = fields.Integer(required=True, allow_none=True)
    corrections = fields.List(fields.Nested(CorrectionLine), required=True)


class ResultQuery(schemas.Request):
    start = schemas.QueryInteger(least=1, most=10_000_000, load_default=1)
    limit = schemas.QueryInteger(least=1, most=100, load_default=50)


@routes.get(PATH)
@citizen()
@asks(PageQuery)
@gives(paged("ChallengeList", ChallengeShown))
@refuses(NOT_FOUND)
def get_challenges(login: Login, query: dict[str, Any], program: str) -> Response:
    """A program's challenges

    Newest first; drafts are not shown.
    """
    found = programs.known(program)
    before = decode(query["cursor"], 1)
    rows = challenges.listed(found.id, login.person_id, before=before[0] if before else None, limit=query["limit"] + 1)
    return answer(page(rows, query["limit"], lambda row: {**_challenge(row), "mine": row.mine}, lambda row: (row.id,)))


@routes.get(PATH + "/<code:challenge>")
@citizen(ahead=True)
@gives(ChallengePage)
@refuses(NOT_FOUND)
def get_challenge(login: Login, program: str, challenge: str) -> Response:
    """A challenge with my live place

    `value` and `rank` are of who is ranked for me: myself, my team, or the org-unit that I have put most in for.
    """
    found = challenges.one(programs.known(program).id, challenge)
    common = remember(("challenge page", found.id, language()), lambda: _common(found))
    return Response(b'%s,"me":%s}' % (common[:-1], _me(found, login.person_id)), 200, mimetype="application/json")


@routes.post(PATH + "/<code:challenge>/enrolment")
@citizen()
@gives(Enrolled)
@refuses(
    NOT_FOUND, NOT_A_MEMBER, challenges.NOT_OPEN_YET, challenges.ENROLMENT_CLOSED, challenges.CHALLENGE_FULL,
    challenges.CHALLENGE_NOT_FOR_YOU, challenges.TEAM_NEEDED, challenges.TEAM_TOO_LARGE, challenges.CAPTAIN_ENROLS,
)  # fmt: skip
def post_enrolment(login: Login, program: str, challenge: str) -> Response:
    """Take part

    In a challenge of teams the captain enrols the team, of at most five. Asked again it is answered the same.
    """

    def command() -> bool:
        with transaction():
            return challenges.enrol(
                program_id=programs.known(program).id, code=challenge, person_id=login.person_id, at=now()
            )

    return answer({"enrolled": True, "new": retrying(command)})


@routes.delete(PATH + "/<code:challenge>/enrolment")
@citizen()
@gives(Enrolled)
@refuses(NOT_FOUND, NOT_A_MEMBER, challenges.NOT_ENROLLED, challenges.BEGUN, challenges.TEAM_NEEDED,
         challenges.CAPTAIN_ENROLS)  # fmt: skip
def delete_enrolment(login: Login, program: str, challenge: str) -> Response:
    """Take part no longer

    Until the end. What I have put in is gone from all totals alike, and my place is free again.
    """

    def command() -> bool:
        with transaction():
            return challenges.withdraw(
                program_id=programs.known(program).id, code=challenge, person_id=login.person_id, at=now()
            )

    return answer({"enrolled": False, "new": retrying(command)})


@routes.get(PATH + "/<code:challenge>/results")
@public()
@asks(ResultQuery)
@gives(Result)
@refuses(NOT_FOUND)
def get_results(query: dict[str, Any], program: str, challenge: str) -> Response:
    """The published result

    For everybody. The list never changes: what is corrected later stands in `corrections`. Whoever has opted out keeps
    the place and is not shown.
    """
    found = challenges.one(programs.known(program).id, challenge)
    if found.result_hash is None:
        raise NOT_FOUND(challenge=challenge, state=found.state)
    start, limit = query["start"], query["limit"]
    rows = challenges.results(found.id, after=start - 1, limit=limit)
    names = _names(found, [row.subject_id for row in rows])
    counted = challenges.report(found.id)
    first = int(counted.to_the_first_ten)
    return answer(
        {
            "challenge": found.code,
            "state": found.state,
            "hash": found.result_hash,
            "settled_at": when_or_none(found.settled_at),
            "report": {
                "ranked": counted.ranked, "winners": counted.winners, "paid_credits": int(counted.paid),
                "to_the_first_ten": first, "to_everybody_else": int(counted.paid) - first,
                "taken_back_credits": int(counted.taken_back),
            },
            "lines": [
                {"rank": row.rank, **named, "value": str(row.value), "people": row.heads}
                for row in rows
                if (named := names[row.subject_id]) is not None
            ],
            "next_from": start + limit if len(rows) == limit else None,
            "corrections": [
                {"at": when(row.at), "value_before": str(row.value_before), "value_after": str(row.value_after),
                 "effect": row.effect, "prize_no": row.prize_no}
                for row in challenges.corrections(found.id)
            ],
        }
    )  # fmt: skip


def _common(found: Any) -> bytes:
    """The part that all see alike, remembered for a moment."""
    total, lines = challenges.top(found, offset=0, limit=TOP)
    return _bytes({"challenge": _challenge(found), "total": total, "top": _lines(found, lines)})


def _place(found: Any, person_id: int) -> tuple[Standing, Mine]:
    """Where I stand. Whoever is ranked in a live challenge of persons takes part, with the value that ranks: Redis says
    all of it in one trip. Else PostgreSQL is asked first."""
    if found.state == "live" and found.kind not in ("team", "unit") and found.measure != "wh_per_100km":
        place = challenges.around(found, person_id)
        if place.line is not None:
            return Standing(found.starts_at, person_id, place.line.score, place.line.score, 1, []), place
    mine = challenges.standing(found, person_id)
    return mine, Mine(None, [], 0) if mine.subject_id is None else challenges.around(found, mine.subject_id)


def _me(found: Any, person_id: int) -> bytes:
    mine, place = _place(found, person_id)
    following = [prize for prize in found.prizes if "reach" in prize and not _reached(found, prize, mine.value)]
    own = {
        "enrolled": mine.enrolled_at is not None,
        "value": str(mine.value),
        "part": str(mine.part),
        "rank": place.line.rank if place.line else None,
        "next_prize": _prize(following[0]) if following else None,
        "prizes": mine.wins,
    }
    return b'%s,"neighbours":[%s]}' % (_bytes(own)[:-1], b",".join(_neighbours(found, place)))


def _neighbours(found: Any, place: Mine) -> list[bytes]:
    """The lines around mine; their names come as copies with the ranks. Nobody's name is empty: who has opted out."""
    if place.line is None:
        return []
    ids = [line.subject_id for line in place.around]
    if found.kind == "unit":  # few, remembered, and in two languages
        names: Any = _fragments(found, ids)
    else:
        names = leaderboards.filled(challenges.ladder(found.id), ids, place.names, lambda lack: _fragments(found, lack))
    return [
        b'{"rank":%d,%s,"value":"%d"}' % (line.rank, names[line.subject_id], line.score)
        for line in challenges.shown(found, place.around)
        if names[line.subject_id]
    ]


def _fragments(found: Any, ids: list[int]) -> dict[int, bytes]:
    """The part of a line that changes rarely, ready to be copied."""
    return {number: b"" if one is None else _bytes(one)[1:-1] for number, one in _names(found, ids).items()}


def _reached(found: Any, prize: dict[str, Any], value: int) -> bool:
    if found.measure == "wh_per_100km":
        return bool(0 < value <= prize["reach"])
    return bool(value >= prize["reach"])


def _lines(found: Any, lines: list[Line]) -> list[dict[str, Any]]:
    """Lines with names; whoever has opted out keeps the place unseen."""
    names = _names(found, [line.subject_id for line in lines])
    return [
        {"rank": line.rank, **named, "value": str(line.score)}
        for line in lines
        if (named := names[line.subject_id]) is not None
    ]


def _names(found: Any, ids: list[int]) -> dict[int, dict[str, Any] | None]:
    if found.kind == "team":
        shown = teams.names(ids)
        return {number: {"name": shown.get(number, ""), "avatar_url": None} for number in ids}
    if found.kind == "unit":
        known = challenges.units(found.program_id)
        return {number: {"name": either(*known[number]), "avatar_url": None} for number in ids}
    people = challenges.persons(ids)
    return {
        number: None if one is None else {"name": one[0], "avatar_url": avatar(one[1])}
        for number, one in people.items()
    }


def _challenge(row: Any) -> dict[str, Any]:
    return {
        "code": row.code,
        "kind": row.kind,
        "state": row.state,
        "name": either(row.name, row.name_en),
        "text": either(row.text_zh, row.text_en),
        "unit": UNITS[row.measure],
        "less_is_better": row.measure == "wh_per_100km",
        "enrol_from": when(row.enrol_from),
        "enrol_until": when(row.enrol_until),
        "starts_at": when(row.starts_at),
        "ends_at": when(row.ends_at),
        "closes_at": when(row.closes_at),
        "capacity": row.capacity,
        "enrolled": row.enrolled,
        "version": row.version,
        "on_reversal": row.on_reversal,
        "prizes": [_prize(prize) for prize in row.prizes],
    }


def _prize(prize: dict[str, Any]) -> dict[str, Any]:
    reach = prize.get("reach")
    return {
        "no": prize["no"],
        "name": either(prize["name"], prize["name_en"]),
        "credits": prize["credits"],
        "reach": None if reach is None else str(reach),
        "rank_from": prize.get("rank_from"),
        "rank_to": prize.get("rank_to"),
    }


def _bytes(content: Any) -> bytes:
    return orjson.dumps(content)
