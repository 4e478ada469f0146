"""Take a quiz: questions are drawn and pinned at the start, the first answers count, by our clock; a round earns once.

Locks in one order: the person's wallets, then the attempt; what ``records.take`` locks afterwards is that person's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, text

from app import clock, funding, programs, records, sources
from app.db import connection, session
from app.errors import INVALID_FIELD, NOT_FOUND, Kind, declare
from app.learning.models import Question, Quiz, QuizAttempt
from app.records import Act, Taken

LATE = timedelta(seconds=5)
"""The way to us: an answer that left in time counts."""

QUIZ_CLOSED = declare(
    "quiz_closed",
    Kind.CONFLICT,
    zh="答题现在没有开放。",
    en="This quiz is not open now.",
)
NO_ATTEMPTS_LEFT = declare(
    "no_attempts_left",
    Kind.CONFLICT,
    zh="作答次数已用完，每日答题明天再来。",
    en="No attempts are left. A daily quiz is there again tomorrow.",
)
PASSED_ALREADY = declare(
    "passed_already",
    Kind.CONFLICT,
    zh="您已通过这次答题。",
    en="You have passed this quiz already.",
)
TIME_UP = declare(
    "time_up",
    Kind.CONFLICT,
    zh="作答时间已到，本次不计分。",
    en="The time for answering is over, so this attempt does not count.",
)
READ_FIRST = declare(
    "read_first",
    Kind.CONFLICT,
    zh="请先读完课程的全部文章，再参加答题。还未读的见 details。",
    en="Read all articles of the course first; `details` names those that are left.",
)


@dataclass(frozen=True, slots=True)
class Result:
    """A submitted attempt. ``fresh`` is False where it had been answered before; ``taken`` is what it earned now."""

    attempt: QuizAttempt
    quiz: Quiz
    questions: list[Question]
    fresh: bool
    taken: Taken | None


def start(*, quiz_id: int, person_id: int, at: datetime) -> tuple[QuizAttempt, Quiz, list[Question], bool]:
    """Begin an attempt, or go on with the one that runs; answers whether it is new.

    Raises NOT_FOUND (also outside of the person's programs), QUIZ_CLOSED, READ_FIRST, PASSED_ALREADY, NO_ATTEMPTS_LEFT.
    """
    quiz = session().get(Quiz, quiz_id)
    if quiz is None or not programs.is_member(quiz.program_id, person_id):
        raise NOT_FOUND(quiz=str(quiz_id))
    funding.lock_wallets([(person_id, quiz.program_id)], at=at)
    turn = round_of(quiz, at)
    query = select(QuizAttempt).where(
        QuizAttempt.quiz_id == quiz_id, QuizAttempt.person_id == person_id, QuizAttempt.round == turn
    )  # fmt: skip
    before = list(session().scalars(query.order_by(QuizAttempt.number)))
    running = next((one for one in before if one.submitted_at is None and at <= one.due_at), None)
    if running is not None:
        return running, quiz, questions_of(running), False
    _may_begin(quiz, person_id, before, at)
    drawn = _draw(quiz, person_id, turn, len(before) + 1)
    made = QuizAttempt(
        quiz_id=quiz_id, person_id=person_id, round=turn, number=len(before) + 1, day=clock.business_day(at),
        question_ids=[question.id for question in drawn], started_at=at, due_at=at + timedelta(seconds=quiz.seconds),
    )  # fmt: skip
    session().add(made)
    session().flush()
    return made, quiz, drawn, True


def submit(*, attempt_id: int, person_id: int, answers: Mapping[int, Collection[int]], at: datetime) -> Result:
    """Answer all questions at once; the first answers count, whoever sends others is shown the first.

    ``answers``: places of the chosen options by question; a question that is left out is wrong. Raises NOT_FOUND,
    TIME_UP, INVALID_FIELD for a question or option that was not asked.
    """
    known = session().get(QuizAttempt, attempt_id)
    if known is None or known.person_id != person_id:
        raise NOT_FOUND(attempt=str(attempt_id))
    quiz = session().get_one(Quiz, known.quiz_id)
    funding.lock_wallets([(person_id, quiz.program_id)], at=at)
    attempt = session().get_one(QuizAttempt, attempt_id, with_for_update=True, populate_existing=True)
    asked = questions_of(attempt)
    if attempt.submitted_at is not None:
        return Result(attempt, quiz, asked, False, None)
    _answerable(asked, answers)
    if at > attempt.due_at + LATE:
        raise TIME_UP(due_at=attempt.due_at.isoformat())
    right = sum(set(answers.get(question.id, ())) == set(question.right) for question in asked)
    attempt.submitted_at, attempt.right_count, attempt.passed = at, right, right >= quiz.passes
    attempt.answers = {str(question.id): sorted(answers.get(question.id, ())) for question in asked}
    taken = _earn(quiz, attempt, right, at)
    if taken is not None:
        attempt.record_id = taken.record_id
    session().flush()
    return Result(attempt, quiz, asked, True, taken)


def look(*, attempt_id: int, person_id: int) -> Result:
    """An attempt again. Raises NOT_FOUND."""
    attempt = session().get(QuizAttempt, attempt_id)
    if attempt is None or attempt.person_id != person_id:
        raise NOT_FOUND(attempt=str(attempt_id))
    return Result(attempt, session().get_one(Quiz, attempt.quiz_id), questions_of(attempt), False, None)


def round_of(quiz: Quiz, at: datetime) -> str:
    """The round that an instant belongs to."""
    return clock.business_day(at).isoformat() if quiz.kind == "daily" else "once"


def questions_of(attempt: QuizAttempt) -> list[Question]:
    """The very versions that were drawn, in their order."""
    query = select(Question).where(Question.id.in_(attempt.question_ids))
    found = {question.id: question for question in session().scalars(query)}
    return [found[question_id] for question_id in attempt.question_ids]


_UNREAD = """
    select a.code from articles a where a.course_id = :course and a.state = 'published'
      and not exists (select from article_reads r where r.article_id = a.id and r.person_id = :person)
    order by a.position, a.id
"""


def _may_begin(quiz: Quiz, person_id: int, before: Sequence[QuizAttempt], at: datetime) -> None:
    if quiz.state != "published" or at < quiz.opens_at or (quiz.closes_at is not None and at >= quiz.closes_at):
        raise QUIZ_CLOSED()
    if quiz.course_id is not None:
        values = {"course": quiz.course_id, "person": person_id}
        left = list(connection().execute(text(_UNREAD), values).scalars())
        if left:
            raise READ_FIRST(articles=left)
    if quiz.kind != "daily" and any(one.passed for one in before):
        raise PASSED_ALREADY()
    if len(before) >= quiz.attempts:
        raise NO_ATTEMPTS_LEFT(attempts=quiz.attempts)


def _draw(quiz: Quiz, person_id: int, turn: str, number: int) -> list[Question]:
    """By a hash of who, when and which try: nobody chooses, and the same is drawn again from the same data."""
    query = select(Question).where(
        Question.program_id == quiz.program_id, Question.bank == quiz.bank, Question.state == "active"
    )  # fmt: skip

    def place(question: Question) -> bytes:
        return hashlib.sha256(f"{quiz.code}:{person_id}:{turn}:{number}:{question.ref}".encode()).digest()

    drawn = sorted(session().scalars(query), key=place)[: quiz.draws]
    if not drawn:
        raise QUIZ_CLOSED()
    return drawn


def _answerable(asked: Sequence[Question], answers: Mapping[int, Collection[int]]) -> None:
    by_id = {question.id: question for question in asked}
    for question_id, chosen in answers.items():
        question = by_id.get(question_id)
        if question is None or not all(0 <= place < len(question.options) for place in chosen):
            expected = "本次题目及其选项|a question of this attempt and its options"
            raise INVALID_FIELD(fields=[{"field": "answers", "expected": expected}])


def _earn(quiz: Quiz, attempt: QuizAttempt, right: int, at: datetime) -> Taken | None:
    """A daily quiz earns by its right answers; others by those of the attempt that passes."""
    if right == 0 or (quiz.kind != "daily" and not attempt.passed):
        return None
    source = sources.register(program_id=quiz.program_id, code="system", kind="system", name="系统")
    act = Act(
        program_id=quiz.program_id,
        scenario=quiz.scenario,
        person_id=attempt.person_id,
        source_id=source.id,
        reference=f"quiz:{quiz.id}:{attempt.person_id}:{attempt.round}",
        facts={"answers": right},
        occurred_at=at if quiz.kind != "daily" else min(at, _end_of(attempt)),
    )
    taken = records.take(act, at=at)
    if taken.refusal is not None:
        raise taken.refusal
    return taken


def _end_of(attempt: QuizAttempt) -> datetime:
    """The last instant of the attempt's day: begun before midnight, it belongs to that day."""
    ends = clock.period("day", attempt.day).ends
    return (ends or attempt.started_at) - timedelta(microseconds=1)
