"""Courses, articles and quizzes from a manager's file; each is brought to its definition by its code."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from app import audit, scenarios
from app.db import session
from app.errors import Kind, declare
from app.learning.models import Article, Course, Question, Quiz

_CODE = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
LEARNING_INVALID = declare(
    "learning_invalid",
    Kind.INVALID,
    zh="课程、文章或答题的设置有误，请按 details 的说明修改。",
    en="A course, article or quiz is not right; `details` says what to mend.",
)
_COURSE = {"code", "title", "title_en", "text_zh", "text_en", "state"}
_ARTICLE = {"code", "course", "position", "title", "title_en", "body_zh", "body_en", "source", "minutes", "state"}
_QUIZ = {"code", "kind", "course", "title", "title_en", "bank", "scenario", "draws", "passes", "seconds", "attempts",
         "opens_at", "closes_at", "state"}  # fmt: skip


def publish(
    *,
    program_id: int,
    courses: Sequence[Mapping[str, Any]] = (),
    articles: Sequence[Mapping[str, Any]] = (),
    quizzes: Sequence[Mapping[str, Any]] = (),
    by: str,
    at: datetime,
) -> dict[str, int]:
    """Publish or change; all of it or nothing. Answers how many of each. Raises LEARNING_INVALID."""
    problems: list[str] = []
    for content in courses:
        problems += _course(program_id, content)
    for content in articles:
        problems += _article(program_id, content)
    for content in quizzes:
        problems += _quiz(program_id, content, at)
    if problems:
        raise LEARNING_INVALID(problems=problems)
    counts = {"courses": len(courses), "articles": len(articles), "quizzes": len(quizzes)}
    audit.write(
        actor=by, action="learning.publish", object_type="program", object_id=program_id, at=at, program_id=program_id,
        after=counts,
    )  # fmt: skip
    return counts


def course_of(program_id: int, code: str) -> Course | None:
    return session().scalars(select(Course).where(Course.program_id == program_id, Course.code == code)).first()


def _course(program_id: int, content: Mapping[str, Any]) -> list[str]:
    problems = _common("course", content, _COURSE, ("code", "title"))
    if not problems:
        found = course_of(program_id, content["code"]) or Course(program_id=program_id, code=content["code"])
        _bring(found, content, {"title_en": "", "text_zh": "", "text_en": "", "state": "published"})
    return problems


def _article(program_id: int, content: Mapping[str, Any]) -> list[str]:
    problems = _common("article", content, _ARTICLE, ("code", "title", "body_zh", "source", "minutes"))
    course = _named_course(program_id, content, problems)
    if not problems and not _whole(content["minutes"], 1, 240):
        problems.append(f"article {content['code']}: minutes from 1 to 240")
    if not problems:
        query = select(Article).where(Article.program_id == program_id, Article.code == content["code"])
        found = session().scalars(query).first() or Article(program_id=program_id, code=content["code"])
        found.course_id = course.id if course else None
        _bring(found, content, {"title_en": "", "body_en": "", "position": 1, "state": "published"})
    return problems


def _quiz(program_id: int, content: Mapping[str, Any], at: datetime) -> list[str]:
    problems = _common("quiz", content, _QUIZ, ("code", "kind", "title", "bank", "draws"))
    course = _named_course(program_id, content, problems)
    if problems:
        return problems
    content = {"passes": content["draws"], "seconds": 300, "attempts": 1, "scenario": "quiz", **content}
    problems = [f"quiz {content['code']}: {problem}" for problem in _quiz_problems(program_id, content, course)]
    if not problems:
        query = select(Quiz).where(Quiz.program_id == program_id, Quiz.code == content["code"])
        found = session().scalars(query).first() or Quiz(program_id=program_id, code=content["code"], opens_at=at)
        found.course_id = course.id if course else None
        _bring(found, content, {"title_en": "", "closes_at": None, "state": "published"})
    return problems


def _quiz_problems(program_id: int, content: Mapping[str, Any], course: Course | None) -> list[str]:
    found = []
    if content["kind"] not in ("daily", "open", "course") or (content["kind"] == "course") != (course is not None):
        found.append("kind: daily, open, or course with the code of one")
    limits = {"draws": (1, 50), "passes": (1, 50), "seconds": (10, 7200), "attempts": (1, 20)}
    found += [f"{name}: {least} to {most}" for name, (least, most) in limits.items()
              if not _whole(content[name], least, most)]  # fmt: skip
    if not found and content["passes"] > content["draws"]:
        found.append("passes: at most draws")
    if content["kind"] == "daily" and content["attempts"] != 1:
        found.append("attempts: a daily quiz has one")
    offered = {one.code: one for one in scenarios.listing(program_id)}
    if content["scenario"] not in offered or "system" not in offered[content["scenario"]].source_kinds:
        found.append("scenario: one that the program offers and that takes source kind `system`")
    there = select(func.count()).where(
        Question.program_id == program_id, Question.bank == content["bank"], Question.state == "active"
    )  # fmt: skip
    if not found and (session().scalar(there) or 0) < content["draws"]:
        found.append("draws: more than the bank holds")
    return found


def _named_course(program_id: int, content: Mapping[str, Any], problems: list[str]) -> Course | None:
    code = content.get("course")
    if code is None or problems:
        return None
    found = course_of(program_id, code)
    if found is None:
        problems.append(f"{content.get('code')}: no course {code!r}")
    return found


def _common(what: str, content: Mapping[str, Any], known: set[str], needed: Sequence[str]) -> list[str]:
    name = content.get("code")
    found = [f"{what} {name}: unknown {key}" for key in sorted(set(content) - known)]
    found += [f"{what} {name}: {key} is missing" for key in needed if content.get(key) in (None, "")]
    if isinstance(name, str) and not _CODE.fullmatch(name):
        found.append(f"{what} {name}: a code is lower-case letters, digits, hyphens")
    if content.get("state", "published") not in ("published", "retired"):
        found.append(f"{what} {name}: state is published or retired")
    return found


def _bring(found: Any, content: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    for name, value in {**defaults, **content}.items():
        if name not in ("course", "code"):
            setattr(found, name, value)
    session().add(found)
    session().flush()


def _whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
