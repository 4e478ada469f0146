"""What is to be said to WeChat, or was heard from it, over time: checks, messages, pushed events. A sweep finds what
the queue has lost: what is due stands in the tables, not in the queue."""

from __future__ import annotations

import time
from datetime import timedelta
from functools import partial

from flask import current_app

from app import inbox, media, records, redemptions, safety, scenes
from app.clock import now
from app.db import run, transaction
from app.media import files
from app.messages import queue_bulk
from courier import messages, push
from courier import safety as courier_safety

SWEEP_SECONDS = 45.0
RAW_KEPT = timedelta(days=7)
VERDICTS_KEPT = timedelta(days=7)


def check_text(check_id: int) -> None:
    """Have a text checked."""
    courier_safety.check_text(check_id)


def check_medium(medium_id: int) -> None:
    """Have a picture checked."""
    courier_safety.check_medium(medium_id)


def tell(notice_id: int) -> None:
    """Tell a notice by a subscribe message."""
    messages.tell(notice_id)


def heard(appid: str, message_key: str) -> None:
    """Do what a pushed event asks for."""
    push.work(appid, message_key)


def sweep() -> int:
    """Everything of this kind that is due, for most of a minute: a WeChat that hangs must not hold it for longer.

    Answers how much it was; what is left is due in the next one.
    """
    at, until, done = now(), time.monotonic() + SWEEP_SECONDS, 0
    with transaction():
        texts, pictures = safety.due(at), media.due(at)
    work = [partial(courier_safety.check_text, check_id) for check_id in texts]
    work += [partial(courier_safety.check_medium, medium_id) for medium_id in pictures]
    for one in work:
        if time.monotonic() >= until:
            return done
        one()
        done += 1
    return done + messages.sweep(at, until=until)


def tell_people() -> int:
    """Notices that no act of writing makes by itself: held records, codes that end soon."""
    with transaction():
        return records.tell_held(at=now()) + redemptions.remind(at=now()) + queue_bulk(at=now())


def purge() -> int:
    """Forget what has had its time: raw pushes, verdicts, removed pictures with their files, old code images."""
    at, folder = now(), current_app.config["SETTINGS"].media_folder
    with transaction():
        count = inbox.thin(before=at - RAW_KEPT) + scenes.purge(at=at)
        run("delete from media_verdicts where received_at < %(before)s", {"before": at - VERDICTS_KEPT})
        gone = media.gone()
    for one in gone:
        files.delete(folder, one.name)
    with transaction():
        run("delete from media where id = any (%(ids)s::bigint[])", {"ids": [one.id for one in gone]})
    return count + len(gone)
