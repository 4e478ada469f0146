"""All tables, in one import, for migrations and the checks that walk the schema."""

from app import audit, inbox, notices, operators, outbox  # noqa: F401
from app.appeals import models as _appeals  # noqa: F401
from app.approvals import models as _approvals  # noqa: F401
from app.challenges import models as _challenges  # noqa: F401
from app.checkins import models as _checkins  # noqa: F401
from app.funding import models as _funding  # noqa: F401
from app.gatherings import models as _gatherings  # noqa: F401
from app.green import models as _green  # noqa: F401
from app.imports import models as _imports  # noqa: F401
from app.leaderboards import models as _leaderboards  # noqa: F401
from app.ledger import models as _ledger  # noqa: F401
from app.mall import models as _mall  # noqa: F401
from app.media import models as _media  # noqa: F401
from app.merchants import models as _merchants  # noqa: F401
from app.messages import models as _messages  # noqa: F401
from app.methodologies import models as _methodologies  # noqa: F401
from app.offers import models as _offers  # noqa: F401
from app.openness import models as _openness  # noqa: F401
from app.orders import models as _orders  # noqa: F401
from app.payments import models as _payments  # noqa: F401
from app.people import models as _people  # noqa: F401
from app.phones import models as _phones  # noqa: F401
from app.programs import models as _programs  # noqa: F401
from app.records import models as _records  # noqa: F401
from app.recovery import models as _recovery  # noqa: F401
from app.redemptions import models as _redemptions  # noqa: F401
from app.safety import models as _safety  # noqa: F401
from app.scenarios import models as _scenarios  # noqa: F401
from app.scenes import models as _scenes  # noqa: F401
from app.settlement import models as _settlement  # noqa: F401
from app.sources import models as _sources  # noqa: F401
from app.teams import models as _teams  # noqa: F401
from app.tickets import models as _tickets  # noqa: F401
from app.vehicles import models as _vehicles  # noqa: F401
from app.welfare import models as _welfare  # noqa: F401
