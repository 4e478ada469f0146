"""Boards: the top, my own place with those around me, past periods. Names are masked, small groups are not shown."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any

from apiflask import APIBlueprint
from flask import Response, request
from marshmallow import fields

from app import clock, leaderboards, programs, teams
from app.clock import now
from app.errors import NOT_FOUND
from app.leaderboards import BOARD_UNKNOWN, Board, Line, Mine, Seen
from app.memo import remember
from app.people import Login
from app.programs import NOT_A_MEMBER
from edge import schemas
from edge.answers import answer
from edge.language import language
from edge.routes import asks, gives, refuses
from miniprogram_api.guards import citizen
from miniprogram_api.show import avatar, either, when

routes = APIBlueprint("boards", __name__, tag="Boards")

METRICS = {"grams": "mg", "credits": "credits"}
UNIT_KINDS = {
    "unit": None,
    "department": "department",
    "neighbourhood": "neighbourhood",
    "district": "district",
}
TEAM = "team"
LARGEST_PAGE, DEEPEST = 100, 10_000_000
Parts = tuple[tuple[bytes, str], bytes]
"""What is the same for everybody, as bytes with a digest, and what is mine, as bytes too."""
NOBODY = b"null"
PATH = "/programs/<code:program>/boards/<code:subject>/<code:metric>/<code:period>"


class BoardQuery(schemas.Request):
    key = schemas.Pattern(
        r"all|20[0-9]{2}-[0-9WQ\-]{2,5}",
        expected="如 2026-11-24、2026-W48、2026-11、2026-Q4|such as 2026-11-24, 2026-W48, 2026-11, 2026-Q4",
        load_default=None,
        metadata={"description": "a past period; the present one without it"},
    )


class PageQuery(BoardQuery):
    start = schemas.QueryInteger(
        least=1, most=DEEPEST, load_default=1, data_key="from", metadata={"description": "first rank of the page"}
    )
    limit = schemas.QueryInteger(least=1, most=LARGEST_PAGE, load_default=20, metadata={"description": "lines"})


class BoardLine(schemas.Answer):
    rank = fields.Integer(required=True)
    name = fields.String(required=True, metadata={"description": "masked, unless the person shows it"})
    avatar_url = fields.String(required=True, allow_none=True)
    score = fields.String(required=True, metadata={"description": "in the board's unit"})


class MyPlace(schemas.Answer):
    rank = fields.Integer(required=True)
    score = fields.String(required=True)
    movement = fields.Integer(
        required=True, allow_none=True, metadata={"description": "places up since the period before; null when new"}
    )


class MyRow(MyPlace):
    neighbours = fields.List(fields.Nested(BoardLine), required=True)


class MyRank(schemas.Answer):
    period = fields.String(required=True)
    unit = fields.String(required=True, metadata={"description": "mg or credits"})
    total = fields.Integer(required=True)
    me = fields.Nested(MyPlace, required=True, allow_none=True, metadata={"description": "null off the board"})


class BoardPage(schemas.Answer):
    program = fields.String(required=True)
    subject = fields.String(required=True)
    metric = fields.String(required=True)
    unit = fields.String(required=True, metadata={"description": "mg or credits"})
    period = fields.String(required=True, metadata={"description": "key of the period, to come back to it"})
    starts_on = fields.String(required=True, allow_none=True)
    ends_on = fields.String(required=True, allow_none=True, metadata={"description": "last day"})
    final = fields.Boolean(required=True, metadata={"description": "frozen: this result never changes"})
    total = fields.Integer(required=True)
    lines = fields.List(fields.Nested(BoardLine), required=True)
    next_from = fields.Integer(required=True, allow_none=True)
    me = fields.Nested(MyRow, required=True, allow_none=True, metadata={"description": "null off the board"})


class ClosedBoard(schemas.Answer):
    period = fields.String(required=True)
    starts_on = fields.String(required=True)
    ends_on = fields.String(required=True)
    total = fields.Integer(required=True)
    frozen_at = fields.String(required=True)
    rank = fields.Integer(required=True, allow_none=True, metadata={"description": "mine, or my team's or org-unit's"})
    score = fields.String(required=True, allow_none=True)


class History(schemas.Answer):
    unit = fields.String(required=True)
    items = fields.List(fields.Nested(ClosedBoard), required=True)
    next_before = fields.String(required=True, allow_none=True, metadata={"description": "`before` of the next page"})


class HistoryQuery(schemas.Request):
    before = schemas.Pattern(
        r"20[0-9]{2}-[0-9WQ\-]{2,5}",
        expected="如 2026-11-24|such as 2026-11-24",
        load_default=None,
        metadata={"description": "periods before this one; the newest without it"},
    )
    limit = schemas.QueryInteger(least=1, most=50, load_default=12)


class AmongLine(BoardLine):
    mine = fields.Boolean(required=True)


class AmongUs(schemas.Answer):
    team_id = fields.String(required=True)
    name = fields.String(required=True)
    kind = fields.String(required=True, metadata={"description": "group (friends) or team"})
    unit = fields.String(required=True)
    period = fields.String(required=True)
    total_score = fields.String(required=True, metadata={"description": "of the lines shown"})
    lines = fields.List(fields.Nested(AmongLine), required=True)


@routes.get(PATH + "/history")
@citizen()
@asks(HistoryQuery)
@gives(History)
@refuses(NOT_FOUND, BOARD_UNKNOWN, NOT_A_MEMBER)
def get_history(login: Login, query: dict[str, Any], program: str, subject: str, metric: str, period: str) -> Response:
    """Closed periods

    Newest first, each frozen, with my place on it: of boards of teams or org-units my team's or unit's of today. A
    period's `period` is the `key` of its board.
    """
    found = programs.known(program)
    board = _board(found.id, subject, metric, period, None)
    if found.kind == "enterprise" and not programs.is_member(found.id, login.person_id):
        raise NOT_A_MEMBER(program=program)
    rows = leaderboards.history(
        board, _standing_for(board, subject, login.person_id), before=query["before"], limit=query["limit"] + 1
    )
    shown, more = rows[: query["limit"]], len(rows) > query["limit"]
    return answer(
        {
            "unit": board.metric,
            "items": [_closed(period, row) for row in shown],
            "next_before": shown[-1].key if more else None,
        }
    )


@routes.get("/teams/<id:team_id>/boards/<code:metric>/<code:period>")
@citizen()
@asks(BoardQuery)
@gives(AmongUs)
@refuses(NOT_FOUND, BOARD_UNKNOWN)
def get_among_us(login: Login, query: dict[str, Any], team_id: int, metric: str, period: str) -> Response:
    """A board among us

    The members of my team or friends' group by what each has in the period, for its members only. Names read as
    everywhere; whoever has opted out of boards is not shown.
    """
    at = now()
    team, members = teams.by_id(team_id), teams.members(team_id=team_id, at=at)
    if login.person_id not in members:
        raise NOT_FOUND(team=str(team_id))
    board = _board(team.program_id, "person", metric, period, query["key"])
    lines = leaderboards.members_lines(board, members)
    seen = leaderboards.seen(line.subject_id for line in lines)
    return answer(
        {
            "team_id": str(team.id),
            "name": teams.shown_name(team),
            "kind": team.kind,
            "unit": board.metric,
            "period": board.period.key,
            "total_score": str(sum(line.score for line in lines)),
            "lines": [
                {
                    **_line(line, seen[line.subject_id].name, seen[line.subject_id].avatar_url),
                    "mine": line.subject_id == login.person_id,
                }
                for line in lines
            ],
        }
    )


def _standing_for(board: Board, subject: str, person_id: int) -> int | None:
    """Whose place in history is mine: I, my team, or the smallest of my org-units that is shown."""
    if subject == "person":
        return person_id
    if subject == TEAM:
        team = teams.of(person_id=person_id, program_id=board.program_id)
        return team.id if team else None
    visible = leaderboards.visible_units(board.program_id)
    mine = programs.units_of(board.program_id, person_id)
    wanted = UNIT_KINDS[subject]
    return next((one for one in mine if one in visible and wanted in (None, visible[one].kind)), None)


def _closed(kind: str, row: leaderboards.Closed) -> dict[str, Any]:
    period = clock.period_by_key(kind, row.key)
    if period.end_day is None:
        raise AssertionError("a closed period has ended")
    return {
        "period": row.key,
        "starts_on": period.first_day.isoformat(),
        "ends_on": (period.end_day - timedelta(days=1)).isoformat(),
        "total": row.total,
        "frozen_at": when(row.frozen_at),
        "rank": row.rank,
        "score": None if row.score is None else str(row.score),
    }


@routes.get(PATH)
@citizen(ahead=True)
@asks(PageQuery)
@gives(BoardPage)
@refuses(NOT_FOUND, BOARD_UNKNOWN, NOT_A_MEMBER)
def get_board(login: Login, query: dict[str, Any], program: str, subject: str, metric: str, period: str) -> Response:
    """A board

    `person`, `team`, `unit` (every org-unit) or one kind of them (`district`, `department`, `neighbourhood`), by
    `grams` or `credits`, of a `day`, `week`, `month`, `season` or of `all` time. Persons in an enterprise's program are
    for its members. ETag and If-None-Match spare the transfer.
    """
    found = programs.known(program)
    board = _board(found.id, subject, metric, period, query["key"])
    if found.kind == "enterprise" and not programs.is_member(found.id, login.person_id):
        raise NOT_A_MEMBER(program=program)
    page = program, login.person_id, query["start"], query["limit"]
    parts = _teams(board, *page) if subject == TEAM else None
    parts = parts or (_units(board, subject, *page) if subject in UNIT_KINDS else _persons(board, *page))
    (common, digest), own = parts
    etag = f'"{digest}{_digest(own)}"'
    headers = {"ETag": etag, "Cache-Control": "private, max-age=2", "Vary": "Authorization, Accept-Language"}
    if request.headers.get("If-None-Match") == etag:
        return Response(status=304, headers=headers)
    return Response(b'%s,"me":%s}' % (common[:-1], own), 200, headers, mimetype="application/json")


@routes.get(PATH + "/me")
@citizen(ahead=True)
@asks(BoardQuery)
@gives(MyRank)
@refuses(NOT_FOUND, BOARD_UNKNOWN)
def get_my_rank(login: Login, query: dict[str, Any], program: str, subject: str, metric: str, period: str) -> Response:
    """My rank

    Alone and fast: rank, score, movement, and how many are on the board. Of boards of org-units, my unit's.
    """
    board = _board(programs.known(program).id, subject, metric, period, query["key"])
    if subject in UNIT_KINDS:
        lines = leaderboards.unit_lines(board, at=now(), kind=UNIT_KINDS[subject])
        own = _own_unit(board, login.person_id, lines)
        mine = Mine(own, [], len(lines))
    else:
        mine = _mine_alone(board, subject, login.person_id)
    place = None if mine.line is None else _place(mine.line)
    return answer({"period": board.period.key, "unit": board.metric, "total": mine.total, "me": place})


def _board(program_id: int, subject: str, metric: str, period: str, key: str | None) -> Board:
    """The board that an address names. Raises BOARD_UNKNOWN."""
    if (
        (subject not in ("person", TEAM) and subject not in UNIT_KINDS)
        or metric not in METRICS
        or period not in clock.PERIODS
    ):
        raise BOARD_UNKNOWN(subject=subject, metric=metric, period=period)
    try:
        return leaderboards.board_of(
            program_id=program_id,
            subject_kind="unit" if subject in UNIT_KINDS else subject,
            metric=METRICS[metric],
            period_kind=period,
            day=clock.business_day(now()),
            key=key,
        )
    except ValueError:
        raise BOARD_UNKNOWN(period=period, key=key) from None


def _persons(board: Board, program: str, person_id: int, start: int, limit: int) -> Parts:
    """The common part is made once in two seconds for all processes; my own row comes fresh, in one trip."""
    at, under = now(), f"page:{start}:{limit}:{language()}"
    common = remember(("board page", board.key, under), lambda: _page(board, program, start, limit, under))
    mine = leaderboards.my_line(board, person_id, at=at)
    if mine.line is None:
        return common, NOBODY
    names = leaderboards.beside(board, [line.subject_id for line in mine.around], mine.names, _fragment)
    rows = [b'{"rank":%d,%s,"score":"%d"}' % (line.rank, names[line.subject_id], line.score) for line in mine.around]
    return common, _own(mine.line, b",".join(rows))


def _fragment(one: Seen) -> bytes:
    """A person's part of a line, ready to be copied: names change rarely, scores always."""
    return _bytes({"name": one.name, "avatar_url": avatar(one.avatar_url)})[1:-1]


def _own(line: Line, neighbours: bytes) -> bytes:
    movement = b"null" if line.movement is None else b"%d" % line.movement
    return b'{"rank":%d,"score":"%d","movement":%s,"neighbours":[%s]}' % (line.rank, line.score, movement, neighbours)


def _page(board: Board, program: str, start: int, limit: int, under: str) -> tuple[bytes, str]:
    body = leaderboards.kept(board, under)
    if body is None:
        found = leaderboards.page(board, offset=start - 1, limit=limit, at=now())
        content = _common(board, program, found.total, found.frozen, start, limit)
        body = _bytes(
            {**content, "lines": _named(found.lines, leaderboards.seen(line.subject_id for line in found.lines))}
        )
        leaderboards.keep(board, under, body)
    return body, _digest(body)


def _mine_alone(board: Board, subject: str, person_id: int) -> Mine:
    if subject != TEAM:
        return leaderboards.my_rank(board, person_id, at=now())
    team = teams.of(person_id=person_id, program_id=board.program_id)
    return leaderboards.my_rank(board, team.id if team else 0, at=now())


def _teams(board: Board, program: str, person_id: int, start: int, limit: int) -> Parts:
    """Teams against each other; mine is the one that I am in now."""
    at = now()
    found = leaderboards.page(board, offset=start - 1, limit=limit, at=at)
    content = _common(board, program, found.total, found.frozen, start, limit)
    team = teams.of(person_id=person_id, program_id=board.program_id)
    mine = leaderboards.my_line(board, team.id, at=at) if team else Mine(None, [], 0)
    names = teams.names({line.subject_id for line in (*found.lines, *mine.around)})
    content["lines"] = [_line(line, names[line.subject_id]) for line in found.lines]
    body = _bytes(content)
    around = [_line(line, names[line.subject_id]) for line in mine.around]
    return (body, _digest(body)), NOBODY if mine.line is None else _own(mine.line, _bytes(around)[1:-1])


def _units(board: Board, subject: str, program: str, person_id: int, start: int, limit: int) -> Parts:
    """Org-units are few: all visible ones are ranked among themselves."""
    at = now()
    lines = leaderboards.unit_lines(board, at=at, kind=UNIT_KINDS[subject])
    content = _common(board, program, len(lines), leaderboards.is_frozen(board, at), start, limit)
    names = leaderboards.visible_units(board.program_id)
    shown = [_line(line, either(names[line.subject_id].name, names[line.subject_id].name_en)) for line in lines]
    content["subject"] = subject
    content["lines"] = shown[start - 1 : start - 1 + limit]
    body = _bytes(content)
    common = body, _digest(body)
    own = _own_unit(board, person_id, lines)
    if own is None:
        return common, NOBODY
    around = shown[max(own.rank - 1 - leaderboards.NEIGHBOURS, 0) : own.rank + leaderboards.NEIGHBOURS]
    return common, _own(own, _bytes(around)[1:-1])


def _own_unit(board: Board, person_id: int, lines: list[Line]) -> Line | None:
    """The line of the smallest shown org-unit that I belong to."""
    by_id = {line.subject_id: line for line in lines}
    mine = programs.units_of(board.program_id, person_id)
    return next((by_id[unit_id] for unit_id in mine if unit_id in by_id), None)


def _common(board: Board, program: str, total: int, final: bool, start: int, limit: int) -> dict[str, Any]:
    period = board.period
    return {
        "program": program,
        "subject": board.subject_kind,
        "metric": "grams" if board.metric == "mg" else "credits",
        "unit": board.metric,
        "period": period.key,
        "starts_on": period.first_day.isoformat() if period.end_day else None,
        "ends_on": (period.end_day - timedelta(days=1)).isoformat() if period.end_day else None,
        "final": final,
        "total": total,
        "next_from": start + limit if total >= start + limit else None,
        "lines": [],
    }


def _named(lines: list[Line], seen: dict[int, Seen]) -> list[dict[str, Any]]:
    return [_line(line, seen[line.subject_id].name, seen[line.subject_id].avatar_url) for line in lines]


def _line(line: Line, name: str, avatar_url: str | None = None) -> dict[str, Any]:
    return {"rank": line.rank, "name": name, "avatar_url": avatar(avatar_url), "score": str(line.score)}


def _place(line: Line) -> dict[str, Any]:
    return {"rank": line.rank, "score": str(line.score), "movement": line.movement}


def _bytes(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _digest(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=8).hexdigest()
