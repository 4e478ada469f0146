"""Programs from templates and copies; terms in versions; org-units; who belonged where at an instant."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app import operators, people, programs
from app.errors import Refusal
from app.people.consents import PURPOSES
from app.programs import templates, terms
from tests import given
from tests.given import AT

LATER = AT + timedelta(days=1)
METHODS = {
    path.stem
    for path in (templates.FOLDER.parents[1] / "methodologies" / "packs").glob("*.toml")
    if path.stem[0] != "_"
}


@pytest.mark.parametrize("name", templates.names())
def test_each_template_offers_what_exists(name: str) -> None:
    template = templates.load(name)
    assert template.kind in programs.KINDS
    assert len(template.scenarios) >= 8
    assert len({scenario.code for scenario in template.scenarios}) == len(template.scenarios)
    for scenario in template.scenarios:
        assert scenario.methodology in METHODS, scenario.code
        assert scenario.claim in ("trip", "day", "vehicle", "meter", "none")
        assert scenario.consent_purpose is None or scenario.consent_purpose in PURPOSES
        assert set(scenario.source_kinds) <= {"citizen", "partner", "file", "device", "office", "system"}
        assert set(scenario.source_kinds.values()) <= set(templates.TIERS)
        assert scenario.caps
        assert scenario.name
        assert scenario.name_en
        assert scenario.source_kinds.get("citizen", "E") in ("D", "E"), "what people say themselves is no evidence"


def test_a_program_is_made_from_a_template_with_its_first_terms(db_session: Session) -> None:
    program = given.program("city-one")
    first = programs.terms_in_force(program.id, AT)
    assert (first.version, first.credits_per_kg, first.price_fen, first.lot_months) == (1, 100, 2000, 24)
    assert first.tier_bps == {"A": 10000, "B": 10000, "C": 10000, "D": 5000, "E": 5000}
    with pytest.raises(Refusal) as refused:
        given.program("city-one")
    assert refused.value.code == "program_exists"


def test_a_copy_takes_the_terms_in_force(db_session: Session) -> None:
    source = given.program("first")
    _publish(source, credits_per_kg=150)
    template = programs.template_of(source, [], LATER)
    made = programs.create(
        code="second",
        name="二",
        region="CN-YN",
        template=template,
        actor="operator:a",
        at=LATER,
        starts_on=date(2027, 1, 1),
    )
    assert (made.terms.version, made.terms.credits_per_kg) == (1, 150)
    assert made.program.starts_on == date(2027, 1, 1)


def test_new_terms_need_a_second_person_and_time(db_session: Session) -> None:
    program = given.program()
    for handle in ("maker", "checker"):
        operators.add(handle=handle, name=handle, at=AT)
    asked = _propose(program, credits_per_kg=200)
    with pytest.raises(Refusal) as alone:
        terms.approve_and_publish(approval_id=asked.id, checker="operator:maker", at=AT)
    assert alone.value.code == "maker_is_checker"
    assert programs.terms_in_force(program.id, LATER).version == 1
    made = terms.approve_and_publish(approval_id=asked.id, checker="operator:checker", at=AT)
    assert made.version == 2
    assert programs.terms_in_force(program.id, made.effective_at - timedelta(seconds=1)).version == 1
    assert programs.terms_in_force(program.id, made.effective_at).version == 2
    with pytest.raises(Refusal) as twice:
        terms.approve_and_publish(approval_id=asked.id, checker="operator:checker", at=AT)
    assert twice.value.code == "state_conflict"


def test_terms_never_take_effect_in_the_past(db_session: Session) -> None:
    program = given.program()
    with pytest.raises(Refusal) as refused:
        _propose(program, effective_at=AT)
    assert refused.value.code == "invalid_field"
    asked = _propose(program, effective_at=AT + timedelta(hours=1))
    with pytest.raises(Refusal) as late:
        terms.approve_and_publish(approval_id=asked.id, checker="operator:checker", at=AT + timedelta(hours=2))
    assert late.value.code == "state_conflict"


def test_org_units_form_a_tree_that_does_not_move(db_session: Session) -> None:
    program = given.program()
    rows = [
        {"code": "east", "name": "东区", "kind": "district"},
        {"code": "east-1", "name": "一街", "kind": "street", "parent": "east"},
        {"code": "west", "name": "西区", "kind": "district", "parent": ""},
    ]
    assert programs.add_org_units(program_id=program.id, rows=rows) == 3
    assert programs.add_org_units(program_id=program.id, rows=rows) == 3
    tree = programs.org_units(program.id)
    assert [unit.code for unit in tree] == ["east", "west", "east-1"]
    east, street = programs.org_unit(program.id, "east"), programs.org_unit(program.id, "east-1")
    assert street.path == f"/{east.id}/{street.id}/"
    with pytest.raises(Refusal) as moved:
        programs.add_org_unit(program_id=program.id, code="east-1", name="一街", kind="street", parent="west")
    assert moved.value.code == "state_conflict"
    with pytest.raises(Refusal) as orphan:
        programs.add_org_unit(program_id=program.id, code="x", name="x", kind="street", parent="nowhere")
    assert orphan.value.code == "not_found"


def test_an_org_unit_of_another_program_is_refused_by_the_database_itself(db_session: Session) -> None:
    mine, other = given.program(), given.program()
    foreign = programs.add_org_unit(program_id=other.id, code="x", name="x", kind="unit")
    person = given.member(mine)
    member = programs.membership(mine.id, person)
    assert member is not None
    member.org_unit_id = foreign.id
    with pytest.raises(IntegrityError):
        db_session.flush()
    db_session.rollback()


def test_who_belonged_where_at_an_instant(db_session: Session) -> None:
    first, second = given.program(), given.program()
    person = given.member(first, at=AT)
    given.member(second, person, at=AT + timedelta(days=2))
    people.leave_program(person_id=person, program=first, at=AT + timedelta(days=4))
    db_session.flush()

    def places(days: float) -> list[int]:
        return [place.program_id for place in programs.places_of(person, AT + timedelta(days=days))]

    assert places(-1) == []
    assert places(0) == [first.id]
    assert places(2) == [first.id, second.id]
    assert places(4) == [second.id]
    programs.retire(program=second, actor="operator:a", reason="over", at=AT + timedelta(days=6))
    db_session.flush()
    assert places(5) == [second.id]
    assert places(6) == []


def test_a_person_orders_programs(db_session: Session) -> None:
    made = [given.program(code) for code in ("aa", "bb", "cc")]
    person = given.person()
    for program in made:
        given.member(program, person)
    assert [program.code for _, program in programs.memberships_of(person)] == ["aa", "bb", "cc"]
    programs.reorder(person_id=person, codes=["cc", "aa", "bb"])
    db_session.flush()
    assert [program.code for _, program in programs.memberships_of(person)] == ["cc", "aa", "bb"]
    assert [place.rank for place in programs.places_of(person, AT)] == [1, 2, 3]
    for wrong in (["aa", "bb"], ["aa", "aa", "bb", "cc"], ["aa", "bb", "cc", "dd"], []):
        with pytest.raises(Refusal) as refused:
            programs.reorder(person_id=person, codes=wrong)
        assert refused.value.code == "invalid_field"


def test_a_retired_program_takes_nobody_and_retires_once(db_session: Session) -> None:
    program = given.program()
    programs.retire(program=program, actor="operator:a", reason="over", at=AT)
    with pytest.raises(Refusal) as refused:
        given.member(program)
    assert refused.value.code == "program_retired"
    with pytest.raises(Refusal) as twice:
        programs.retire(program=program, actor="operator:a", reason="over", at=AT)
    assert twice.value.code == "state_conflict"
    assert program.code not in [one.code for one in programs.listed(after=None, limit=100)]


@pytest.mark.parametrize(
    "change",
    [
        {"tier_bps": {"A": 10000}},
        {"tier_bps": {"A": 10001, "B": 0, "C": 0, "D": 0, "E": 0}},
        {"multiplier_cap_bps": 9999},
        {"text_en": " "},
    ],
)
def test_terms_that_make_no_sense_are_not_even_drafts(change: dict[str, object]) -> None:
    good = {name: getattr(templates.load("city").terms, name) for name in templates.TermsDraft.__dataclass_fields__}
    with pytest.raises(ValueError, match=r"tier_bps|multiplier|text"):
        templates.TermsDraft(**{**good, **change})


def _propose(program: programs.Program, effective_at=AT + timedelta(hours=12), **changes: object):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    draft = replace(terms.draft_of(programs.terms_in_force(program.id, AT)), **changes)  # type: ignore[arg-type]
    return terms.propose(
        program=program, draft=draft, effective_at=effective_at, reason="better rate", maker="operator:maker", at=AT
    )


def _publish(program: programs.Program, **changes: object) -> None:
    asked = _propose(program, **changes)
    terms.approve_and_publish(approval_id=asked.id, checker="operator:checker", at=AT)
