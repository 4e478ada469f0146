"""What tells one kind of item from another."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """How an item of this kind is sold and kept.

    ``how`` is how its codes are spent: ``scan`` by a clerk, ``delivery`` when the parcel has arrived, ``pool`` at once
    by handing out a third party's code, or none. ``cash``: may ask for money (a rule of WeChat's platform).
    """

    name: str
    how: str | None
    cash: bool = False
    several_uses: bool = False
    ships: bool = False
    books: bool = False
