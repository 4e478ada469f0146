"""Exact numbers as text, both ways: decimals and ratios in, decimals or ratios out. No binary floats anywhere."""

import re
from decimal import Decimal
from fractions import Fraction
from typing import Final

MICRO: Final = 1_000_000

_DECIMAL = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,12})?\Z", re.ASCII)


class NotANumber(ValueError):
    """The value is not a decimal of at most 15 digits before and 12 after the point."""


def decimal_text(value: object) -> str:
    """The value as plain decimal text. Takes str, int, Decimal; raises NotANumber for anything else, floats too."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise NotANumber(f"{type(value).__name__} is not accepted as a number: send a decimal text such as 12.5")
    # Sizes are looked at first: writing out 1E+100000, or a whole number of 5,000 digits, is a way to stop a server.
    if isinstance(value, Decimal):
        text = format(value, "f") if value.is_finite() and -13 < value.adjusted() < 15 else "a number out of range"
    elif isinstance(value, int):
        text = str(value) if abs(value) < 10**15 else "a number out of range"
    else:
        text = value
    if not _DECIMAL.match(text):
        raise NotANumber(f"{text[:40]!r} is not a decimal such as 12 or 12.5")
    return text


def number_text(value: object) -> str:
    """As `decimal_text`, but also takes an exact ratio such as `0.57/0.17`."""
    if isinstance(value, str) and "/" in value:
        above, _, below = value.partition("/")
        above, below = decimal_text(above.strip()), decimal_text(below.strip())
        if not Fraction(below):
            raise NotANumber(f"{value[:40]!r} divides by zero")
        return f"{above}/{below}"
    return decimal_text(value)


def fraction(text: str) -> Fraction:
    """The exact value of a text from `number_text`."""
    above, _, below = text.partition("/")
    return Fraction(above) / Fraction(below) if below else Fraction(above)


def exact_text(value: Fraction) -> str:
    """A decimal where the value has a finite one, else the ratio `n/d`. Reads back to the same value."""
    places, rest = 0, value.denominator
    while rest % 10 == 0:
        places, rest = places + 1, rest // 10
    while rest % 2 == 0 or rest % 5 == 0:
        places, rest = places + 1, rest // (2 if rest % 2 == 0 else 5)
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    digits = str(abs(value.numerator) * (10**places // value.denominator)).rjust(places + 1, "0")
    sign = "-" if value < 0 else ""
    return sign + (f"{digits[:-places]}.{digits[-places:]}" if places else digits)


def floor_micro(value: Fraction) -> int:
    """Whole millionths, rounded down toward minus infinity: kg to mg, credits to micro-credits. The only rounding."""
    return value.numerator * MICRO // value.denominator
