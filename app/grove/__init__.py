"""The green game: trees (or other shapes) that grow by one's own verified grams; gifts of full-grown ones."""

from app.grove.growing import (
    NO_GIFTS_NOW,
    SHAPE_UNKNOWN,
    TREE_GROWING,
    TREE_NOT_FULL,
    Growth,
    certificate,
    give,
    growth,
    heard,
    plant,
    ripen,
)
from app.grove.models import Grove, Tree
from app.grove.rules import GROVE_INVALID, in_force, parse, put

__all__ = [
    "GROVE_INVALID",
    "NO_GIFTS_NOW",
    "SHAPE_UNKNOWN",
    "TREE_GROWING",
    "TREE_NOT_FULL",
    "Grove",
    "Growth",
    "Tree",
    "certificate",
    "give",
    "growth",
    "heard",
    "in_force",
    "parse",
    "plant",
    "put",
    "ripen",
]
