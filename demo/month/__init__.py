"""A month of life in the three demo programs, drawn from a seed: the same seed gives the same month.

Everything goes through the actions that the edges call, with the moment at which it would have happened, and is
idempotent by natural keys that name the seed: a killed run goes on where it was, a second run changes nothing.
"""

from demo.month.living import live
from demo.month.report import digest, figures

__all__ = ["digest", "figures", "live"]
