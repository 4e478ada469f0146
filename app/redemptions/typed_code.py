"""The typed code: 11 base32 characters (55 bits) and a check character, shown as 4-4-4 (security.md 5).

The alphabet leaves out I, L, O and U; input is folded. The check character over GF(32), polynomial x⁵ + x² + 1, α = 2,
finds every single wrong character and every swap of two different ones.
"""

from __future__ import annotations

import secrets
import unicodedata

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
PAYLOAD = 11
_VALUE = {character: value for value, character in enumerate(ALPHABET)}
_FOLD = str.maketrans({"O": "0", "I": "1", "L": "1", " ": "", "-": "", "·": ""})


def _times_alpha(value: int) -> int:
    value <<= 1
    return value ^ 0b100101 if value & 0b100000 else value


def _multiply(a: int, b: int) -> int:
    product = 0
    while b:
        if b & 1:
            product ^= a
        a, b = _times_alpha(a), b >> 1
    return product


_WEIGHTS: list[int] = [1]
for _ in range(PAYLOAD):
    _WEIGHTS.append(_times_alpha(_WEIGHTS[-1]))


def check_character(payload: str) -> str:
    """check = Σ αⁱ · dᵢ for i = 1 … 11."""
    total = 0
    for position, character in enumerate(payload, start=1):
        total ^= _multiply(_WEIGHTS[position], _VALUE[character])
    return ALPHABET[total]


def new() -> str:
    """A fresh code of twelve characters, from the system's random source."""
    payload = "".join(secrets.choice(ALPHABET) for _ in range(PAYLOAD))
    return payload + check_character(payload)


def shown(code: str) -> str:
    return "-".join((code[:4], code[4:8], code[8:]))


def fold(typed: str) -> str | None:
    """What was typed, brought to the one form; None when it can't be a code (a slip: never counted as a guess)."""
    folded = unicodedata.normalize("NFKC", typed).upper().translate(_FOLD)
    if len(folded) != PAYLOAD + 1 or any(character not in _VALUE for character in folded):
        return None
    return folded if check_character(folded[:PAYLOAD]) == folded[PAYLOAD] else None


def like_one(typed: str) -> bool:
    """Whether what was typed may have been meant as a code: short, and only letters and digits."""
    folded = unicodedata.normalize("NFKC", typed).upper().translate(_FOLD)
    return 0 < len(folded) <= PAYLOAD + 4 and folded.isalnum()
