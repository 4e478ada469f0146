"""Write and remove posts and comments, like, block. Words are seen by others when their check has passed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from app import media, notices, programs, safety
from app.community import queries
from app.community.models import Block, Comment, Like, Post
from app.db import connection, run, session
from app.errors import IDEMPOTENCY_CONFLICT, INVALID_FIELD, NOT_FOUND, TOO_MANY, Kind, declare

POST_TEXT, COMMENT_TEXT = "post", "comment"
LONGEST_POST, LONGEST_COMMENT, MOST_PICTURES = 5_000, 500, 9
POSTS_A_DAY, COMMENTS_A_DAY = 30, 300

POST_NOT_SHOWN = declare(
    "post_not_shown",
    Kind.CONFLICT,
    zh="该帖子尚未展示或已不再展示，暂时不能互动。",
    en="This post is not shown to others yet, or no longer; nothing can be added to it.",
)
OWN_POST = declare(
    "own_post",
    Kind.CONFLICT,
    zh="这是您自己的内容。如不想展示，请直接删除。",
    en="This is your own. If you don't want it shown, remove it.",
)


def write_post(
    *, program_id: int, person_id: int, client_ref: str, body: str, medium_ids: Sequence[int], at: datetime
) -> tuple[Post, bool]:
    """Write a post; answers it and whether it is new (the same reference and content again is the first).

    Raises NOT_A_MEMBER, IDEMPOTENCY_CONFLICT, INVALID_FIELD for pictures that aren't the author's, TOO_MANY.
    """
    _member(program_id, person_id)
    digest = _digest(program_id, body, *medium_ids)
    before = _again(Post, person_id, client_ref, digest)
    if before is not None:
        return before, False
    _not_too_many(Post, person_id, POSTS_A_DAY, at)
    for medium_id in medium_ids:
        found = media.shown(medium_id, person_id)
        if found is None or found.purpose != "photo":
            expected = "应为您上传的照片编号|must be ids of photos that you uploaded"
            raise INVALID_FIELD(fields=[{"field": "pictures", "expected": expected}])
    made = Post(
        program_id=program_id, person_id=person_id, client_ref=client_ref, body=body, body_hash=digest,
        medium_ids=list(dict.fromkeys(medium_ids)), state="checking" if body else "shown", created_at=at,
    )  # fmt: skip
    session().add(made)
    session().flush()
    if body:
        safety.ask(kind=POST_TEXT, object_id=made.id, person_id=person_id, body=body, at=at)
    return made, True


def write_comment(*, post_id: int, person_id: int, client_ref: str, body: str, at: datetime) -> tuple[Comment, bool]:
    """Say something to a post that is shown. Raises NOT_FOUND, POST_NOT_SHOWN, IDEMPOTENCY_CONFLICT, TOO_MANY."""
    post = seen_post(post_id, person_id)
    digest = _digest(post_id, body)
    before = _again(Comment, person_id, client_ref, digest)
    if before is not None:
        return before, False
    if not post.seen:
        raise POST_NOT_SHOWN()
    _not_too_many(Comment, person_id, COMMENTS_A_DAY, at)
    made = Comment(
        post_id=post_id, program_id=post.program_id, person_id=person_id, client_ref=client_ref, body=body,
        body_hash=digest, created_at=at,
    )  # fmt: skip
    session().add(made)
    session().flush()
    safety.ask(kind=COMMENT_TEXT, object_id=made.id, person_id=person_id, body=body, at=at)
    return made, True


def remove_post(*, post_id: int, person_id: int, at: datetime) -> None:
    """The author takes a post away, with its words; what was hidden stays hidden. Raises NOT_FOUND."""
    _remove(_own(Post, post_id, person_id), POST_TEXT, at)


def remove_comment(*, comment_id: int, person_id: int, at: datetime) -> None:
    """The author takes a comment away. Raises NOT_FOUND."""
    _remove(_own(Comment, comment_id, person_id), COMMENT_TEXT, at)


def like(*, post_id: int, person_id: int, at: datetime) -> None:
    """Like a post, once. Raises NOT_FOUND, POST_NOT_SHOWN."""
    if not seen_post(post_id, person_id).seen:
        raise POST_NOT_SHOWN()
    row = {"post_id": post_id, "person_id": person_id, "created_at": at}
    connection().execute(insert(Like).values(row).on_conflict_do_nothing())


def unlike(*, post_id: int, person_id: int) -> None:
    """Like it no longer; again changes nothing. Raises NOT_FOUND."""
    seen_post(post_id, person_id)
    connection().execute(delete(Like).where(Like.post_id == post_id, Like.person_id == person_id))


def block(*, person_id: int, post_id: int | None, comment_id: int | None, at: datetime) -> int:
    """Don't meet the author of a post or comment any more; answers the block's id, the same when it stands already.

    Raises NOT_FOUND, OWN_POST.
    """
    model, object_id = (Post, post_id) if post_id is not None else (Comment, comment_id or 0)
    standing = _blocked_author(model, object_id, person_id)
    if standing is not None:
        return standing
    seen = seen_post(object_id, person_id) if model is Post else seen_comment(object_id, person_id)
    author = int(seen.person_id)
    if author == person_id:
        raise OWN_POST()
    row = {"person_id": person_id, "blocked_id": author, "created_at": at}
    connection().execute(insert(Block).values(row).on_conflict_do_nothing())
    mine = select(Block.id).where(Block.person_id == person_id, Block.blocked_id == author)
    return int(connection().execute(mine).scalar_one())


def unblock(*, block_id: int, person_id: int) -> None:
    """Meet again. Raises NOT_FOUND for a block that is not the person's."""
    gone = delete(Block).where(Block.id == block_id, Block.person_id == person_id).returning(Block.id)
    if connection().execute(gone).first() is None:
        raise NOT_FOUND(block=str(block_id))


def post_passed(post_id: int, body: str) -> None:
    """WeChat found nothing wrong with the words of a post."""
    _checked(Post, post_id, "shown")


def comment_passed(comment_id: int, body: str) -> None:
    """A comment is shown, and the post's author is told once."""
    if not _checked(Comment, comment_id, "shown"):
        return
    found = session().get_one(Comment, comment_id)
    post = session().get_one(Post, found.post_id)
    if post.person_id != found.person_id and not queries.apart(post.person_id, found.person_id):
        notices.tell(
            key=f"comment:{comment_id}", person_id=post.person_id, program_id=post.program_id, kind="comment.new",
            zh="您的帖子有新评论。", en="Somebody commented on your post.", at=found.created_at,
            details={"post_id": str(post.id), "comment_id": str(comment_id)},
        )  # fmt: skip


def post_refused(post_id: int) -> None:
    """The check found something; the author was told by it."""
    _checked(Post, post_id, "refused")


def comment_refused(comment_id: int) -> None:
    """The same for a comment."""
    _checked(Comment, comment_id, "refused")


def seen_post(post_id: int, person_id: int) -> Any:
    """A post that this person may see. Raises NOT_FOUND: also for strangers of the program and between the blocked."""
    found = queries.post(post_id, person_id)
    if found is None:
        raise NOT_FOUND(post=str(post_id))
    return found


def seen_comment(comment_id: int, person_id: int) -> Any:
    """A comment that this person may see. Raises NOT_FOUND."""
    found = queries.comment(comment_id, person_id)
    if found is None:
        raise NOT_FOUND(comment=str(comment_id))
    return found


def _member(program_id: int, person_id: int) -> None:
    query = (
        "select 1 from memberships m join persons p on p.id = m.person_id and p.state = 'active'"
        " where m.program_id = %(program)s and m.person_id = %(person)s and m.state = 'active'"
    )
    if not run(query, {"program": program_id, "person": person_id}):
        raise programs.NOT_A_MEMBER(program=programs.known_by_id(program_id).code)


def _blocked_author(model: Any, object_id: int, person_id: int) -> int | None:
    """The person's block of an author whose words are out of sight by it."""
    query = select(Block.id).join(model, model.person_id == Block.blocked_id)
    return session().scalars(query.where(model.id == object_id, Block.person_id == person_id)).first()


def _not_too_many(model: Any, person_id: int, most: int, at: datetime) -> None:
    lately = (model.person_id == person_id, model.created_at > at - timedelta(days=1), model.created_at <= at)
    if (session().scalar(select(func.count()).select_from(model).where(*lately)) or 0) >= most:
        raise TOO_MANY(retry_after=3_600, limit=model.__tablename__)


def _again(model: Any, person_id: int, client_ref: str, digest: bytes) -> Any:
    query = select(model).where(model.person_id == person_id, model.client_ref == client_ref)
    found = session().scalars(query).first()
    if found is not None and bytes(found.body_hash) != digest:
        raise IDEMPOTENCY_CONFLICT(client_ref=client_ref)
    return found


def _own(model: Any, object_id: int, person_id: int) -> Any:
    found = session().get(model, object_id, with_for_update=True, populate_existing=True)
    if found is None or found.person_id != person_id or found.state == "removed":
        raise NOT_FOUND(object=str(object_id))
    return found


def _remove(found: Any, kind: str, at: datetime) -> None:
    safety.withdraw(kind=kind, object_id=found.id, at=at)
    found.body, found.state, found.decided_at = "", "removed", at
    session().flush()


def _checked(model: Any, object_id: int, state: str) -> bool:
    """From checking to shown or refused; what was held, hidden or removed meanwhile stays so."""
    found = session().get(model, object_id, with_for_update=True, populate_existing=True)
    if found is None or found.state != "checking":
        return False
    found.state = state
    session().flush()
    return True


def _digest(*parts: Any) -> bytes:
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
