"""Records: every act that earns takes one road, :func:`take`, from a source's report to a reduction and an award."""

from app.records.acts import Act, Taken
from app.records.appeals import answer, appeal
from app.records.intake import CONTENT_CONFLICT, take, take_many
from app.records.models import Appeal, Claim, Observation, Record, Reduction
from app.records.observations import Seen, close_days, observe
from app.records.reviews import reject, release, restore, reverse, supersede
from app.records.together import together

__all__ = [
    "CONTENT_CONFLICT",
    "Act",
    "Appeal",
    "Claim",
    "Observation",
    "Record",
    "Reduction",
    "Seen",
    "Taken",
    "answer",
    "appeal",
    "close_days",
    "observe",
    "reject",
    "release",
    "restore",
    "reverse",
    "supersede",
    "take",
    "take_many",
    "together",
]
