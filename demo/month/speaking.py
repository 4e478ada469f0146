"""What people of the month show and say to each other: posts with comments and likes, photos that somebody looks at,
appeals, and the enterprise's anonymous survey."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta

from PIL import Image, ImageDraw

from app import appeals, community, media, programs, records, safety, snapshots, surveys
from app.clock import day_start
from app.config import Settings
from app.db import read, transaction
from app.errors import Refusal
from app.media import files
from demo.month.crowd import Somebody, of
from demo.places import CITY, COMMUNITY, ENTERPRISE

BY, OTHER, WECHAT = "operator:lin", "operator:wu", "wechat"
WORDS = ("今天骑车上班 🚲", "自带杯第三天", "地铁比开车快", "楼下的银杏黄了 🍂", "垃圾分好了", "步行回家，看到晚霞")
REPLIES = ("真棒！", "一起加油 💪", "我也是", "明天约？")
QUESTIONS = [
    {"key": "overall", "kind": "rating", "zh": "对食堂的总体满意度", "en": "The canteen in all"},
    {"key": "menu", "kind": "choice", "zh": "最想改进什么？", "en": "What should change?",
     "choices": [{"key": "price", "zh": "价格", "en": "Prices"}, {"key": "veg", "zh": "素菜", "en": "Vegetables"}]},
]  # fmt: skip
SURVEY_DAYS = 14


def prepare(*, seed: int, first: date) -> None:
    """The enterprise asks its people for two weeks."""
    at = day_start(first) - timedelta(hours=2)
    with transaction(), suppress(Refusal):
        definition = {
            "code": f"canteen-{seed}", "name": "食堂满意度", "name_en": "The canteen", "questions": QUESTIONS,
            "opens_at": day_start(first), "closes_at": day_start(first + timedelta(days=SURVEY_DAYS)),
        }  # fmt: skip
        surveys.make(program_id=programs.by_code(ENTERPRISE.code).id, definition=definition, by=BY, at=at)


def day(settings: Settings, everybody: Sequence[Somebody], *, seed: int, on: date, first: date) -> None:
    """One evening of everybody's."""
    for place in (CITY, COMMUNITY, ENTERPRISE):
        _talk(of(place.code, everybody), seed, on)
    for place in (CITY, COMMUNITY):
        _photos(settings, of(place.code, everybody), seed, on)
    if on.isoweekday() == 5:
        _object(of(CITY.code, everybody), seed, on)
    if on == first + timedelta(days=SURVEY_DAYS // 2):
        _answer(of(ENTERPRISE.code, everybody), seed, on)


def _talk(mine: Sequence[Somebody], seed: int, on: date) -> None:
    for one in mine:
        chance = random.Random(f"{seed}:talk:{on}:{one.number}")  # her own: what stands already draws nothing
        if chance.random() >= 0.02 * one.zeal:
            continue
        at = _evening(on, chance)
        others = chance.sample(mine, min(4, len(mine)))
        with transaction():
            post, fresh = community.write_post(
                program_id=one.program_id, person_id=one.person_id, client_ref=f"month-{seed}-{on}",
                body=chance.choice(WORDS), medium_ids=[], at=at,
            )  # fmt: skip
            if not fresh:
                continue
            _pass("post", post.id, at)
            for other in others:
                community.like(post_id=post.id, person_id=other.person_id, at=at + timedelta(minutes=3))
            said = {"client_ref": f"month-{seed}-{on}-{post.id}", "body": chance.choice(REPLIES)}
            later = at + timedelta(minutes=7)
            comment, _ = community.write_comment(post_id=post.id, person_id=others[0].person_id, at=later, **said)
            _pass("comment", comment.id, later)


def _pass(kind: str, object_id: int, at: datetime) -> None:
    """WeChat finds nothing wrong with it."""
    waiting = safety.open_of(kind, object_id)
    found = safety.decide(check_id=waiting.id, verdict="pass", by=WECHAT, at=at)
    if found is not None:
        shown = community.post_passed if kind == "post" else community.comment_passed
        shown(object_id, found.body)


def _photos(settings: Settings, mine: Sequence[Somebody], seed: int, on: date) -> None:
    for one in mine:
        chance = random.Random(f"{seed}:photo:{on}:{one.number}")
        if chance.random() >= 0.01 * one.zeal:
            continue
        ref, taken_at, good = f"month-{seed}-{on}", _evening(on, chance), chance.random() < 0.8
        if read(
            "select 1 from snapshots where person_id = %(p)s and client_ref = %(ref)s", {"p": one.person_id, "ref": ref}
        ):
            continue
        picture = files.look(_plate(chance), purpose="photo")
        files.save(settings.media_folder, picture)
        at = taken_at + timedelta(minutes=10)
        with transaction():
            photo = media.add(person_id=one.person_id, purpose="photo", picture=picture, at=at)
            media.decide(medium_id=photo.id, passed=True, by=WECHAT, at=at)
            sent, _ = snapshots.send(
                program_id=one.program_id, scenario="clean-plate", person_id=one.person_id, client_ref=ref, note="",
                medium_id=photo.id, fingerprint=snapshots.fingerprint_of(picture.body), taken_at=taken_at, at=at,
            )  # fmt: skip
            with suppress(Refusal):
                if good:
                    snapshots.accept(snapshot_id=sent.id, by=BY, at=at + timedelta(hours=1))
                else:
                    words = "照片里看不到餐盘"
                    snapshots.refuse(
                        snapshot_id=sent.id, code="not_green", words=words, by=BY, at=at + timedelta(hours=1)
                    )


def _plate(chance: random.Random) -> bytes:
    """A plate on a table, each another one."""
    table = Image.new("RGB", (160, 120), (chance.randrange(256), chance.randrange(256), 90))
    pen = ImageDraw.Draw(table)
    for _ in range(12):
        x, y, grey = chance.randrange(160), chance.randrange(120), chance.randrange(256)
        pen.ellipse((x - 25, y - 25, x + 25, y + 25), fill=(grey, grey, grey))
    out = io.BytesIO()
    table.save(out, "JPEG")
    return out.getvalue()


def _object(mine: Sequence[Somebody], seed: int, on: date) -> None:
    """On Fridays three rides are taken back by mistake; their people object, and two are right."""
    chance = random.Random(f"{seed}:object:{on}")
    references = [f"month-{seed}-{one.number}-{on}-metro-ride" for one in mine]
    query = """
        select r.id, r.person_id, a.id as appeal_id from records r left join appeals a on a.record_id = r.id
        where r.reference = any (%(refs)s) and (r.state = 'counted' or a.id is not null) order by r.reference limit 40
    """
    found = read(query, {"refs": references})
    if len(found) < 3:
        return
    at = day_start(on) + timedelta(hours=23, minutes=30)
    for number, row in enumerate(chance.sample(found, 3)):
        if row.appeal_id is not None:
            continue  # objected already, by an earlier run
        with transaction():
            records.reverse(record_id=row.id, code="error", words="闸机数据核对不上", by=BY, at=at)
            appeal, _ = appeals.ask(
                object_id=row.id, person_id=row.person_id, words="当天确实乘坐，有扣款记录。", at=at
            )
            words = "核对扣款记录属实。" if number else "没有扣款记录。"
            appeals.answer(appeal_id=appeal, granted=number > 0, words=words, by=OTHER, at=at + timedelta(minutes=20))


def _answer(mine: Sequence[Somebody], seed: int, on: date) -> None:
    chance = random.Random(f"{seed}:survey")
    survey = surveys.by_code(programs.by_code(ENTERPRISE.code).id, f"canteen-{seed}")
    for one in mine:
        answers = {"overall": chance.randint(2, 5), "menu": chance.choice(["price", "veg"])}
        if chance.random() < 0.6:
            with transaction(), suppress(Refusal):
                surveys.answer(survey_id=survey.id, person_id=one.person_id, answers=answers, at=_evening(on, chance))


def _evening(on: date, chance: random.Random) -> datetime:
    return day_start(on) + timedelta(hours=19, seconds=chance.randrange(7_200))
