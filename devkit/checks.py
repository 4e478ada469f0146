"""`dev.py check`: everything that a machine can say about the code without running the product's flows."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from devkit.commands import call, given, using
from devkit.servers import Servers

BIN = Path(sys.executable).parent
STEPS: dict[str, list[str]] = {
    "format": [sys.executable, "-m", "ruff", "format", "--check", "--quiet", "."],
    "lint": [sys.executable, "-m", "ruff", "check", "--quiet", "."],
    "types": [sys.executable, "-m", "mypy", "--no-error-summary"],
    "imports": [sys.executable, str(BIN / "lint-imports"), "--no-logo"],
    # Migrations in step with the models, and the rules of the house, are tests.
    "house": [sys.executable, "-m", "pytest", "-q", "--no-header", "tests/house", "-m", "not slow"],
}


def check(arguments: list[str]) -> int:
    """Run all steps (or those named), also after one has failed, and end with a table."""
    wanted = [name for name in STEPS if not arguments or name in arguments]
    unknown = set(arguments) - set(STEPS)
    if unknown:
        print(f"dev.py check: no step {', '.join(sorted(unknown))}; there are {', '.join(STEPS)}", file=sys.stderr)
        return 2
    outcome: list[tuple[str, bool, float]] = []
    with using(None if given() or "house" not in wanted else Servers("test")):
        for name in wanted:
            print(f"== {name}", flush=True)
            started = time.monotonic()
            outcome.append((name, call(STEPS[name]) == 0, time.monotonic() - started))
    for name, fine, seconds in outcome:
        print(f"{'ok    ' if fine else 'FAILED'} {name:8} {seconds:5.1f} s")
    return 0 if all(fine for _, fine, _ in outcome) else 1
