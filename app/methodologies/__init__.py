"""Methodologies: formulas as data, in versions that never change once published.

Edges and other features use the names below; formulas, units and packs are read in `grammar`, `dimensions`, `pack`.
"""

from app.methodologies.actions import (
    BACKDATED,
    PACK_INVALID,
    VERSION_TAKEN,
    VERSIONS_OVERLAP,
    LibraryOutcome,
    approve_and_publish,
    draft,
    publish_library,
    retire,
    send_back,
    submit,
)
from app.methodologies.check import Finding, Report, check_pack
from app.methodologies.evaluate import DivisionByZero
from app.methodologies.method import (
    CalculationError,
    FactProblem,
    InputError,
    Method,
    ParameterMissing,
    RegionNotCovered,
    Result,
)
from app.methodologies.queries import (
    Book,
    Version,
    book,
    book_of_all,
    calculate,
    check_facts,
    listing,
    method,
    public_page,
    version_by_id,
    version_in_force,
)
from app.methodologies.shadow import Past, Shadow, shadow

__all__ = [
    "BACKDATED",
    "PACK_INVALID",
    "VERSIONS_OVERLAP",
    "VERSION_TAKEN",
    "Book",
    "CalculationError",
    "DivisionByZero",
    "FactProblem",
    "Finding",
    "InputError",
    "LibraryOutcome",
    "Method",
    "ParameterMissing",
    "Past",
    "RegionNotCovered",
    "Report",
    "Result",
    "Shadow",
    "Version",
    "approve_and_publish",
    "book",
    "book_of_all",
    "calculate",
    "check_facts",
    "check_pack",
    "draft",
    "listing",
    "method",
    "public_page",
    "publish_library",
    "retire",
    "send_back",
    "shadow",
    "submit",
    "version_by_id",
    "version_in_force",
]
