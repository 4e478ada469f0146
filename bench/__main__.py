"""`python3 dev.py bench [NAME ...]`: measure, compare with what must be reached, exit 1 when something is missed."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path

import wsgi
from bench import wechat
from bench.measures import Bench, Measure, table
from bench.web import served


def main() -> int:
    """Run what was asked for and print a line each; exit 0 all reached, 1 something missed, 2 no such measure."""
    options = _options()
    measures = [one for one in table() if not options.names or one.name in options.names]
    if not measures:
        print(f"no such measure; there are {', '.join(one.name for one in table())}", file=sys.stderr)
        return 2
    with wechat.settings() as named:
        os.environ.update(named)
        return _measure(measures, options)


def _measure(measures: list[Measure], options: argparse.Namespace) -> int:
    app = wsgi.create_app()
    results = []
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, seed {options.seed}, {options.seconds:.0f} s each\n", flush=True
    )
    with served() as address:
        for measure in measures:
            bench = Bench(app, address, options.seconds, options.seed)
            results.append(_run(measure, bench))
            print(_line(results[-1]), flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=2) + "\n")
    missed = [result["name"] for result in results if not result["fine"]]
    print(f"\nmissed: {', '.join(missed)}" if missed else "\nall reached")
    return 1 if missed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dev.py bench", description="Measure speed and memory as ratios.")
    parser.add_argument("names", nargs="*", help="only these measures")
    parser.add_argument("--seconds", type=float, default=9.0, help="length of one measure (default 9)")
    parser.add_argument("--seed", type=int, default=20261125, help="for everything that is drawn")
    parser.add_argument("--json", help="write the results to this file")
    return parser.parse_args()


def _run(measure: Measure, bench: Bench) -> dict[str, object]:
    began = time.monotonic()
    with bench.app.app_context():
        value = measure.run(bench)
    return {
        "name": measure.name,
        "what": measure.what,
        "value": round(value, 4),
        "unit": measure.unit,
        "reach": measure.reach,
        "at_most": measure.at_most,
        "fine": measure.fine(value),
        "took_s": round(time.monotonic() - began, 1),
        "notes": bench.notes,
    }


def _line(result: dict[str, object]) -> str:
    reach = result["reach"]
    sign = "<=" if result["at_most"] else ">="
    wanted = "" if reach is None else f"{'ok' if result['fine'] else 'MISSED'} ({sign} {reach})"
    notes = ", ".join(
        f"{key} {value:.0f}" if isinstance(value, float) and value > 50 else f"{key} {value}"
        for key, value in dict(result["notes"]).items()
    )  # type: ignore[call-overload]
    return f"{result['name']:12} {result['value']:>12,} {result['unit']!s:5} {wanted:20} {result['what']} [{notes}]"


if __name__ == "__main__":
    sys.exit(main())
