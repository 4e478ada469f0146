"""Daily life: a town with people, phones, and a crowd for races."""

from __future__ import annotations

from tests.edges.conftest import phone_of, wechat
from tests.flows.conftest import settle, still, town
from tests.races.conftest import crowd

__all__ = ["crowd", "phone_of", "settle", "still", "town", "wechat"]
