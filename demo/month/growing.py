"""What people of the month learn and grow: the daily quiz, levels and badges of the city, trees of its grove."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta

from app import grove, learning, levels, memo, programs
from app.clock import day_start
from app.db import run, session, transaction
from app.errors import Refusal
from app.learning import Quiz
from demo.month import crowd
from demo.month.crowd import Somebody
from demo.places import CITY

BY = "system:demo"
BANK = "month"
IN_ONE_GO = 100
QUESTIONS = (
    ("led", "换用 LED 灯主要减少什么？", "用电", "垃圾", "A", "照明用电减少，发电排放随之减少。"),
    ("cup", "自带杯减少了什么？", "自来水", "一次性纸杯", "B", "少用一个约 10 克的纸杯。"),
    ("bus", "哪一种出行人均排放更低？", "公共汽车", "独自驾车", "A", "公共交通的人均排放低于独自驾车。"),
    ("sort", "厨余垃圾单独投放有什么用？", "没有用", "可以堆肥或产沼气", "B", "分出来的厨余可以资源化利用。"),
)
DAILY = {"code": "daily", "kind": "daily", "title": "每日答题", "bank": BANK, "draws": 2, "passes": 1, "seconds": 120}
LEVELS = """
budget = "main"
[[levels]]
code = "drop"
grams = 2000
bonus = 5
name = { zh = "水滴", en = "Drop" }
[[levels]]
code = "stream"
grams = 10000
bonus = 10
boost_percent = 5
name = { zh = "溪流", en = "Stream" }
privileges = [{ zh = "活动优先报名", en = "Enrols first" }]
[[levels]]
code = "river"
grams = 30000
bonus = 20
boost_percent = 10
name = { zh = "江河", en = "River" }
[[badges]]
code = "metro-20"
rule = "acts"
least = 20
scenario = "metro-ride"
name = { zh = "地铁达人", en = "Metro regular" }
[[badges]]
code = "fortnight"
rule = "streak"
least = 14
name = { zh = "坚持半月", en = "A fortnight" }
[[badges]]
code = "winner"
rule = "prizes"
least = 1
name = { zh = "获奖者", en = "Prize winner" }
"""
GROVE = """
starts = {starts}
[gift]
project = "{project}"
budget = "main"
credits = 10
[[shapes]]
code = "ginkgo"
grams = 3000
name = {{ zh = "银杏", en = "Ginkgo" }}
"""


def prepare(everybody: Sequence[Somebody], *, first: date) -> None:
    """Question banks and quizzes everywhere; a grove in the city, where everybody plants a tree."""
    at = day_start(first) - timedelta(hours=2)
    columns = ("ref", "question", "A", "B", "right", "explanation")
    rows = [(number, dict(zip(columns, one, strict=True))) for number, one in enumerate(QUESTIONS, start=2)]
    for place, _ in crowd.HOMES:
        with transaction():
            program_id = programs.by_code(place.code).id
            learning.import_questions(program_id=program_id, bank=BANK, rows=rows, by=BY, at=at)
            learning.publish(program_id=program_id, quizzes=[DAILY], by=BY, at=at)
    with transaction():
        rules = grove.parse(GROVE.format(starts=day_start(first).isoformat(), project=CITY.cause[0]))
        grove.put(program_id=programs.by_code(CITY.code).id, content=rules, actor=BY, at=at)
    for one in crowd.of(CITY.code, everybody):
        with transaction():
            if not run("select 1 from trees where person_id = %(p)s", {"p": one.person_id}):
                grove.plant(program_id=one.program_id, person_id=one.person_id, shape="ginkgo", at=at)


def quiz_day(everybody: Sequence[Somebody], *, seed: int, on: date) -> None:
    """The daily quiz: the keen know all answers, others none."""
    quizzes: dict[int, int] = {}
    for one in everybody:
        chance = random.Random(f"{seed}:quiz:{one.number}:{on}")
        if chance.random() >= one.zeal * 0.4:
            continue
        knows, at = chance.random() < 0.5 + one.zeal / 2, day_start(on) + timedelta(hours=21, seconds=one.number)
        if one.program_id not in quizzes:
            with transaction():
                quizzes[one.program_id] = _daily(one.program_id)
        with suppress(Refusal), transaction():  # answered already, by an earlier run
            attempt, _, asked, _ = learning.start(quiz_id=quizzes[one.program_id], person_id=one.person_id, at=at)
            answers = {question.id: question.right if knows else [] for question in asked}
            learning.submit(attempt_id=attempt.id, person_id=one.person_id, answers=answers, at=at)


def grow_up(everybody: Sequence[Somebody], *, at: datetime) -> None:
    """After the month: levels by what was saved, their bonuses, badges; trees that have what they need."""
    mine = [one.person_id for one in crowd.of(CITY.code, everybody)]
    program_id = programs.by_code(CITY.code).id
    with transaction():
        if not run("select 1 from level_sets where program_id = %(p)s", {"p": program_id}):
            levels.put(program_id=program_id, content=levels.parse(LEVELS), actor=BY, at=at)
    memo.forget()  # a listener may have seen a moment ago that there are no levels
    for start in range(0, len(mine), IN_ONE_GO):
        some = mine[start : start + IN_ONE_GO]
        with transaction():
            levels.refresh(program_id, some, cause="earned", at=at)
            levels.reward(program_id=program_id, person_ids=some, taken=False, at=at)
            levels.refresh_badges(program_id, some, taken=False, at=at)
            grove.ripen(program_id, some, at=at)


def _daily(program_id: int) -> int:
    return int(session().query(Quiz.id).filter_by(program_id=program_id, code=DAILY["code"]).scalar() or 0)
