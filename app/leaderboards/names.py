"""How persons read on a board: the name they chose to show or a mask.

Names beside a board are copied in Redis for a minute, so that a row with its neighbours needs no statement. Whoever
changes name or mind is taken out of the copies by a listener (``forget``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from app import cache, people
from app.db import read
from app.memo import remember

KEPT_SECONDS = 60


class Named(Protocol):
    """What names stand beside: a board or a ladder."""

    @property
    def names_key(self) -> str: ...


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


_KEEP = """
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
if redis.call('TTL', KEYS[1]) < 0 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
"""


def beside(
    board: Named, person_ids: Iterable[int], copied: Mapping[int, bytes], render: Callable[[Seen], bytes]
) -> Mapping[int, bytes]:
    """How others see the persons beside a board, as ``render`` writes it: from the copies that came with the ranks, the
    rest with one statement, which are copied for the next."""
    return filled(board, person_ids, copied, lambda ids: {one: render(found) for one, found in seen(ids).items()})


def filled(
    board: Named, ids: Iterable[int], copied: Mapping[int, bytes], load: Callable[[list[int]], Mapping[int, bytes]]
) -> Mapping[int, bytes]:
    """The copies beside a board, with those that lack loaded, and copied for the next."""
    missing = [one for one in ids if one not in copied]
    if not missing:
        return copied
    fresh = load(missing)
    pairs = [part for number, one in fresh.items() for part in (number, one)]
    with suppress(*cache.REDIS_DOWN):
        cache.call("EVAL", _KEEP, 1, board.names_key, KEPT_SECONDS, *pairs)
    return {**copied, **fresh}
