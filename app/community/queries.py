"""Reads of the community: what one person sees of it. Whoever is apart by a block sees nothing of the other."""

from __future__ import annotations

from typing import Any

from app.db import read

# Seen by others: the words have passed (state 'shown') and so has every picture that is still there.
_PICTURES_PASSED = (
    "not exists (select from media q where q.id = any (p.medium_ids) and q.removed_at is null and q.state <> 'pass')"
)
_APART = """
    exists (select from blocks b where (b.person_id = %(me)s and b.blocked_id = {author})
                                    or (b.person_id = {author} and b.blocked_id = %(me)s))
"""
_POSTS = f"""
    select p.id, p.program_id, p.person_id, p.body, p.state, p.reason_code, p.reason, p.created_at, p.medium_ids,
           (p.state = 'shown' and {_PICTURES_PASSED}) as seen, p.person_id = %(me)s as mine,
           a.pseudonym, a.state as author_state, a.nickname, a.show_name, a.avatar_url,
           (select count(*) from likes l where l.post_id = p.id) as likes,
           (select count(*) from comments c where c.post_id = p.id and c.state = 'shown') as comments,
           exists (select from likes l where l.post_id = p.id and l.person_id = %(me)s) as liked
    from posts p join persons a on a.id = p.person_id
    where p.state <> 'removed'
"""  # noqa: S608
_NOT_APART = f" and not {_APART.format(author='p.person_id')}"
_MEMBER = """ and (p.person_id = %(me)s or exists (select from memberships m where m.program_id = p.program_id
      and m.person_id = %(me)s and m.state = 'active'))"""


def post(post_id: int, person_id: int) -> Any | None:
    """A post as a person may see it: an own one in any state, others' when seen and not apart; None else."""
    query = _POSTS + _MEMBER + _NOT_APART + " and p.id = %(post)s"
    rows = read(query, {"me": person_id, "post": post_id})
    return rows[0] if rows and (rows[0].seen or rows[0].mine) else None


def feed(program_id: int, person_id: int, *, before: int | None, limit: int) -> list[Any]:
    """The posts of a program that a member sees, newest first, below the cursor."""
    query = (
        _POSTS
        + _NOT_APART
        + f" and p.program_id = %(program)s and p.id < %(before)s and p.state = 'shown' and {_PICTURES_PASSED}"
        + " and a.state = 'active' order by p.id desc limit %(limit)s"
    )
    return read(query, {"me": person_id, "program": program_id, "before": before or 2**63 - 1, "limit": limit})


def mine(person_id: int, *, before: int | None, limit: int) -> list[Any]:
    """A person's own posts in any state, newest first."""
    query = _POSTS + " and p.person_id = %(me)s and p.id < %(before)s order by p.id desc limit %(limit)s"
    return read(query, {"me": person_id, "before": before or 2**63 - 1, "limit": limit})


_COMMENTS = f"""
    select p.id, p.post_id, p.program_id, p.person_id, p.body, p.state, p.reason_code, p.reason, p.created_at,
           p.state = 'shown' as seen, p.person_id = %(me)s as mine,
           a.pseudonym, a.state as author_state, a.nickname, a.show_name, a.avatar_url
    from comments p join persons a on a.id = p.person_id
    where p.state <> 'removed' and (p.state = 'shown' or p.person_id = %(me)s)
      and not {_APART.format(author="p.person_id")}
"""  # noqa: S608


def comments(post_id: int, person_id: int, *, after: int | None, limit: int) -> list[Any]:
    """The comments on a post that a person sees, oldest first, beyond the cursor; own ones in any state."""
    query = _COMMENTS + " and p.post_id = %(post)s and p.id > %(after)s order by p.id limit %(limit)s"
    return read(query, {"me": person_id, "post": post_id, "after": after or 0, "limit": limit})


def comment(comment_id: int, person_id: int) -> Any | None:
    """A comment as a person may see it; None where its post can't be seen."""
    rows = read(_COMMENTS + " and p.id = %(id)s", {"me": person_id, "id": comment_id})
    if not rows or (not rows[0].mine and post(rows[0].post_id, person_id) is None):
        return None
    return rows[0]


def pictures(medium_ids: list[int]) -> dict[int, Any]:
    """Name, size and state of pictures that are still there, by id."""
    query = "select id, name, width, height, state from media where id = any (%(ids)s::bigint[]) and removed_at is null"
    return {row.id: row for row in read(query, {"ids": medium_ids})}


def apart(one: int, other: int) -> bool:
    """Whether one of two has blocked the other."""
    query = (
        "select 1 from blocks where (person_id = %(a)s and blocked_id = %(b)s)"
        " or (person_id = %(b)s and blocked_id = %(a)s)"
    )
    return bool(read(query, {"a": one, "b": other}))


def blocked(person_id: int) -> list[Any]:
    """Whom a person has blocked, with what a shown name is made of."""
    query = """
        select b.id, b.created_at, p.pseudonym, p.state, p.nickname, p.show_name from blocks b
        join persons p on p.id = b.blocked_id where b.person_id = %(person)s order by b.id
    """
    return read(query, {"person": person_id})


_WAITING = """
    select x.kind, x.id, x.state, count(r.id) as reports, string_agg(distinct r.reason, ',') as reasons,
           max(r.words) as words, left(x.body, 200) as body
    from (select 'post' as kind, id, state, body, program_id from posts
          union all select 'comment', id, state, body, program_id from comments) x
    left join reports r on r.kind = x.kind and r.object_id = x.id and r.state = 'open'
    where x.program_id = %(program)s and x.state <> 'removed' and (x.state = 'held' or r.id is not null)
    group by x.kind, x.id, x.state, x.body order by count(r.id) desc, x.kind, x.id limit %(limit)s
"""


def waiting(program_id: int, *, limit: int = 200) -> list[Any]:
    """What waits for a moderator: held, or reported by somebody; the most reported first. No names."""
    return read(_WAITING, {"program": program_id, "limit": limit})
