"""Green education: courses and articles, question banks, quizzes whose results are explained and earn once."""

from app.learning.importing import COLUMNS, LETTERS, RowReport, import_questions, retire
from app.learning.models import Question, Quiz, QuizAttempt
from app.learning.publishing import LEARNING_INVALID, publish
from app.learning.queries import article, banks, mark_read, overview, report
from app.learning.quizzing import (
    NO_ATTEMPTS_LEFT,
    PASSED_ALREADY,
    QUIZ_CLOSED,
    READ_FIRST,
    TIME_UP,
    Result,
    look,
    start,
    submit,
)

__all__ = [
    "COLUMNS", "LEARNING_INVALID", "LETTERS", "NO_ATTEMPTS_LEFT", "PASSED_ALREADY", "QUIZ_CLOSED", "READ_FIRST",
    "TIME_UP", "Question", "Quiz", "QuizAttempt", "Result", "RowReport", "article", "banks", "import_questions", "look",
    "mark_read", "overview", "publish", "report", "retire", "start", "submit",
]  # fmt: skip
