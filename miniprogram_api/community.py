"""The community of a program: posts with photos, comments, likes, reports, and whom I don't want to meet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from apiflask import APIBlueprint
from flask import Response, current_app
from marshmallow import fields

from app import appeals, community, people, programs
from app.clock import now
from app.db import retrying, transaction
from app.errors import IDEMPOTENCY_CONFLICT, INVALID_FIELD, NOT_FOUND, TOO_MANY
from app.people import Login
from courier import safety
from edge import schemas
from edge.answers import answer, nothing
from edge.language import pick
from edge.paging import PageQuery, decode, page, paged
from edge.routes import asks, gives, refuses, takes
from miniprogram_api.appeals import AppealShown, Objection, asked
from miniprogram_api.guards import citizen
from miniprogram_api.show import avatar, when

routes = APIBlueprint("community", __name__, tag="Community")
OBJECTIONS = (NOT_FOUND, appeals.NOTHING_TO_APPEAL, appeals.APPEAL_TOO_LATE, appeals.APPEAL_DECIDED)


class Prose(schemas.Text):
    """Text as people paste it: marks that only steer the direction of writing are left out, not refused. Arabic and
    Hebrew need none of them to read rightly in a line of their own."""

    _invisible = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        cleaned = self._invisible.sub("", value) if isinstance(value, str) else value
        return super()._deserialize(cleaned, attr, data, **kwargs)


class WritePost(schemas.Request):
    client_ref = schemas.reference(required=True, metadata={"description": "my own reference; once per post"})
    body = Prose(longest=community.LONGEST_POST, shortest=0, lines=True, load_default="")
    pictures = schemas.Items(
        schemas.Id(), longest=community.MOST_PICTURES, load_default=[],
        metadata={"description": "ids of `POST /media` with the purpose photo"},
    )  # fmt: skip


class WriteComment(schemas.Request):
    client_ref = schemas.reference(required=True)
    body = Prose(longest=community.LONGEST_COMMENT, lines=True, required=True)


class Complaint(schemas.Request):
    reason = schemas.OneOf(*community.REASONS, required=True)
    words = Prose(longest=500, shortest=0, lines=True, load_default="")


class BlockAuthor(schemas.Request):
    post_id = schemas.Id(load_default=None, metadata={"description": "or `comment_id`: whose author it is"})
    comment_id = schemas.Id(load_default=None)


class PictureOf(schemas.Answer):
    url = fields.String(required=True)
    state = fields.String(required=True, metadata={"description": "others see it when it is pass"})
    width = fields.Integer(required=True)
    height = fields.Integer(required=True)


class CommentShown(schemas.Answer):
    id = fields.String(required=True)
    author = fields.String(required=True, metadata={"description": "masked unless the person shows it"})
    avatar_url = fields.String(required=True, allow_none=True)
    body = fields.String(required=True)
    mine = fields.Boolean(required=True)
    state = fields.String(required=True, metadata={"description": ", ".join(community.STATES)})
    reason = fields.String(required=True, metadata={"description": "why it is not shown, for its author"})
    created_at = fields.String(required=True)


class PostShown(CommentShown):
    pictures = fields.List(fields.Nested(PictureOf), required=True)
    seen = fields.Boolean(required=True, metadata={"description": "whether others see it: words and pictures passed"})
    likes = fields.Integer(required=True)
    liked = fields.Boolean(required=True)
    comments = fields.Integer(required=True)


PostPage = paged("PostPage", PostShown)


class BlockShown(schemas.Answer):
    id = fields.String(required=True)
    name = fields.String(required=True)
    created_at = fields.String(required=True)


class Blocks(schemas.Answer):
    items = fields.List(fields.Nested(BlockShown), required=True)


@routes.get("/programs/<code:program>/posts")
@citizen()
@asks(PageQuery)
@gives(PostPage)
@refuses(NOT_FOUND, programs.NOT_A_MEMBER)
def get_feed(login: Login, query: dict[str, Any], program: str) -> Response:
    """The posts of a program

    Newest first, for its members: what has passed its checks, without those I don't meet.
    """
    known = programs.known(program)
    if not programs.is_member(known.id, login.person_id):
        raise programs.NOT_A_MEMBER(program=program)
    before = decode(query["cursor"], 1)
    rows = community.feed(known.id, login.person_id, before=before[0] if before else None, limit=query["limit"] + 1)
    return answer(_posts(rows, query["limit"]))


@routes.get("/posts/mine")
@citizen()
@asks(PageQuery)
@gives(PostPage)
def get_mine(login: Login, query: dict[str, Any]) -> Response:
    """My posts

    In any state, newest first.
    """
    before = decode(query["cursor"], 1)
    rows = community.mine(login.person_id, before=before[0] if before else None, limit=query["limit"] + 1)
    return answer(_posts(rows, query["limit"]))


@routes.post("/programs/<code:program>/posts")
@citizen()
@takes(WritePost, example={"client_ref": "post-1", "body": "今天骑车上班 🚲", "pictures": []})
@gives(PostShown, status=201)
@refuses(NOT_FOUND, programs.NOT_A_MEMBER, IDEMPOTENCY_CONFLICT, INVALID_FIELD, TOO_MANY)
def write_post(login: Login, body: dict[str, Any], program: str) -> Response:
    """Write a post

    Up to 5,000 characters and nine photos. Others see it when its words and all its photos have passed their checks.
    """
    if not body["body"] and not body["pictures"]:
        expected = pick("文字与图片至少填写一项|a post has words or pictures")
        raise INVALID_FIELD(fields=[{"field": "body", "expected": expected}])
    known = programs.known(program)

    def command() -> tuple[dict[str, Any], bool]:
        with transaction():
            made, fresh = community.write_post(
                program_id=known.id, person_id=login.person_id, client_ref=body["client_ref"], body=body["body"],
                medium_ids=body["pictures"], at=now(),
            )  # fmt: skip
            return _post(community.seen_post(made.id, login.person_id)), fresh

    shown, fresh = retrying(command)
    return answer(shown, 201 if fresh else 200)


@routes.get("/posts/<id:post_id>")
@citizen()
@gives(PostShown)
@refuses(NOT_FOUND)
def get_post(login: Login, post_id: int) -> Response:
    """One post"""
    return answer(_post(community.seen_post(post_id, login.person_id)))


@routes.delete("/posts/<id:post_id>")
@citizen()
@gives(None, status=204)
@refuses(NOT_FOUND)
def remove_post(login: Login, post_id: int) -> Response:
    """Remove my post"""
    with transaction():
        community.remove_post(post_id=post_id, person_id=login.person_id, at=now())
    return nothing()


@routes.put("/posts/<id:post_id>/like")
@citizen()
@gives(None, status=204)
@refuses(NOT_FOUND, community.POST_NOT_SHOWN)
def like(login: Login, post_id: int) -> Response:
    """Like a post

    Again changes nothing.
    """
    with transaction():
        community.like(post_id=post_id, person_id=login.person_id, at=now())
    return nothing()


@routes.delete("/posts/<id:post_id>/like")
@citizen()
@gives(None, status=204)
@refuses(NOT_FOUND)
def unlike(login: Login, post_id: int) -> Response:
    """Like it no longer"""
    with transaction():
        community.unlike(post_id=post_id, person_id=login.person_id)
    return nothing()


@routes.get("/posts/<id:post_id>/comments")
@citizen()
@asks(PageQuery)
@gives(paged("CommentPage", CommentShown))
@refuses(NOT_FOUND)
def get_comments(login: Login, query: dict[str, Any], post_id: int) -> Response:
    """The comments on a post

    Oldest first; my own in any state.
    """
    community.seen_post(post_id, login.person_id)
    after = decode(query["cursor"], 1)
    rows = community.comments(post_id, login.person_id, after=after[0] if after else None, limit=query["limit"] + 1)
    return answer(page(rows, query["limit"], _comment, lambda row: (row.id,)))


@routes.post("/posts/<id:post_id>/comments")
@citizen()
@takes(WriteComment, example={"client_ref": "comment-1", "body": "真棒！"})
@gives(CommentShown, status=201)
@refuses(NOT_FOUND, community.POST_NOT_SHOWN, IDEMPOTENCY_CONFLICT, TOO_MANY)
def write_comment(login: Login, body: dict[str, Any], post_id: int) -> Response:
    """Comment on a post

    Others see it when it has passed its check.
    """

    def command() -> tuple[dict[str, Any], bool]:
        with transaction():
            made, fresh = community.write_comment(post_id=post_id, person_id=login.person_id, at=now(), **body)
            return _comment(community.seen_comment(made.id, login.person_id)), fresh

    shown, fresh = retrying(command)
    return answer(shown, 201 if fresh else 200)


@routes.delete("/comments/<id:comment_id>")
@citizen()
@gives(None, status=204)
@refuses(NOT_FOUND)
def remove_comment(login: Login, comment_id: int) -> Response:
    """Remove my comment"""
    with transaction():
        community.remove_comment(comment_id=comment_id, person_id=login.person_id, at=now())
    return nothing()


@routes.post("/posts/<id:post_id>/reports")
@citizen()
@takes(Complaint, example={"reason": "spam", "words": "广告"})
@gives(None, status=204)
@refuses(NOT_FOUND, community.OWN_POST)
def report_post(login: Login, body: dict[str, Any], post_id: int) -> Response:
    """Report a post

    Once a person. Five reports hold it until a person of ours has looked. Nobody learns who reported.
    """
    with transaction():
        community.report(kind="post", object_id=post_id, person_id=login.person_id, at=now(), **body)
    return nothing()


@routes.post("/comments/<id:comment_id>/reports")
@citizen()
@takes(Complaint, example={"reason": "abuse", "words": ""})
@gives(None, status=204)
@refuses(NOT_FOUND, community.OWN_POST)
def report_comment(login: Login, body: dict[str, Any], comment_id: int) -> Response:
    """Report a comment"""
    with transaction():
        community.report(kind="comment", object_id=comment_id, person_id=login.person_id, at=now(), **body)
    return nothing()


@routes.post("/posts/<id:post_id>/appeal")
@citizen()
@takes(Objection, example={"words": "内容真实，没有违规。"})
@gives(AppealShown, status=201)
@refuses(*OBJECTIONS)
def appeal_post(login: Login, body: dict[str, Any], post_id: int) -> Response:
    """Object to a hidden post

    Somebody who didn't hide it answers within ten days.
    """
    return asked("post", post_id, login.person_id, body["words"])


@routes.post("/comments/<id:comment_id>/appeal")
@citizen()
@takes(Objection, example={"words": "只是开个玩笑。"})
@gives(AppealShown, status=201)
@refuses(*OBJECTIONS)
def appeal_comment(login: Login, body: dict[str, Any], comment_id: int) -> Response:
    """Object to a hidden comment"""
    return asked("comment", comment_id, login.person_id, body["words"])


@routes.get("/blocks")
@citizen()
@gives(Blocks)
def get_blocks(login: Login) -> Response:
    """Whom I don't meet"""
    rows = community.blocked(login.person_id)
    return answer(
        {"items": [{"id": str(x.id), "name": people.shown_name(x), "created_at": when(x.created_at)} for x in rows]}
    )


@routes.post("/blocks")
@citizen()
@takes(BlockAuthor, example={"post_id": "42"})
@gives({"type": "object"}, status=201)
@refuses(NOT_FOUND, community.OWN_POST)
def block(login: Login, body: dict[str, Any]) -> Response:
    """Don't meet an author

    Neither of us sees what the other writes. The other isn't told.
    """
    if (body["post_id"] is None) == (body["comment_id"] is None):
        expected = pick("post_id 与 comment_id 填写其一|give either post_id or comment_id")
        raise INVALID_FIELD(fields=[{"field": "post_id", "expected": expected}])
    with transaction():
        made = community.block(person_id=login.person_id, at=now(), **body)
    return answer({"id": str(made)}, 201)


@routes.delete("/blocks/<id:block_id>")
@citizen()
@gives(None, status=204)
@refuses(NOT_FOUND)
def unblock(login: Login, block_id: int) -> Response:
    """Meet again"""
    with transaction():
        community.unblock(block_id=block_id, person_id=login.person_id)
    return nothing()


def _posts(rows: list[Any], limit: int) -> dict[str, Any]:
    known = community.pictures([medium for row in rows for medium in row.medium_ids])
    return page(rows, limit, lambda row: _post(row, known), lambda row: (row.id,))


def _post(row: Any, known: dict[int, Any] | None = None) -> dict[str, Any]:
    found = community.pictures(row.medium_ids) if known is None else known
    return {
        **_comment(row),
        "pictures": [_picture(found[medium]) for medium in row.medium_ids if medium in found],
        "seen": row.seen,
        "likes": row.likes,
        "liked": row.liked,
        "comments": row.comments,
    }


def _picture(one: Any) -> dict[str, Any]:
    path = f"/media/{one.name}" if one.state == "pass" else safety.signed_path(one.name, now())
    base = current_app.config["SETTINGS"].public_base_url
    return {"url": base + path, "state": one.state, "width": one.width, "height": one.height}


def _comment(row: Any) -> dict[str, Any]:
    author = _Author(row)
    shows = row.show_name and row.author_state == "active"
    return {
        "id": str(row.id),
        "author": people.shown_name(author),
        "avatar_url": avatar(row.avatar_url) if shows else None,
        "body": row.body,
        "mine": row.mine,
        "state": row.state,
        "reason": row.reason if row.mine else "",
        "created_at": when(row.created_at),
    }


class _Author:
    """An author as a shown name is made of it."""

    def __init__(self, row: Any) -> None:
        self.pseudonym, self.state = row.pseudonym, row.author_state
        self.nickname, self.show_name = row.nickname, row.show_name
