"""Openness: any credit opens into its record, formula, parameters, version, conversion, budget, lot and transfers."""

from app.openness.certificates import certify, checked
from app.openness.credit import document, opened
from app.openness.models import Certificate

__all__ = ["Certificate", "certify", "checked", "document", "opened"]
