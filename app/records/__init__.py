"""Records: every act that earns takes one road, :func:`take`, from a source's report to a reduction and an award."""

from app.records.acts import Act, Taken
from app.records.intake import CONTENT_CONFLICT, take, take_many
from app.records.models import Claim, Observation, Record, Reduction
from app.records.observations import Seen, close_days, observe
from app.records.retiring import GRAMS_SHORT
from app.records.retiring import available as available_grams
from app.records.reviews import reject, release, restore, reverse, supersede
from app.records.revival import revive
from app.records.steps import NOWHERE_TO_WALK, take_steps
from app.records.steps import forget_open as forget_open_steps
from app.records.steps import of_person as steps_of
from app.records.telling import tell_held
from app.records.together import Together

__all__ = [
    "CONTENT_CONFLICT",
    "GRAMS_SHORT",
    "NOWHERE_TO_WALK",
    "Act",
    "Claim",
    "Observation",
    "Record",
    "Reduction",
    "Seen",
    "Taken",
    "Together",
    "available_grams",
    "close_days",
    "forget_open_steps",
    "observe",
    "reject",
    "release",
    "restore",
    "reverse",
    "revive",
    "steps_of",
    "supersede",
    "take",
    "take_many",
    "take_steps",
    "tell_held",
]
