"""Programs: the tenants. Made from templates or copies, with terms in versions, org-units, and people who join."""

from app.programs import terms
from app.programs.actions import (
    Created,
    add_org_unit,
    add_org_units,
    add_roster,
    create,
    invite,
    retire,
    template_of,
)
from app.programs.joining import Pass, decide, join, leave, reorder
from app.programs.models import KINDS, Membership, OrgUnit, Program, Terms
from app.programs.queries import (
    Place,
    by_code,
    find,
    find_org_unit,
    listed,
    member_count,
    membership,
    memberships_of,
    memberships_shown,
    org_unit,
    org_unit_by_id,
    org_units,
    places_at,
    places_of,
)
from app.programs.templates import ScenarioDraft, Template, TermsDraft
from app.programs.terms import in_force as terms_in_force

__all__ = [
    "KINDS",
    "Created",
    "Membership",
    "OrgUnit",
    "Pass",
    "Place",
    "Program",
    "ScenarioDraft",
    "Template",
    "Terms",
    "TermsDraft",
    "add_org_unit",
    "add_org_units",
    "add_roster",
    "by_code",
    "create",
    "decide",
    "find",
    "find_org_unit",
    "invite",
    "join",
    "leave",
    "listed",
    "member_count",
    "membership",
    "memberships_of",
    "memberships_shown",
    "org_unit",
    "org_unit_by_id",
    "org_units",
    "places_at",
    "places_of",
    "reorder",
    "retire",
    "template_of",
    "terms",
    "terms_in_force",
]
