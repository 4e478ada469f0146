"""Snapshots: acts by photo, such as a clean plate. Each is held until a person has looked (evidence tier D)."""

from app.snapshots.actions import (
    CAPTURED_WITHIN,
    NO_PHOTO_SCENARIO,
    SNAPSHOT_TOO_OLD,
    SNAPSHOT_UNCHECKED,
    accept,
    refuse,
    refuse_unsafe,
    send,
    thin,
)
from app.snapshots.fingerprint import of as fingerprint_of
from app.snapshots.models import Snapshot
from app.snapshots.queries import of_person, one, waiting

__all__ = [
    "CAPTURED_WITHIN", "NO_PHOTO_SCENARIO", "SNAPSHOT_TOO_OLD", "SNAPSHOT_UNCHECKED", "Snapshot", "accept",
    "fingerprint_of", "of_person", "one", "refuse", "refuse_unsafe", "send", "thin", "waiting",
]  # fmt: skip
