"""A piece of life together, for books with everything in them: a team, posts, a photo, an appeal."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import text

from app import appeals, community, records, safety, snapshots, teams
from app.db import connection, transaction
from tests import world
from tests.world import AT, World

PHOTO = """
    insert into media (name, person_id, purpose, content_type, size_bytes, width, height, sha256, state, uploaded_at)
    values (:name, :person, 'photo', 'image/jpeg', 1, 1, 1, decode(md5(:name), 'hex'), 'pass', now()) returning id
"""


def photo(person_id: int, name: str) -> int:
    """A photo of a person that has passed its check."""
    return int(connection().execute(text(PHOTO), {"name": name, "person": person_id}).scalar_one())


def live(here: World) -> None:
    """Two in a team, one post seen and one that waits, one photo accepted and one that waits, an appeal granted."""
    ann, ben = here.people[1], here.people[2]
    with transaction():
        team = teams.found(program_id=here.program_id, person_id=ann, kind="team", name="队", at=AT)
        teams.join(code=team.code, person_id=ben, at=AT)
        for number, person in enumerate((ann, ben)):
            wanted = {"client_ref": "lived", "body": "骑车", "medium_ids": []}
            post, _ = community.write_post(program_id=here.program_id, person_id=person, at=AT, **wanted)
            if number == 0:
                check = next(one for one in safety.waiting() if (one.kind, one.object_id) == ("post", post.id))
                safety.decide(check_id=check.id, verdict="pass", by="wechat", at=AT)
                community.post_passed(post.id, "骑车")
        sent = [
            snapshots.send(
                program_id=here.program_id, scenario="clean-plate", person_id=person, client_ref="lived",
                medium_id=photo(person, f"lived-{person}"), fingerprint=number << 20, note="", at=AT,
                taken_at=AT - timedelta(hours=1),
            )[0]
            for number, person in enumerate((ann, ben))
        ]  # fmt: skip
        snapshots.accept(snapshot_id=sent[0].id, by="operator:lin", at=AT)
    _appeal(here, ben)


def _appeal(here: World, person: int) -> None:
    hours = timedelta(hours=60)
    with transaction():
        ride = world.take(here, person, reference="appealed", occurred_at=AT - hours, ended_at=AT - hours)
        records.reverse(record_id=ride.record_id or 0, code="error", words="", by="operator:ops", at=AT)
        appeal, _ = appeals.ask(object_id=ride.record_id or 0, person_id=person, words="x", at=AT)
        appeals.answer(appeal_id=appeal, granted=True, words="x", by="operator:wu", at=AT)
