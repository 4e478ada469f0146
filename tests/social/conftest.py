"""Phones and crowds for the social tests."""

from __future__ import annotations

from tests.edges.conftest import alice, bob, phone_of, wechat
from tests.races.conftest import crowd

__all__ = ["alice", "bob", "crowd", "phone_of", "wechat"]
