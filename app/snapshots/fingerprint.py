"""What a picture looks like, in 64 bits: which of its neighbours each of 8 by 8 spots is darker than."""

from __future__ import annotations

import io

from PIL import Image

ALIKE = 6
"""Of 64 bits so many may differ in what is still the same picture, saved anew or made smaller (a rule of this
product)."""


def of(body: bytes) -> int:
    """The fingerprint of a picture that we keep, as a signed 64-bit number. Raises OSError for what is none."""
    with Image.open(io.BytesIO(body)) as opened:
        small = opened.convert("L").resize((9, 8), Image.Resampling.LANCZOS)
    spots = small.tobytes()
    bits = 0
    for row in range(8):
        for column in range(8):
            here = row * 9 + column
            bits = bits << 1 | (spots[here] > spots[here + 1])
    return bits - (1 << 64) if bits >> 63 else bits
