"""What `dev.py` does inside `.venv`: embedded servers, supervisor, tests, checks. Not imported by the product."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VAR = ROOT / "var"
