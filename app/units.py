"""Units of the three assets, and how milligrams become micro-credits.

mg: whole milligrams of CO2e. credits: whole points. fen: hundredths of a yuan. All integers, never binary floats.
"""

from __future__ import annotations

MG_PER_G = 1_000
MG_PER_KG = 1_000_000
MICRO = 1_000_000
BPS = 10_000

MG = "mg"
CREDITS = "credits"
FEN = "fen"
ASSETS = (MG, CREDITS, FEN)

MAX_AMOUNT = 2**53 - 1


def earned_micro(*, mg: int, credits_per_kg: int, share_bps: int) -> int:
    """Micro-credits that ``mg`` earn at a program's rate and tier share (domain.md, credits 2).

    One milligram is worth ``credits_per_kg`` micro-credits, because a kilogram has as many milligrams as a credit has
    micro-credits. The only loss is below one micro-credit, by the share.
    """
    return max(mg, 0) * credits_per_kg * share_bps // BPS


def ceil_div(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)
