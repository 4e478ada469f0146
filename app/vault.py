"""Secrets at rest: values that must be shown again are encrypted, values that are only compared are keyed hashes.

Every purpose has its own key, derived from a secret of the installation (HKDF, RFC 5869), so that a value kept for one
purpose is worthless for another. Hashes hang on the first secret for ever: they can't be computed anew. What is sealed
may hang on a second one, which can be changed: :func:`decrypt` knows the old one meanwhile, and
``flask wechat reseal`` seals everything again (docs/wechat.md).
"""

from __future__ import annotations

import hmac
import secrets
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_master = b""
_seals: tuple[bytes, ...] = ()


def unlock(secret: str, *, seal: str = "", old_seals: tuple[str, ...] = ()) -> None:
    """Set the installation's secrets; called once by the application factory.

    ``seal`` encrypts (without one ``secret`` does), ``old_seals`` and ``secret`` still decrypt.
    """
    global _master, _seals
    sealing = tuple(dict.fromkeys(word.encode() for word in (seal or secret, *old_seals, secret) if word))
    if (secret.encode(), sealing) != (_master, _seals):
        _master, _seals = secret.encode(), sealing
        key_for.cache_clear()
        _seal_keys.cache_clear()


@lru_cache(maxsize=64)
def key_for(purpose: str) -> bytes:
    """The 32-byte key of a purpose."""
    if not _master:
        raise RuntimeError("vault.unlock() comes before the first key")
    return _derived(_master, purpose)


def keyed_hash(purpose: str, value: str) -> bytes:
    """HMAC-SHA-256 of a value that is looked up but never shown (tokens, codes, account numbers)."""
    return hmac.digest(key_for(purpose), value.encode(), "sha256")


def same(one: str, other: str) -> bool:
    """Whether two marks are equal, in constant time."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def encrypt(purpose: str, value: str) -> bytes:
    """AES-256-GCM, nonce first."""
    nonce = secrets.token_bytes(12)
    return nonce + AESGCM(_seal_keys(purpose)[0]).encrypt(nonce, value.encode(), purpose.encode())


def decrypt(purpose: str, sealed: bytes) -> str:
    """The value again. Raises ``cryptography.exceptions.InvalidTag`` when it was sealed for another purpose or key."""
    *others, last = _seal_keys(purpose)
    for key in others:
        try:
            return _opened(key, purpose, sealed)
        except InvalidTag:
            continue
    return _opened(last, purpose, sealed)


def sealed_now(purpose: str, sealed: bytes) -> bool:
    """Whether a value is sealed with the key that seals now."""
    try:
        _opened(_seal_keys(purpose)[0], purpose, sealed)
    except InvalidTag:
        return False
    return True


def _opened(key: bytes, purpose: str, sealed: bytes) -> str:
    return AESGCM(key).decrypt(sealed[:12], sealed[12:], purpose.encode()).decode()


@lru_cache(maxsize=64)
def _seal_keys(purpose: str) -> tuple[bytes, ...]:
    """The key that seals, then those that still open."""
    if not _seals:
        raise RuntimeError("vault.unlock() comes before the first key")
    return tuple(_derived(secret, purpose) for secret in _seals)


def _derived(secret: bytes, purpose: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=b"diandi", info=purpose.encode()).derive(secret)
