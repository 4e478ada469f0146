"""Real threads that start together, each with an application context and a connection of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from app.db import db, retrying, transaction
from app.errors import Refusal

T = TypeVar("T")
START_SECONDS = 30


def at_once(app: Any, *commands: Callable[[], T]) -> list[T | Refusal]:
    """Run commands at the same moment, each as one retried transaction like an edge does; answers in their order.

    A refusal is an answer. Any other exception is raised here.
    """
    barrier = threading.Barrier(len(commands))
    answers: list[Any] = [None] * len(commands)

    def client(number: int) -> None:
        with app.app_context():
            try:
                db.session.connection()
                db.session.rollback()
                barrier.wait(START_SECONDS)
                answers[number] = _as_an_edge(commands[number])
            except Refusal as refusal:
                answers[number] = refusal
            except BaseException as error:
                answers[number] = error
            finally:
                db.session.remove()

    threads = [threading.Thread(target=client, args=(number,), daemon=True) for number in range(len(commands))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, Refusal):
            raise answer
    return answers


def _as_an_edge(command: Callable[[], T]) -> T:
    def once() -> T:
        with transaction():
            return command()

    return retrying(once)


def codes(answers: list[Any]) -> list[str]:
    """The refusals among answers, by code."""
    return [answer.code for answer in answers if isinstance(answer, Refusal)]


def fine(answers: list[Any]) -> list[Any]:
    """The answers that are no refusals."""
    return [answer for answer in answers if not isinstance(answer, Refusal)]
