"""Media: uploaded pictures. Looked at and written anew (no EXIF, nothing hidden), kept under a random name, seen by
their owner alone until WeChat's check has passed them.

``files`` knows bytes and folders, the rest rows. ``courier/safety.py`` asks WeChat; the verdict comes by push.
"""

from app.media.actions import MEDIUM_LIMIT, add, asked, asking_failed, decide, heard, remove, take_back_avatar
from app.media.files import IMAGE_REFUSED, IMAGE_TOO_LARGE, LARGEST_BYTES, Picture
from app.media.models import Medium
from app.media.queries import by_name, due, gone, mine, pending, shown, waiting

__all__ = [
    "IMAGE_REFUSED",
    "IMAGE_TOO_LARGE",
    "LARGEST_BYTES",
    "MEDIUM_LIMIT",
    "Medium",
    "Picture",
    "add",
    "asked",
    "asking_failed",
    "by_name",
    "decide",
    "due",
    "gone",
    "heard",
    "mine",
    "pending",
    "remove",
    "shown",
    "take_back_avatar",
    "waiting",
]
