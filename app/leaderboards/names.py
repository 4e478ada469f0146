"""How persons read on a board: the name they chose to show or a mask, remembered for a moment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from app import people
from app.db import read
from app.memo import remember


@dataclass(frozen=True, slots=True)
class Seen:
    """What others see of a person. The avatar is shown with the name or not at all."""

    name: str
    avatar_url: str | None


_PERSONS = (
    "select id, nickname, pseudonym, state, show_name, avatar_url from persons where id = any (%(ids)s::bigint[])"
)


def seen(person_ids: Iterable[int]) -> dict[int, Seen]:
    """How others see these persons; those not remembered are read with one statement."""
    wanted = list(dict.fromkeys(person_ids))
    loaded: dict[int, Seen] = {}

    def load(person_id: int) -> Seen:
        if not loaded:
            for row in read(_PERSONS, {"ids": wanted}):
                avatar = row.avatar_url if row.show_name and row.state == "active" else None
                loaded[row.id] = Seen(people.shown_name(row), avatar)
        return loaded[person_id]

    return {person_id: remember(("seen", person_id), partial(load, person_id)) for person_id in wanted}
