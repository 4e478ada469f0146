"""The home page: what happened today, what is there, what waits and until when, and what to do next. Reads only."""

from app.home.queries import Next, Today, Waiting, today, waiting
from app.home.steps import next_step

__all__ = ["Next", "Today", "Waiting", "next_step", "today", "waiting"]
