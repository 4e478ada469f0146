#!/usr/bin/env python3
"""Recompute a credit offline: from the act to the grams, the credits and the transfers.

    python3 verify_credit.py credit.json        (or - for standard input; --json for a machine-readable answer)

The file is what "open a credit" exports (format diandi.credit/1). Needs Python 3.9 or later and nothing else. It shares
no code with the server: units, formula and rounding are written here a second time, so that agreement means something.

Exit 0: everything recomputes. 1: it does not, each difference on a line. 2: the file cannot be read.
"""

import hashlib
import json
import re
import sys
from datetime import datetime, timedelta, timezone
from fractions import Fraction

MICRO = 1_000_000
SHANGHAI = timezone(timedelta(hours=8))

# How many base units one of each is. Quantities that only count things are 1.
SCALES = {
    "kgCO2e": "1", "gCO2e": "1/1000", "mgCO2e": "1/1000000", "tCO2e": "1000", "kg": "1", "g": "1/1000",
    "mg": "1/1000000", "t": "1000", "km": "1", "m": "1/1000", "pkm": "1", "kWh": "1", "Wh": "1/1000", "MWh": "1000",
    "MJ": "5/18", "GJ": "5000/18", "kW": "1", "W": "1/1000", "L": "1", "mL": "1/1000", "m3": "1000", "h": "1",
    "min": "1/60", "s": "1/3600", "day": "24", "%": "1/100",
}  # fmt: skip


class Unreadable(Exception):
    """The file is not what this script reads."""


# -- numbers and units


def number(text):
    """An exact value: `12.5`, or a ratio such as `0.57/0.17`."""
    if not isinstance(text, str) or not re.fullmatch(r"-?\d+(\.\d+)?(/-?\d+(\.\d+)?)?", text, re.ASCII):
        raise Unreadable(f"{text!r} is not a number as text")
    above, _, below = text.partition("/")
    return Fraction(above) / Fraction(below or 1)


def whole(value):
    """An integer, given as a number or as text."""
    if isinstance(value, bool) or not isinstance(value, (int, str)) or not re.fullmatch(r"-?\d+", str(value), re.ASCII):
        raise Unreadable(f"{value!r} is not a whole number")
    return int(value)


def scale(unit):
    """Base units in one of `unit`: L/100km is 1/100."""
    total = Fraction(1)
    for place, term in enumerate(re.split(r"[/]", unit.replace("*", "/*"))):
        up = place == 0 or term.startswith("*")
        count, name, power = re.fullmatch(r"\*?(\d*)([A-Za-z%]+\d?[A-Za-z]*)?(?:\^(\d))?", term).groups()
        factor = Fraction(SCALES.get(name, "1")) ** int(power or 1) * int(count or 1) if name else Fraction(1)
        total = total * factor if up else total / factor
    return total


# -- the formula: read and calculated in one pass


class Calculator:
    """Calculates a formula over known values. A branch that is not taken is read but not calculated."""

    PIECE = re.compile(
        r"(?P<drop>[ \t\r\u3000]+|#[^\n]*)"
        r'|(?P<keep>[A-Za-z_]\w*|\d+(?:\.\d+)?|"[^"\n]*"|[<>=!]=|[-+*/(),<>=×÷−\n])'
        r"|(?P<bad>.)",
        re.ASCII | re.DOTALL,
    )

    def __init__(self, values):
        self.values = dict(values)
        self.tokens = []
        self.live = True

    def run(self, text):
        """The value of the last line. Each line before it is `let name = …`."""
        result = None
        for line in self.lines(text):
            self.tokens = line
            if result is not None:
                raise Unreadable("the formula goes on after its result")
            if self.peek() == "let":
                self.next()
                name = self.next()
                self.next("=")
                self.values[name] = self.sum()
            else:
                result = self.sum()
            if self.tokens:
                raise Unreadable(f"a line of the formula goes on at {self.tokens[0]!r}")
        if result is None:
            raise Unreadable("the formula has no result")
        return result

    def lines(self, text):
        """Tokens, line by line; a line goes on while a bracket is open."""
        line, opened = [], 0
        for piece in self.PIECE.finditer(text + "\n"):
            if piece["bad"]:
                raise Unreadable(f"{piece['bad']!r} is no part of the formula language")
            word = {"×": "*", "÷": "/", "−": "-"}.get(piece["keep"], piece["keep"])
            opened += (word == "(") - (word == ")")
            if word == "\n" and opened <= 0:
                if line:
                    yield line
                line = []
            elif word and word != "\n":
                line.append(word)

    def peek(self):
        return self.tokens[0] if self.tokens else ""

    def next(self, wanted=None):
        if not self.tokens or (wanted is not None and self.tokens[0] != wanted):
            raise Unreadable(f"the formula has {self.peek()!r} where {wanted or 'more'} should be")
        return self.tokens.pop(0)

    def sum(self):
        total = self.product()
        while self.peek() in ("+", "-"):
            sign = 1 if self.next() == "+" else -1
            total += sign * self.product()
        return total

    def product(self):
        total = self.part()
        while self.peek() in ("*", "/"):
            divides = self.next() == "/"
            factor = self.part()
            if not self.live:
                continue
            if divides and factor == 0:
                raise Unreadable("the formula divides by zero")
            total = total / factor if divides else total * factor
        return total

    def part(self):
        word = self.next()
        if word == "-":
            return -self.part()
        if word == "(":
            inner = self.sum()
            self.next(")")
            return inner
        if word == "if":
            return self.choice()
        if word in ("min", "max", "floor", "ceil"):
            return self.call(word)
        if word[0].isdigit():
            return Fraction(word)
        if word not in self.values:
            raise Unreadable(f"the formula names {word!r}, which is not given")
        return self.values[word]

    def call(self, name):
        self.next("(")
        given = [self.sum()]
        while self.peek() == ",":
            self.next()
            given.append(self.sum())
        self.next(")")
        if name == "floor":
            return Fraction(given[0].numerator // given[0].denominator)
        if name == "ceil":
            return Fraction(-(-given[0].numerator // given[0].denominator))
        return min(given) if name == "min" else max(given)

    def choice(self):
        self.next("(")
        left = self.sum()
        compare = self.next()
        right = self.next()[1:-1] if self.peek().startswith('"') else self.sum()
        self.next(",")
        holds = self.live and {
            "<": lambda: left < right, "<=": lambda: left <= right, ">": lambda: left > right,
            ">=": lambda: left >= right, "==": lambda: left == right, "!=": lambda: left != right,
        }[compare]()  # fmt: skip
        before = self.live
        self.live = before and holds
        then = self.sum()
        self.next(",")
        self.live = before and not holds
        other = self.sum()
        self.live = before
        self.next(")")
        return then if holds else other


# -- the steps of the check


class Check:
    """Collects what was compared and what differs."""

    def __init__(self, document):
        self.document = document
        self.compared = 0
        self.differences = []

    def same(self, what, computed, stated):
        self.compared += 1
        if computed != stated:
            self.differences.append(f"{what}: computed {computed}, the file says {stated}")

    def true(self, what, holds):
        self.compared += 1
        if not holds:
            self.differences.append(what)


def canonical(value):
    """The bytes that are hashed: keys sorted, no spaces, UTF-8."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def check_methodology(check):
    """The content has its hash, is the version it claims to be, and was in force on the day of the act."""
    method = check.document["methodology"]
    content = method["content"]
    check.same("methodology content_hash", hashlib.sha256(canonical(content)).hexdigest(), method["content_hash"])
    check.same("methodology key", content["key"], method["key"])
    check.same("methodology version", content["version"], method["version"])
    record = check.document["record"]
    day = record.get("local_date")
    if not day and record.get("occurred_at"):
        at = datetime.fromisoformat(record["occurred_at"].replace("Z", "+00:00"))
        day = at.astimezone(SHANGHAI).date().isoformat()
    if day:
        span = content["in_force"]
        held = span["from"] <= day and (span["to"] is None or day < span["to"])
        check.true(f"version {content['version']} was not in force on {day}", held)


def values_of(check):
    """Inputs and parameters in base units."""
    method = check.document["methodology"]
    content, region, inputs = method["content"], method["region"], check.document["inputs"]
    values = {}
    for entry in content["parameters"]:
        values[entry["name"]] = number(parameter(entry, region)) * scale(entry["unit"])
    for entry in content["variables"]:
        name = entry["name"]
        if name not in inputs:
            raise Unreadable(f"input {name} is missing")
        values[name] = inputs[name] if entry["kind"] == "choice" else number(inputs[name]) * scale(entry["unit"])
    facts = check.document["record"].get("facts", {})
    for entry in content["variables"]:
        name = entry["name"]
        if name in facts and facts[name] is not None and entry["kind"] != "choice":
            check.same(f"input {name}", number(str(facts[name])), number(inputs[name]))
    stated = method.get("parameters", {})
    for entry in content["parameters"]:
        if entry["name"] in stated:
            said = stated[entry["name"]]
            said = said.get("value") if isinstance(said, dict) else said
            check.same(f"parameter {entry['name']}", parameter(entry, region), said)
    return values


def parameter(entry, region):
    """The value for a region: its own, else that of the nearest region around it."""
    if "value" in entry:
        return entry["value"]
    parts = region.split("-")
    for count in range(len(parts), 0, -1):
        place = "-".join(parts[:count])
        if place in entry.get("excluded", []):
            break
        if place in entry["by_region"]:
            return entry["by_region"][place]
    raise Unreadable(f"parameter {entry['name']} has no value for {region}")


def check_result(check):
    """The formula gives the stated number; it is rounded once, down. Returns counted mg and micro-credits."""
    content = check.document["methodology"]["content"]
    stated = check.document["result"]
    exact = Calculator(values_of(check)).run(content["formula"])
    micro = exact.numerator * MICRO // exact.denominator
    mass = content["result"] == "mass"
    counted, credits = (max(micro, 0), 0) if mass else (0, max(micro, 0))
    check.same("result raw_mg", micro if mass else 0, whole(stated["raw_mg"]))
    check.same("result counted_mg", counted, whole(stated["counted_mg"]))
    if "credits_micro" in stated:
        check.same("result credits_micro", credits, whole(stated["credits_micro"]))
    return counted, credits


def check_conversion(check, name, stated, counted_mg, credits_micro):
    """Rate, tier share, boost, cap, carry: whole credits and what is carried on. Returns the whole credits."""
    base = counted_mg * whole(stated["credits_per_kg"]) + credits_micro  # 1 mg at 1 credit/kg is a micro-credit
    earned = base * whole(stated["tier_bps"]) * whole(stated["boost_bps"]) // (10_000 * 10_000)
    check.same(f"{name} earned_micro", earned, whole(stated["earned_micro"]))
    cut = whole(stated["cut_micro"])
    check.true(f"{name} cut_micro {cut} is more than was earned", 0 <= cut <= earned)
    total = whole(stated["carry_before_micro"]) + earned - cut
    check.same(f"{name} credits", total // MICRO, whole(stated["credits"]))
    check.same(f"{name} carry_after_micro", total % MICRO, whole(stated["carry_after_micro"]))
    return total // MICRO


def check_awards(check, counted_mg, credits_micro):
    """The act's own conversion and each bonus on it. Returns whole credits by the reason of their transfer."""
    credits = {}
    own = check.document.get("conversion")
    if own:
        credits["award.record"] = check_conversion(check, "conversion", own, counted_mg, credits_micro)
    for bonus in check.document.get("bonuses", []):
        name = f"bonus {bonus['rule']}"
        credits[f"award.{bonus['rule']}"] = check_conversion(check, name, bonus, counted_mg, credits_micro)
    return credits


def check_transfers(check, counted_mg, credits):
    """Every transfer sums to zero in each asset; the act's own carry the recomputed amounts."""
    transfers = check.document.get("transfers", [])
    for transfer in transfers:
        sums, moved = {}, {}
        for entry in transfer["entries"]:
            amount = whole(entry["amount"])
            sums[entry["asset"]] = sums.get(entry["asset"], 0) + amount
            moved[entry["asset"]] = moved.get(entry["asset"], 0) + max(amount, 0)
        name = f"transfer {transfer['id']} ({transfer['reason']})"
        for asset, total in sums.items():
            check.same(f"{name} sum of {asset}", total, 0)
        if transfer["reason"] == "reduction":
            check.same(f"{name} mg", counted_mg, moved.get("mg", 0))
        if transfer["reason"] in credits:
            check.same(f"{name} credits", credits[transfer["reason"]], moved.get("credits", 0))
    keys = [(transfer["reason"], transfer["source_ref"]) for transfer in transfers]
    check.true("a transfer (reason, source_ref) is listed twice", len(set(keys)) == len(keys))


def verify(document):
    """Check a document; returns the Check. Raises Unreadable where the document lacks something."""
    if not isinstance(document, dict) or document.get("format") != "diandi.credit/1":
        raise Unreadable("this is no file of the format diandi.credit/1")
    check = Check(document)
    try:
        check_methodology(check)
        counted_mg, credits_micro = check_result(check)
        check_transfers(check, counted_mg, check_awards(check, counted_mg, credits_micro))
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise Unreadable(f"the file is not complete: {type(error).__name__} {error}") from None
    return check


def main(arguments):
    files = [argument for argument in arguments if argument != "--json"]
    if len(files) != 1 or files[0] in ("-h", "--help"):
        print(__doc__)
        return 0 if files and files[0] in ("-h", "--help") else 2
    try:
        if files[0] == "-":
            text = sys.stdin.read()
        else:
            with open(files[0], encoding="utf-8-sig") as file:
                text = file.read()
        check = verify(json.loads(text, parse_float=str))
    except (OSError, ValueError, Unreadable, RecursionError) as error:
        print(f"cannot be verified: {error}", file=sys.stderr)
        return 2
    if "--json" in arguments:
        print(json.dumps({"ok": not check.differences, "compared": check.compared, "differences": check.differences}))
    for difference in check.differences if "--json" not in arguments else []:
        print(f"DIFFERENT {difference}")
    if "--json" not in arguments and not check.differences:
        print(f"OK: everything recomputes ({check.compared} values compared)")
    return 1 if check.differences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
