"""My daily check-in: once a Shanghai day and program, the month's calendar, make-up cards, a reminder."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from apiflask import APIBlueprint
from flask import Response
from marshmallow import fields

from app import checkins, clock, programs, records
from app.checkins import CheckedIn, Fare, Reached
from app.clock import now
from app.db import retrying, transaction
from app.errors import INVALID_FIELD, NOT_FOUND, Refusal
from app.people import Login, logins
from app.records import checks
from edge import schemas
from edge.answers import LOGIN_REQUIRED, answer, nothing
from edge.language import pick
from edge.routes import asks, gives, refuses, takes
from miniprogram_api.guards import citizen
from miniprogram_api.show import either, when, when_or_none

routes = APIBlueprint("checkins", __name__, tag="Check-in")


class Step(schemas.Answer):
    name = fields.String(required=True)
    title = fields.String(required=True)
    days = fields.Integer(required=True, metadata={"description": "days in a row"})
    credits = fields.Integer(required=True)


class StepReached(Step):
    day = fields.String(required=True)
    state = fields.String(
        required=True,
        metadata={"description": "paid; pending until the budget has money; earlier: paid within this cycle already"},
    )


class StepAhead(Step):
    day = fields.String(required=True, metadata={"description": "when, if I come every day from now on"})
    more_days = fields.Integer(required=True)


class CheckInReason(schemas.Answer):
    code = fields.String(required=True)
    text = fields.String(required=True)


class CheckedInShown(schemas.Answer):
    day = fields.String(required=True)
    checked_at = fields.String(required=True)
    first = fields.Boolean(required=True, metadata={"description": "false: it stood already, this is the answer again"})
    record_id = fields.String(required=True, allow_none=True)
    state = fields.String(required=True, metadata={"description": "of its record"})
    reason = fields.Nested(CheckInReason, required=True, allow_none=True)
    credits = fields.Integer(required=True)
    paid_in = fields.String(required=True, allow_none=True, metadata={"description": "another program that pays it"})
    streak = fields.Integer(required=True, metadata={"description": "days in a row"})
    longest = fields.Integer(required=True)
    total = fields.Integer(required=True)
    cards = fields.Integer(required=True, metadata={"description": "make-up cards that I hold"})
    card_earned = fields.Boolean(required=True)
    milestone = fields.Nested(StepReached, required=True, allow_none=True)


class CalendarQuery(schemas.Request):
    month = schemas.Pattern(
        r"20[0-9]{2}-(0[1-9]|1[0-2])", expected="应为年月，如 2026-11|must be a month like 2026-11", load_default=None
    )


class DayShown(schemas.Answer):
    day = fields.String(required=True)
    state = fields.String(
        required=True,
        metadata={"description": "daily, made_up, void, missed, frozen (an outage of ours), before, open, ahead"},
    )
    checked_at = fields.String(required=True, allow_none=True)
    can_make_up = fields.Boolean(required=True)


class CardsShown(schemas.Answer):
    held = fields.Integer(required=True)
    most = fields.Integer(required=True)
    earned_every = fields.Integer(required=True, metadata={"description": "days of a streak; 0: none"})
    used_this_month = fields.Integer(required=True)
    a_month = fields.Integer(required=True)
    days_back = fields.Integer(required=True)


class CalendarShown(schemas.Answer):
    month = fields.String(required=True)
    today = fields.String(required=True)
    checked_today = fields.Boolean(required=True)
    streak = fields.Integer(required=True)
    streak_since = fields.String(required=True, allow_none=True)
    longest = fields.Integer(required=True)
    total = fields.Integer(required=True)
    cards = fields.Nested(CardsShown, required=True)
    milestones = fields.List(fields.Nested(Step), required=True)
    ahead = fields.List(fields.Nested(StepAhead), required=True)
    reminder = fields.String(required=True, allow_none=True)
    days = fields.List(fields.Nested(DayShown), required=True)


class MakeUp(schemas.Request):
    day = schemas.Pattern(
        r"20[0-9]{2}-[0-9]{2}-[0-9]{2}", expected="应为日期，如 2026-11-20|must be a day like 2026-11-20", required=True
    )


class MadeUpShown(schemas.Answer):
    day = fields.String(required=True)
    first = fields.Boolean(required=True)
    streak = fields.Integer(required=True)
    cards = fields.Integer(required=True)
    milestones = fields.List(fields.Nested(StepReached), required=True)


class Reminder(schemas.Request):
    time = schemas.Pattern(
        r"([01][0-9]|2[0-3]):[0-5][0-9]", expected="应为时间，如 20:00|must be a time like 20:00", required=True
    )


class ReminderShown(schemas.Answer):
    time = fields.String(required=True)


@routes.post("/programs/<code:program>/check-in")
@citizen(fresh=False)  # whether the login stands is asked below, for all who ride together
@gives(CheckedInShown, status=201)
@refuses(NOT_FOUND, checks.UNKNOWN_SCENARIO, checks.PROGRAM_CLOSED, checks.BEFORE_PROGRAM, programs.NOT_A_MEMBER)
def check_in(login: Login, program: str) -> Response:
    """Check in for today

    Once a Shanghai day and program; again, also from a second phone at the same moment, it is answered with the first
    (200). In another program of mine it counts for the streak there and is paid once.
    """
    found = together.take((login, Fare(programs.known(program).id, login.person_id)), _check_in)
    if isinstance(found, Refusal):
        raise found
    return answer(_checked_in(found), 201 if found.fresh else 200)


together: records.Together[tuple[Login, Fare], CheckedIn | Refusal] = records.Together()


def _check_in(fares: Sequence[tuple[Login, Fare]]) -> list[CheckedIn | Refusal]:
    def command() -> list[CheckedIn | Refusal]:
        with transaction():
            at = now()
            standing = logins.standing([login for login, _ in fares], at=at)
            found = iter(checkins.check_in_many([fare for login, fare in fares if login.session_id in standing], at=at))
            return [next(found) if login.session_id in standing else LOGIN_REQUIRED() for login, _ in fares]

    return retrying(command)


@routes.get("/programs/<code:program>/check-in")
@citizen()
@asks(CalendarQuery)
@gives(CalendarShown)
@refuses(NOT_FOUND, programs.NOT_A_MEMBER)
def get_calendar(login: Login, query: dict[str, Any], program: str) -> Response:
    """My check-in calendar

    A month with the streak, the rules, what lies ahead, and which missed days can be made up.
    """
    at, here = now(), programs.known(program)
    month = clock.period_by_key("month", query["month"] or clock.period("month", clock.business_day(at)).key)
    found = checkins.calendar(program_id=here.id, person_id=login.person_id, month=month, at=at)
    if found is None:
        raise programs.NOT_A_MEMBER(program=program)
    minute = checkins.reminder_of(here.id, login.person_id)
    return answer(
        {
            "month": month.key,
            "today": clock.business_day(at).isoformat(),
            "checked_today": found.streak.checked_today,
            "streak": found.streak.length,
            "streak_since": found.streak.first_day.isoformat() if found.streak.first_day else None,
            "longest": found.streak.longest,
            "total": found.streak.total,
            "cards": _cards(found),
            "milestones": [_step(step) for step in found.rules.milestones],
            "ahead": [
                {**_step(step), "day": day.isoformat(), "more_days": more} for more, day, step in found.ahead
            ],
            "reminder": None if minute is None else _time(minute),
            "days": [
                {"day": one.day.isoformat(), "state": one.state, "checked_at": when_or_none(one.checked_at),
                 "can_make_up": one.can_make_up}
                for one in found.days
            ],
        }
    )  # fmt: skip


@routes.post("/programs/<code:program>/check-in/make-up")
@citizen()
@takes(MakeUp, example={"day": "2026-11-02"})
@gives(MadeUpShown, status=201)
@refuses(
    NOT_FOUND,
    programs.NOT_A_MEMBER,
    checkins.NOT_TO_MAKE_UP,
    checkins.NOT_MISSED,
    checkins.NO_CARD,
    checkins.CARDS_OF_MONTH_USED,
)
def make_up(login: Login, body: dict[str, Any], program: str) -> Response:
    """Make up a missed day with a card

    The streak lives on and milestones are paid as of their days; the day itself earns nothing. Again it is answered
    with the first (200).
    """
    here, day = programs.known(program), _day(body["day"])

    def command() -> Any:
        with transaction():
            return checkins.make_up(program_id=here.id, person_id=login.person_id, day=day, at=now())

    found = retrying(command)
    shown = {
        "day": found.day.isoformat(),
        "first": found.fresh,
        "streak": found.streak.length,
        "cards": found.streak.cards,
        "milestones": [_reached(one) for one in found.milestones],
    }
    return answer(shown, 201 if found.fresh else 200)


@routes.put("/programs/<code:program>/check-in/reminder")
@citizen()
@takes(Reminder, example={"time": "20:00"})
@gives(ReminderShown)
@refuses(NOT_FOUND, programs.NOT_A_MEMBER, checkins.REMINDER_TIME)
def put_reminder(login: Login, body: dict[str, Any], program: str) -> Response:
    """Remind me daily

    At this time of the day, where I have not checked in yet: in the inbox, and in WeChat where I allow it.
    """
    here, (hours, minutes) = programs.known(program), map(int, body["time"].split(":"))
    if not programs.is_member(here.id, login.person_id):
        raise programs.NOT_A_MEMBER(program=program)
    with transaction():
        checkins.set_reminder(
            program_id=here.id, person_id=login.person_id, minute=hours * 60 + minutes, at=now()
        )  # fmt: skip
    return answer({"time": body["time"]})


@routes.delete("/programs/<code:program>/check-in/reminder")
@citizen()
@gives(None, status=204)
@refuses(NOT_FOUND)
def delete_reminder(login: Login, program: str) -> Response:
    """Remind me no longer"""
    with transaction():
        checkins.end_reminder(program_id=programs.known(program).id, person_id=login.person_id)
    return nothing()


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        expected = pick("没有这一天|no such day")
        raise INVALID_FIELD(fields=[{"field": "day", "expected": expected}]) from None


def _time(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _cards(found: checkins.Calendar) -> dict[str, int]:
    return {
        "held": found.streak.cards,
        "most": found.rules.cards_most,
        "earned_every": found.rules.card_every,
        "used_this_month": found.streak.cards_used,
        "a_month": found.rules.makeup_month,
        "days_back": found.rules.makeup_days,
    }


def _step(step: Any) -> dict[str, Any]:
    return {"name": step.name, "title": either(step.zh, step.en), "days": step.days, "credits": step.credits}


def _reached(found: Reached) -> dict[str, Any]:
    shown = {**_step(found.milestone), "day": found.day.isoformat(), "state": found.state}
    return {**shown, "credits": found.credits}


def _checked_in(found: CheckedIn) -> dict[str, Any]:
    why = found.reason
    return {
        "day": found.day.isoformat(),
        "checked_at": when(found.checked_at),
        "first": found.fresh,
        "record_id": None if found.record_id is None else str(found.record_id),
        "state": found.state,
        "reason": None if why is None else {"code": why.code, "text": either(why.zh, why.en)},
        "credits": found.credits,
        "paid_in": None if found.paid_in is None else programs.known_by_id(found.paid_in).code,
        "streak": found.streak,
        "longest": found.longest,
        "total": found.total,
        "cards": found.cards,
        "card_earned": found.card_earned,
        "milestone": None if found.milestone is None else _reached(found.milestone),
    }
