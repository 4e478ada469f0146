"""Secrets at rest: values that must be shown again are encrypted, values that are only compared are keyed hashes.

Every purpose has its own key, derived from the one installation secret (HKDF, RFC 5869), so that a value kept for one
purpose is worthless for another.
"""

from __future__ import annotations

import hmac
import secrets
from functools import lru_cache

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_master = b""


def unlock(secret: str) -> None:
    """Set the installation secret; called once by the application factory."""
    global _master
    if secret.encode() != _master:
        _master = secret.encode()
        key_for.cache_clear()


@lru_cache(maxsize=64)
def key_for(purpose: str) -> bytes:
    """The 32-byte key of a purpose."""
    if not _master:
        raise RuntimeError("vault.unlock() comes before the first key")
    return HKDF(algorithm=SHA256(), length=32, salt=b"diandi", info=purpose.encode()).derive(_master)


def keyed_hash(purpose: str, value: str) -> bytes:
    """HMAC-SHA-256 of a value that is looked up but never shown (tokens, codes, account numbers)."""
    return hmac.digest(key_for(purpose), value.encode(), "sha256")


def same(one: str, other: str) -> bool:
    """Whether two marks are equal, in constant time."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def encrypt(purpose: str, value: str) -> bytes:
    """AES-256-GCM, nonce first."""
    nonce = secrets.token_bytes(12)
    return nonce + AESGCM(key_for(purpose)).encrypt(nonce, value.encode(), purpose.encode())


def decrypt(purpose: str, sealed: bytes) -> str:
    """The value again. Raises ``cryptography.exceptions.InvalidTag`` when it was sealed for another purpose or key."""
    return AESGCM(key_for(purpose)).decrypt(sealed[:12], sealed[12:], purpose.encode()).decode()
