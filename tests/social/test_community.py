"""Posts, comments, likes, reports, blocks: nothing is seen before it has passed; names are masked unless shown."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app import appeals, community, personal_data, safety
from app.clock import now
from app.db import connection, transaction
from app.errors import Refusal
from courier import safety as courier_safety
from tests import given, world
from tests.courier.conftest import Town, box, town
from tests.courier.test_safety import picture
from tests.edges.conftest import Phone, code_of
from tests.races.crowd import at_once, codes, fine
from tests.world import AT, World

__all__ = ["box", "town"]


@pytest.fixture
def city(db_session: Session) -> World:
    with transaction():
        return world.build(people=8)


def one(sql: str, **values: Any) -> Any:
    return connection().execute(text(sql), values).scalar_one()


def refused(command: Callable[[], Any]) -> str:
    with pytest.raises(Refusal) as caught, transaction():
        command()
    return caught.value.code


def passed(*, verdict: str = "pass") -> None:
    for waiting in safety.waiting():
        courier_safety.decide_text(waiting.id, verdict, by="wechat")


def post(city: World, author: int, body: str = "今天骑车上班", *, ref: str = "p", shown: bool = True) -> int:
    wanted = {"client_ref": ref, "body": body, "medium_ids": []}
    with transaction():
        made, _ = community.write_post(program_id=city.program_id, person_id=author, at=AT, **wanted)
    if shown:
        passed()
    return made.id


def seen(city: World, person_id: int) -> list[int]:
    return [row.id for row in community.feed(city.program_id, person_id, before=None, limit=50)]


def test_a_post_is_seen_when_it_has_passed_and_never_when_it_has_not(city: World) -> None:
    ann, ben, *_ = city.people
    good, bad = post(city, ann, shown=False), post(city, ann, "不当内容", ref="q", shown=False)
    assert (seen(city, ben), seen(city, ann)) == ([], [])
    assert community.mine(ann, before=None, limit=5)[0].state == "checking"
    first, second = safety.waiting()
    courier_safety.decide_text(first.id, "pass", by="wechat")
    courier_safety.decide_text(second.id, "risky", by="wechat")
    assert seen(city, ben) == [good]
    assert one("select state from posts where id = :p", p=bad) == "refused"
    assert refused(partial(community.seen_post, bad, ben)) == "not_found"
    assert one("select count(*) from notices where kind = 'text.refused' and person_id = :p", p=ann) == 1


def test_a_post_with_a_picture_waits_for_the_picture_too(city: World) -> None:
    ann, ben, *_ = city.people
    insert = (
        "insert into media (name, person_id, purpose, content_type, size_bytes, width, height, sha256, uploaded_at)"
        " values ('n' || :p, :p, 'photo', 'image/jpeg', 1, 1, 1, '\\x00', now()) returning id"
    )
    with transaction():
        mine, theirs = (one(insert, p=person) for person in (ann, ben))
        wanted = {"client_ref": "x", "body": "", "medium_ids": [mine]}
        made, _ = community.write_post(program_id=city.program_id, person_id=ann, at=AT, **wanted)
    assert seen(city, ben) == []
    connection().execute(text("update media set state = 'pass' where id = :m"), {"m": mine})
    assert seen(city, ben) == [made.id]
    connection().execute(text("update media set state = 'risky' where id = :m"), {"m": mine})
    assert seen(city, ben) == []
    stolen = partial(
        community.write_post, program_id=city.program_id, person_id=ann, client_ref="y", body="", medium_ids=[theirs],
        at=AT,
    )  # fmt: skip
    assert refused(stolen) == "invalid_field"


def test_only_members_see_and_write(city: World) -> None:
    ann, *_ = city.people
    number = post(city, ann)
    with transaction():
        stranger = given.person()
    write = partial(community.write_post, program_id=city.program_id, person_id=stranger, client_ref="s", body="你好")
    assert refused(partial(write, medium_ids=[], at=AT)) == "not_a_member"
    assert refused(partial(community.seen_post, number, stranger)) == "not_found"
    assert refused(partial(community.like, post_id=number, person_id=stranger, at=AT)) == "not_found"


def test_the_same_post_again_is_the_first_and_other_words_are_refused(city: World) -> None:
    ann, *_ = city.people
    write = partial(community.write_post, program_id=city.program_id, person_id=ann, client_ref="same", at=AT)
    with transaction():
        first, fresh = write(body="一", medium_ids=[])
        again, twice = write(body="一", medium_ids=[])
    assert (fresh, twice, first.id) == (True, False, again.id)
    assert refused(partial(write, body="二", medium_ids=[])) == "idempotency_conflict"


def test_thirty_posts_a_day_and_not_one_more(city: World) -> None:
    ann, *_ = city.people
    for number in range(community.POSTS_A_DAY):
        post(city, ann, ref=f"n{number}", shown=False)
    write = partial(community.write_post, program_id=city.program_id, person_id=ann, client_ref="more", body="又")
    assert refused(partial(write, medium_ids=[], at=AT)) == "too_many"
    with transaction():
        write(medium_ids=[], at=AT + timedelta(days=1, seconds=1))


def test_whoever_blocks_is_not_met_either(city: World) -> None:
    ann, ben, cleo, *_ = city.people
    anns, bens = post(city, ann), post(city, ben, ref="b")
    with transaction():
        said, _ = community.write_comment(post_id=bens, person_id=ann, client_ref="c", body="好", at=AT)
    passed()
    with transaction():
        number = community.block(person_id=ben, post_id=anns, comment_id=None, at=AT)
        assert community.block(person_id=ben, post_id=anns, comment_id=None, at=AT) == number
    assert (seen(city, ben), seen(city, ann), seen(city, cleo)) == ([bens], [anns], [bens, anns])
    assert [row.id for row in community.comments(bens, ben, after=None, limit=9)] == []
    assert [row.id for row in community.comments(bens, cleo, after=None, limit=9)] == [said.id]
    comment = partial(community.write_comment, post_id=anns, person_id=ben, client_ref="d", body="?", at=AT)
    assert refused(comment) == "not_found"
    assert refused(partial(community.unblock, block_id=number, person_id=ann)) == "not_found"
    with transaction():
        community.unblock(block_id=number, person_id=ben)
    assert seen(city, ann) == [bens, anns]


def test_five_reports_hold_a_post_until_somebody_has_looked(city: World) -> None:
    ann, *others = city.people
    number = post(city, ann)
    for person in others[:4]:
        with transaction():
            for _ in range(3):
                community.report(kind="post", object_id=number, person_id=person, reason="spam", words="", at=AT)
    assert seen(city, others[6]) == [number], "one person counts once"
    with transaction():
        community.report(kind="post", object_id=number, person_id=others[4], reason="abuse", words="骂人", at=AT)
    assert seen(city, others[6]) == []
    (waiting,) = community.waiting(city.program_id)
    assert (waiting.id, waiting.reports, waiting.reasons) == (number, 5, "abuse,spam")
    with transaction():
        community.show_again(kind="post", object_id=number, by="operator:mod", at=AT)
    assert (seen(city, others[6]), community.waiting(city.program_id)) == ([number], [])
    own = partial(community.report, kind="post", object_id=number, person_id=ann, reason="spam", words="", at=AT)
    assert refused(own) == "own_post"


def test_a_hidden_post_can_be_appealed_and_comes_back(city: World) -> None:
    ann, ben, *_ = city.people
    number = post(city, ann)
    nothing = partial(appeals.ask, kind="post", object_id=number, person_id=ann, words="为什么", at=AT)
    assert refused(nothing) == "nothing_to_appeal"
    with transaction():
        community.hide(kind="post", object_id=number, reason="false", words="不实", by="operator:mod", at=AT)
    assert seen(city, ben) == []
    stranger = partial(appeals.ask, kind="post", object_id=number, person_id=ben, words="不", at=AT)
    assert refused(stranger) == "not_found"
    with transaction():
        appeal, _ = appeals.ask(kind="post", object_id=number, person_id=ann, words="属实", at=AT)
    own = partial(appeals.answer, appeal_id=appeal, granted=True, words="好", by="operator:mod", at=AT)
    assert refused(own) == "appeal_own_decision"
    with transaction():
        appeals.answer(appeal_id=appeal, granted=True, words="确实属实", by="operator:other", at=AT)
    assert seen(city, ben) == [number]
    told = connection().execute(text("select kind from notices where person_id = :p order by id"), {"p": ann})
    assert told.scalars().all() == ["post.hidden", "appeal.received", "post.shown", "appeal.granted"]


def test_a_verdict_that_comes_late_shows_nothing_that_is_hidden_or_gone(city: World) -> None:
    ann, ben, *_ = city.people
    hidden, gone = post(city, ann, shown=False), post(city, ann, ref="g", shown=False)
    with transaction():
        community.hide(kind="post", object_id=hidden, reason="spam", words="广告", by="operator:mod", at=AT)
        community.remove_post(post_id=gone, person_id=ann, at=AT)
    passed()
    community.post_passed(gone, "今天骑车上班")
    assert seen(city, ben) == []


def test_a_deleted_author_leaves_no_word(city: World) -> None:
    ann, ben, *_ = city.people
    number = post(city, ann, "canary 词")
    with transaction():
        community.write_comment(post_id=number, person_id=ben, client_ref="c", body="好", at=AT)
        community.like(post_id=number, person_id=ann, at=AT)
    exported = personal_data.export(ann, AT)["data"]
    assert exported["posts"][0]["body"] == "canary 词"
    _, mark = personal_data.losses(ann, AT)
    with transaction():
        personal_data.forget(person_id=ann, seen=mark, at=AT)
    assert seen(city, ben) == []
    assert one("select string_agg(body, '') from posts") == ""
    assert one("select count(*) from likes") == 0


def test_likes_at_once_are_one_each(crowd: Any) -> None:
    with transaction():
        city = world.build(people=6)
    number = post(city, city.people[0])
    like = [partial(community.like, post_id=number, person_id=one_, at=AT) for one_ in city.people for _ in range(3)]
    assert codes(at_once(crowd, *like)) == []
    assert community.seen_post(number, city.people[1]).likes == 6
    wanted = {"client_ref": "race", "body": "一样", "medium_ids": []}
    write = partial(community.write_post, program_id=city.program_id, person_id=city.people[1], at=AT, **wanted)
    made = fine(at_once(crowd, *[write] * 6))
    assert sorted(fresh for _, fresh in made) == [False] * 5 + [True]


def test_long_texts_are_asked_in_parts_that_overlap() -> None:
    for body in ("字" * 5000, "🚲" * 5000, "a" * 2500, "a" * 2501, "x"):
        parts = courier_safety.parts(body)
        assert all(len(part.encode("utf-16-le")) // 2 <= 2500 for part in parts)
        rebuilt = parts[0] + "".join(part[courier_safety.SEAM :] for part in parts[1:])
        assert rebuilt == body
    assert len(courier_safety.parts("a" * 2500)) == 1
    body = "好" * 2490 + "违禁词汇" + "好" * 2000
    assert any("违禁词汇" in part for part in courier_safety.parts(body)), "a seam hides no word"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("👨‍👩‍👧‍👦🏳️‍🌈 骑行 🚲", 201),
        ("שלום עולם — مرحبا بالعالم", 201),
        ("\u200fمرحبا\u200f", 201),
        ("evil\u202etxt.exe", 201),
        ("字" * 5000, 201),
        ("🚲" * 5000, 201),
        ("字" * 5001, 422),
        ("", 422),
        ("   \n ", 422),
        ("\u200b\u200b", 422),
        ("a\u0000b", 422),
        ("第一行\n第二行", 201),
        ("<script>alert(1)</script>", 201),
    ],
)
def test_posts_of_all_sorts(alice: Phone, bob: Phone, db_session: Session, body: str, status: int) -> None:
    with transaction():
        program = given.program(at=now() - timedelta(days=1))
        for phone in (alice, bob):
            given.member(program, int(phone.get("/me").json["id"]), at=now())  # type: ignore[index]
    made = alice.post(f"/programs/{program.code}/posts", {"client_ref": "p", "body": body})
    assert made.status_code == status, made.text
    if status == 422:
        assert code_of(made) == "invalid_field"
        return
    passed()
    (read,) = bob.get(f"/programs/{program.code}/posts").json["items"]
    unwanted = dict.fromkeys(map(ord, "\u200f\u202e"))
    assert read["body"] == body.translate(unwanted)
    assert read["author"].startswith("用户") and read["mine"] is False and "person_id" not in read
    assert bob.put(f"/posts/{read['id']}/like").status_code == 204
    said = bob.post(f"/posts/{read['id']}/comments", {"client_ref": "c", "body": "👍"})
    assert (said.status_code, said.json["state"]) == (201, "checking")
    assert alice.get(f"/posts/{read['id']}/comments").json["items"] == []
    passed()
    (comment,) = alice.get(f"/posts/{read['id']}/comments").json["items"]
    assert comment["body"] == "👍"
    assert [one_["kind"] for one_ in alice.get("/notices").json["items"]] == ["comment.new"]
    shown = alice.put("/me", {**given.PROFILE, "nickname": "小安", "show_name": True})
    assert shown.status_code == 200, shown.text
    passed()
    assert bob.get(f"/posts/{read['id']}").json["author"] == "小安"


def test_a_post_with_a_photo_through_wechats_checks(town: Town) -> None:
    ann, ben = town.member("alice"), town.member("bob")
    where = f"/programs/{town.world.code}/posts"
    photo = ann.upload(picture(), purpose="photo")
    ann.post(where, {"client_ref": "good", "body": "骑" * 4900, "pictures": [photo["id"]]}, 201)
    bad = ann.post(where, {"client_ref": "bad", "body": "骑" * 4900 + "色情" + "好" * 60}, 201)
    assert ben.get(where)["items"] == []
    town.work()
    town.box.agenda.quiet()
    town.work()
    (read,) = ben.get(where)["items"]
    assert (len(read["body"]), read["pictures"][0]["state"]) == (4900, "pass")
    states = {one_["id"]: one_["state"] for one_ in ann.get("/posts/mine")["items"]}
    assert states[bad["id"]] == "refused", "a word in the second half is found as well"
    assert town.box.journal.violations == []
