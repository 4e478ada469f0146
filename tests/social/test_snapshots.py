"""Acts by photo: held until somebody has looked, refused when unsafe, known again when sent twice."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from PIL import Image, ImageDraw, ImageEnhance
from sqlalchemy import text
from sqlalchemy.orm import Session

from app import appeals, clock, media, operators, records, snapshots
from app.db import connection, transaction
from app.errors import Refusal
from app.snapshots.fingerprint import ALIKE
from tests import world
from tests.courier.conftest import Town, box, town
from tests.races.crowd import at_once, codes, fine
from tests.world import AT, World

__all__ = ["box", "town"]


@pytest.fixture
def block(db_session: Session) -> World:
    with transaction():
        return world.build(template="community")


def one(sql: str, **values: Any) -> Any:
    return connection().execute(text(sql), values).scalar_one()


def refused(command: Callable[[], Any]) -> str:
    with pytest.raises(Refusal) as caught, transaction():
        command()
    return caught.value.code


def scene(seed: int, *, size: tuple[int, int] = (640, 480)) -> Image.Image:
    """Something that looks like a photo: spots of many brightnesses, other ones for another seed."""
    made = Image.new("RGB", size, (seed * 37 % 256, 90, 140))
    pen = ImageDraw.Draw(made)
    for number in range(40):
        x, y = (seed * 7919 + number * 104729) % size[0], (seed * 6101 + number * 15485863) % size[1]
        grey = (seed * 31 + number * 53) % 256
        pen.ellipse((x - 70, y - 70, x + 70, y + 70), fill=(grey, grey, (grey + 60) % 256))
    return made


def saved(image: Image.Image, quality: int = 88) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def photo(person_id: int, *, state: str = "pass") -> int:
    """A photo of a person that WeChat has looked at."""
    insert = (
        "insert into media (name, person_id, purpose, content_type, size_bytes, width, height, sha256, state,"
        " uploaded_at) values (md5(random()::text), :p, 'photo', 'image/jpeg', 1, 1, 1,"
        " decode(md5(random()::text), 'hex'), :s, now()) returning id"
    )
    return int(one(insert, p=person_id, s=state))


def send(block: World, person_id: int, **changes: Any) -> snapshots.Snapshot:
    values = {
        "scenario": "clean-plate", "client_ref": "one", "fingerprint": 1, "note": "", "at": AT,
        "taken_at": AT - timedelta(hours=1), **changes,
    }  # fmt: skip
    if "medium_id" not in values:
        values["medium_id"] = photo(person_id)
    return snapshots.send(program_id=block.program_id, person_id=person_id, **values)[0]


def test_a_photo_counts_when_somebody_has_looked_as_of_its_day(block: World) -> None:
    ann = block.people[0]
    yesterday = AT - timedelta(days=1)
    with transaction():
        sent = send(block, ann, taken_at=yesterday)
    assert one("select state || ' ' || reason_code || ' ' || tier from records") == "held photo_review D"
    assert [row.id for row in snapshots.waiting(block.program_id)] == [sent.id]
    with transaction():
        done = snapshots.accept(snapshot_id=sent.id, by="operator:ops", at=AT + timedelta(days=2))
    assert (done.state, done.credits, done.mg) == ("counted", 2, 0), "half of five, floor: the share of tier D"
    assert one("select local_date::text from records") == str(clock.business_day(yesterday))
    assert snapshots.waiting(block.program_id) == []
    assert refused(partial(snapshots.accept, snapshot_id=sent.id, by="operator:ops", at=AT)) == "state_conflict"


def test_nobody_counts_a_photo_by_just_saying_so(block: World) -> None:
    """The door for declared acts is no way around the look."""
    with transaction():
        act = world.act(block, block.people[0], "photo", kind="citizen", facts={"photos": 9}, ended_at=None)
        taken = records.take(act, at=AT)
    assert (taken.state, taken.reason and taken.reason.code) == ("held", "photo_review")


def test_a_refused_photo_can_be_appealed_and_counts_then(block: World) -> None:
    ann = block.people[0]
    with transaction():
        sent = send(block, ann)
        snapshots.refuse(snapshot_id=sent.id, code="not_green", words="餐盘未吃净", by="operator:ops", at=AT)
        appeal, _ = appeals.ask(object_id=sent.record_id, person_id=ann, words="吃净了", at=AT)
        appeals.answer(appeal_id=appeal, granted=True, words="看清了", by="operator:other", at=AT)
    assert one("select sum(credits) from awards where state = 'paid'") == 2


def test_what_has_not_passed_its_check_is_not_decided_and_what_is_unsafe_is_refused(block: World) -> None:
    ann = block.people[0]
    with transaction():
        waiting = send(block, ann, medium_id=photo(ann, state="pending"))
        unsafe = send(block, ann, client_ref="two", medium_id=photo(ann, state="risky"), fingerprint=2**40)
    assert snapshots.waiting(block.program_id) == []
    accept = partial(snapshots.accept, snapshot_id=waiting.id, by="operator:ops", at=AT)
    assert refused(accept) == "snapshot_unchecked"
    with transaction():
        assert snapshots.refuse_unsafe(at=AT) == 1
        assert snapshots.refuse_unsafe(at=AT) == 0
    assert one("select state from records where id = :r", r=unsafe.record_id) == "rejected"
    assert one("select state from records where id = :r", r=waiting.record_id) == "held"
    with transaction():
        media.remove(medium_id=waiting.medium_id or 0, person_id=ann, at=AT)
        assert snapshots.refuse_unsafe(at=AT) == 1, "taken away by its owner"


def test_another_persons_photo_an_old_one_and_a_wrong_scenario_are_refused(block: World) -> None:
    ann, ben = block.people
    with transaction():
        theirs = photo(ben)
    assert refused(partial(send, block, ann, medium_id=theirs)) == "invalid_field"
    old = AT - timedelta(hours=48, seconds=1)
    assert refused(partial(send, block, ann, taken_at=old)) == "snapshot_too_old"
    assert refused(partial(send, block, ann, taken_at=AT + timedelta(hours=1))) == "in_future"
    assert refused(partial(send, block, ann, scenario="bus-ride")) == "no_photo_scenario"
    assert refused(partial(send, block, ann, scenario="nothing")) == "no_photo_scenario"


def test_the_same_again_is_the_first(block: World) -> None:
    ann = block.people[0]
    with transaction():
        mine = photo(ann)
        first = send(block, ann, medium_id=mine)
        assert send(block, ann, medium_id=mine).id == first.id
    other = partial(send, block, ann, medium_id=mine, scenario="photo")
    assert refused(other) == "idempotency_conflict"
    assert one("select count(*) from records") == 1


def test_a_photo_is_known_again_smaller_saved_anew_and_from_somebody_else(block: World) -> None:
    ann, ben = block.people
    marks = [snapshots.fingerprint_of(saved(scene(number))) for number in range(1, 12)]
    again = [
        saved(scene(1), quality=40),
        saved(scene(1).resize((320, 240))),
        saved(ImageEnhance.Brightness(scene(1)).enhance(1.15)),
    ]

    def apart(a: int, b: int) -> int:
        return ((a ^ b) & (2**64 - 1)).bit_count()

    assert all(apart(marks[0], snapshots.fingerprint_of(body)) <= ALIKE for body in again)
    assert all(apart(marks[0], mark) > ALIKE for mark in marks[1:])
    assert all(-(2**63) <= mark < 2**63 for mark in marks)
    with transaction():
        first = send(block, ann, fingerprint=marks[0])
        second = send(block, ben, fingerprint=snapshots.fingerprint_of(again[1]))
        third = send(block, ben, client_ref="new", fingerprint=marks[4])
    assert (first.similar_to, second.similar_to, third.similar_to) == (None, first.id, None)
    assert [row.similar_to for row in snapshots.waiting(block.program_id)] == [None, first.id, None]


def test_old_photos_go_when_nobody_can_appeal_any_more(block: World) -> None:
    ann = block.people[0]
    with transaction():
        decided, open_one = send(block, ann), send(block, ann, client_ref="two", fingerprint=2**50)
        snapshots.refuse(snapshot_id=decided.id, code="not_green", words="不", by="operator:ops", at=AT)
        assert snapshots.thin(at=AT + timedelta(days=89)) == 0
        assert snapshots.thin(at=AT + timedelta(days=91)) == 1
        assert snapshots.thin(at=AT + timedelta(days=92)) == 0
    gone = "select removed_at is not null from media where id = :m"
    assert (one(gone, m=decided.medium_id), one(gone, m=open_one.medium_id)) == (True, False)


def test_two_reviewers_at_once_and_eight_taps(crowd: Any) -> None:
    with transaction():
        block = world.build(template="community")
        mine = photo(block.people[0])
    tap = partial(send, block, block.people[0], medium_id=mine)
    made = fine(at_once(crowd, *[lambda: tap().id] * 8))
    assert len(set(made)) == 1 and len(made) == 8
    accept = partial(snapshots.accept, snapshot_id=made[0], at=AT)
    refuse = partial(snapshots.refuse, snapshot_id=made[0], code="not_green", words="不", at=AT)
    answers = at_once(crowd, partial(accept, by="operator:a"), partial(refuse, by="operator:b"))
    assert (len(fine(answers)), codes(answers)) == (1, ["state_conflict"])


def test_a_snapshot_from_the_phone_to_the_reviewer(town: Town) -> None:
    with town.inside(), transaction():
        for handle in ("lin", "wu"):
            operators.add(handle=handle, name=handle, at=clock.now())
    ann = town.member("alice")
    uploaded = ann.upload(saved(scene(3)), purpose="photo")
    wanted = {
        "program": town.world.code, "scenario": "clean-plate", "client_ref": "plate-1", "medium_id": uploaded["id"],
        "taken_at": (clock.now() - timedelta(minutes=5)).isoformat(timespec="seconds"), "note": "光盘 🍚",
    }  # fmt: skip
    made = ann.post("/snapshots", wanted, 201)
    assert (made["state"], made["photo_state"], made["credits"]) == ("held", "pending", 0)
    assert ann.post("/snapshots", wanted, 200)["id"] == made["id"]
    assert "nothing waits" in town.flask("snapshots", "waiting", "--program", town.world.code)
    town.work()
    town.box.agenda.quiet()
    town.work()
    listed = town.flask("snapshots", "waiting", "--program", town.world.code)
    assert "/media/" in listed and "mark=" in listed
    assert "dry run" in town.flask("snapshots", "accept", made["id"], "--as", "lin", "--dry-run")
    assert "2 credits" in town.flask("snapshots", "accept", made["id"], "--as", "lin")
    assert ann.get(f"/snapshots/{made['id']}")["credits"] == 2
    assert "record.counted" in [one_["kind"] for one_ in ann.get("/notices")["items"]]
    assert ann.refused("POST", "/snapshots", 422, json={**wanted, "client_ref": "x", "medium_id": "999"})
    assert town.box.journal.violations == []
