"""All tables, in one import, for migrations and the checks that walk the schema."""

from app import audit, inbox, notices, operators, outbox  # noqa: F401
from app.approvals import models as _approvals  # noqa: F401
from app.funding import models as _funding  # noqa: F401
from app.ledger import models as _ledger  # noqa: F401
from app.people import models as _people  # noqa: F401
from app.programs import models as _programs  # noqa: F401
from app.records import models as _records  # noqa: F401
from app.scenarios import models as _scenarios  # noqa: F401
from app.sources import models as _sources  # noqa: F401
from app.vehicles import models as _vehicles  # noqa: F401
