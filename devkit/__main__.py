"""`python -m devkit COMMAND ...`, called by `dev.py` inside `.venv`."""

from __future__ import annotations

import sys
from collections.abc import Callable

from devkit import checks, commands
from devkit.proof import proof
from devkit.run import run
from devkit.servers import ServersError

COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "run": run,
    "test": commands.test,
    "check": checks.check,
    "bench": commands.bench,
    "proof": proof,
    "demo": commands.demo,
    "reset": commands.reset,
    "flask": commands.flask,
}


def main() -> int:
    try:
        return COMMANDS[sys.argv[1]](sys.argv[2:])
    except ServersError as failure:
        print(f"dev.py: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


sys.exit(main())
