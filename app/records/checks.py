"""Whether an act may be recorded at all, and whether it must be held: the program, the source, consent, time, facts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from app import clock, methodologies
from app.errors import Kind, Refusal, declare
from app.people.consents import CONSENT_REQUIRED
from app.programs.joining import NOT_A_MEMBER
from app.records import risk
from app.records.acts import Act, Work
from app.records.catalog import Catalog, Vehicles, vehicle_of
from app.records.reasons import reason

AHEAD = timedelta(minutes=5)
EARLIEST = datetime(2010, 1, 1, tzinfo=UTC)
LONGEST_ACT = timedelta(hours=24)
LONGEST_EVER = timedelta(days=31)
MAX_REFERENCE = 128
OVER_WHEN_TOLD = frozenset({"trip", "vehicle", "meter"})

# Facts that are kept as evidence and that no formula uses.
EVIDENCE = frozenset(
    {
        *("start_at", "end_at", "line", "in_station", "out_station", "fare_fen", "city", "e_bike", "station"),
        *("connector", "platform", "device", "photo_hash", "note", "distance_m", "duration_minutes", "department"),
        "used_kwh",
    }
)

UNKNOWN_SCENARIO = declare(
    "unknown_scenario",
    Kind.NOT_FOUND,
    zh="该项目没有这个场景，或场景已下线。请查看项目的场景列表。",
    en="The program does not offer this scenario, or no longer. See the program's list of scenarios.",
)
PROGRAM_CLOSED = declare(
    "program_closed",
    Kind.CONFLICT,
    zh="该项目已结束，不再接收新的行为。",
    en="This program has ended and takes no new acts.",
)
BEFORE_PROGRAM = declare(
    "before_program",
    Kind.INVALID,
    zh="行为发生在项目开始之前，不能计入。",
    en="This happened before the program began, so it cannot count.",
)
IN_FUTURE = declare(
    "in_future",
    Kind.INVALID,
    zh="行为时间晚于当前时间，请检查时间与时区。",
    en="This lies in the future. Check the time and its zone.",
)
TIME_IMPOSSIBLE = declare(
    "time_impossible",
    Kind.INVALID,
    zh="起止时间有误：结束早于开始，或时长超过 31 天，或年份过早。",
    en="The times are not possible: the end before the start, more than 31 days, or a year too early.",
)
SOURCE_NOT_ALLOWED = declare(
    "source_not_allowed",
    Kind.NOT_ALLOWED,
    zh="该场景不接受这种数据来源。",
    en="This scenario does not take this kind of source.",
)
FACTS_INVALID = declare(
    "facts_invalid",
    Kind.INVALID,
    zh="行为数据有误，请按 details 的说明修改。",
    en="The facts are not as this scenario needs them; `details` says what to mend.",
)
NOT_YOUR_VEHICLE = declare(
    "not_your_vehicle",
    Kind.NOT_ALLOWED,
    zh="该车辆在行为发生时不属于此人，请先绑定车辆。",
    en="This vehicle was not this person's when it happened. Bind it first.",
)


def judge(work: Work, catalog: Catalog, vehicles: Vehicles) -> None:
    """Find the scenario, tier and version of an act; hold it where it is out of range or at risk. Raises a Refusal."""
    act = work.act
    _time(act, catalog.at)
    _place(work, catalog)
    _person(work, catalog)
    _facts(work, catalog)
    _vehicle(work, vehicles)
    for found in risk.assess(work):
        work.hold(found)


def _time(act: Act, at: datetime) -> None:
    if act.occurred_at > at + AHEAD or act.until > at + LONGEST_ACT:
        raise IN_FUTURE(occurred_at=act.occurred_at.isoformat())
    if act.occurred_at < EARLIEST or not timedelta(0) <= act.until - act.occurred_at <= LONGEST_EVER:
        raise TIME_IMPOSSIBLE(occurred_at=act.occurred_at.isoformat(), ended_at=act.until.isoformat())
    if not 1 <= len(act.reference) <= MAX_REFERENCE:
        raise FACTS_INVALID(reference=f"1 to {MAX_REFERENCE} characters")


def _place(work: Work, catalog: Catalog) -> None:
    act = work.act
    program = catalog.programs.get(act.program_id)
    scenario = catalog.scenarios.get((act.program_id, act.scenario))
    source = catalog.sources.get(act.source_id)
    if program is None or scenario is None or scenario.state != "active":
        raise UNKNOWN_SCENARIO(scenario=act.scenario)
    if program.state != "active":
        raise PROGRAM_CLOSED(program=program.code)
    if act.occurred_at < clock.day_start(program.starts_on):
        raise BEFORE_PROGRAM(program=program.code, starts_on=program.starts_on.isoformat())
    if source is None or source.state != "active" or source.kind not in scenario.source_kinds:
        raise SOURCE_NOT_ALLOWED(scenario=act.scenario)
    work.program, work.scenario, work.source = program, scenario, source
    work.tier = scenario.source_kinds[source.kind]
    work.region = program.region
    # What happened once has happened when it is told; only totals of a day may be told before the day is over.
    if scenario.claim in OVER_WHEN_TOLD and act.until > catalog.at + AHEAD:
        raise IN_FUTURE(ended_at=act.until.isoformat())


def _person(work: Work, catalog: Catalog) -> None:
    membership = catalog.membership(work.act.person_id, work.act.program_id)
    if membership is None:
        raise NOT_A_MEMBER(program=work.program.code)
    work.org_unit_id = membership.org_unit_id
    purpose = work.scenario.consent_purpose
    if purpose and not catalog.consents_to(work.act.person_id, purpose, work.act.program_id):
        raise CONSENT_REQUIRED(purpose=purpose, program=work.program.code)


def _facts(work: Work, catalog: Catalog) -> None:
    act, scenario = work.act, work.scenario
    work.version = catalog.book.in_force(scenario.methodology, clock.business_day(act.occurred_at))
    if work.version is None:
        work.hold(reason("no_method_in_force"))
        return
    facts = {**act.facts, **scenario.fixed_facts}
    problems = methodologies.check_facts(work.version, facts, evidence=EVIDENCE)
    invalid = [problem for problem in problems if problem.kind == "invalid"]
    if invalid:
        raise FACTS_INVALID(problems=[{"fact": p.name, "code": p.code, "zh": p.zh, "en": p.en} for p in invalid])
    for problem in problems:
        work.hold(reason("out_of_range", problem.zh, problem.en))
    if (
        act.until - act.occurred_at > LONGEST_ACT
        and scenario.claim in ("trip", "vehicle")
        and not _stands_still(scenario)
    ):
        work.hold(reason("out_of_range", "> 24 h"))


def _stands_still(scenario: Any) -> bool:
    """A car may be left at home for days; everything else that claims a trip ends within one."""
    return bool(scenario.methodology == "car-free-day")


def _vehicle(work: Work, vehicles: Vehicles) -> None:
    if work.scenario.claim != "vehicle":
        return
    act = work.act
    vehicle_id = vehicle_of(act.subject)
    charging = work.scenario.methodology.endswith("charging")
    if vehicle_id is None:
        if charging and vehicles.has_vehicle(act.person_id, act.occurred_at):
            work.collapse(reason("vehicle_unknown"))
        return
    if vehicles.holder_at(vehicle_id, act.occurred_at) != act.person_id:
        raise NOT_YOUR_VEHICLE(subject=act.subject)
    if charging and vehicles.mileage_counts(vehicle_id, act.occurred_at):
        work.collapse(reason("mileage_counts"))


def refusal_of(work: Work, catalog: Catalog, vehicles: Vehicles) -> Refusal | None:
    """Judge an act and answer the refusal instead of raising it, so that a batch goes on with the next."""
    try:
        judge(work, catalog, vehicles)
    except Refusal as refusal:
        return refusal
    return None
