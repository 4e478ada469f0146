"""What a notice may be about. The first word of a kind is its topic's key; a test looks for kinds without a topic."""

from __future__ import annotations

from collections.abc import Mapping

# Topic: the first words of its kinds. What is told by message too is in ALSO_BY_MESSAGE.
TOPICS: Mapping[str, tuple[str, ...]] = {
    "acts": ("record", "appeal", "green", "check-in", "quiz", "course"),
    "credits": ("award", "credits", "prize", "level", "badge", "program"),
    "orders": ("code", "order", "item", "gift"),
    "together": ("team", "challenge", "gathering", "meeting", "grove", "tree", "certificate"),
    "community": ("post", "comment", "survey", "text", "picture"),
    "business": ("merchant", "offer", "statement", "payout"),
    "account": ("account", "recovery", "ticket"),
}
ESSENTIAL = frozenset({"account"})
"""Topics that can't be kept to the inbox: somebody else may be at the door."""

# Kinds that are told in WeChat too, to whom allows it; app/messages/templates.py says how.
ALSO_BY_MESSAGE = frozenset(
    {
        *("record.held", "record.rejected", "record.reversed", "appeal.granted", "appeal.refused", "appeal.late"),
        *("award.paid", "award.manual", "credits.expiring", "code.expiring", "code.redeemed", "challenge.prize"),
        *("order.shipped", "order.refunding", "order.refunded", "order.late", "order.timed_out"),
        *("recovery.asked", "recovery.done", "ticket.answered"),
        *("check-in.reminder", "gathering.place", "gathering.changed", "gathering.cancelled"),
    }
)
_TOPIC_OF = {first: topic for topic, firsts in TOPICS.items() for first in firsts}


def topic_of(kind: str) -> str:
    """The topic of a kind; ``account``, which nobody can mute, for one that is not listed."""
    return _TOPIC_OF.get(kind.partition(".")[0], "account")


def firsts_of(topic: str) -> list[str]:
    """The first words of a topic's kinds."""
    return list(TOPICS[topic])
