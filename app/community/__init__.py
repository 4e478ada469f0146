"""Community: posts with pictures, comments and likes among the members of a program, all behind content safety.

Names are masked unless shown by choice. Five reports hold a post until a person has looked; a hidden one can be
appealed.
"""

from app.community.models import STATES, Comment, Post
from app.community.moderating import HELD_FROM, REASONS, dismiss, hide, report, show_again
from app.community.queries import blocked, comments, feed, mine, pictures, waiting
from app.community.writing import (
    COMMENT_TEXT,
    LONGEST_COMMENT,
    LONGEST_POST,
    MOST_PICTURES,
    OWN_POST,
    POST_NOT_SHOWN,
    POST_TEXT,
    POSTS_A_DAY,
    block,
    comment_passed,
    comment_refused,
    like,
    post_passed,
    post_refused,
    remove_comment,
    remove_post,
    seen_comment,
    seen_post,
    unblock,
    unlike,
    write_comment,
    write_post,
)

__all__ = [
    "COMMENT_TEXT",
    "HELD_FROM",
    "LONGEST_COMMENT",
    "LONGEST_POST",
    "MOST_PICTURES",
    "OWN_POST",
    "POSTS_A_DAY",
    "POST_NOT_SHOWN",
    "POST_TEXT",
    "REASONS",
    "STATES",
    "Comment",
    "Post",
    "block",
    "blocked",
    "comment_passed",
    "comment_refused",
    "comments",
    "dismiss",
    "feed",
    "hide",
    "like",
    "mine",
    "pictures",
    "post_passed",
    "post_refused",
    "remove_comment",
    "remove_post",
    "report",
    "seen_comment",
    "seen_post",
    "show_again",
    "unblock",
    "unlike",
    "waiting",
    "write_comment",
    "write_post",
]  # fmt: skip
