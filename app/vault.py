"""Secrets at rest: values that must be shown again are encrypted, values that are only compared are keyed hashes.

Every purpose has its own key, derived from a secret of the installation (HKDF, RFC 5869), so that a value kept for one
purpose is worthless for another. Both secrets can be changed: what is sealed is opened with the old one meanwhile and
sealed anew, and so is each hash whose value we can still read (:data:`MOVING`; ``flask wechat reseal``). A hash whose
value nobody has (an account at a partner, a VIN, a printed scene) hangs on the first secret for ever
(docs/decisions/seal-and-hash.md).
"""

from __future__ import annotations

import hmac
import secrets
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MOVING = frozenset(
    {"session", "phone-number-hash", "redemption-code", "redemption-picture", "media-address", "code-image"}
)
"""Purposes (up to a colon) whose keyed hashes follow the present secret: their values are sealed beside them, or they
are short-lived."""
_master = b""
_former: tuple[bytes, ...] = ()
_seals: tuple[bytes, ...] = ()


def unlock(secret: str, *, seal: str = "", old_seals: tuple[str, ...] = (), old_secrets: tuple[str, ...] = ()) -> None:
    """Set the installation's secrets; called once by the application factory.

    ``seal`` encrypts (without one ``secret`` does), all others still decrypt. ``old_secrets``: what ``secret`` was
    before, the newest first; the last of them is the one under the lasting hashes.
    """
    global _master, _former, _seals
    words = (seal or secret, *old_seals, secret, *old_secrets)
    sealing = tuple(dict.fromkeys(word.encode() for word in words if word))
    former = tuple(word.encode() for word in old_secrets if word)
    if (secret.encode(), former, sealing) != (_master, _former, _seals):
        _master, _former, _seals = secret.encode(), former, sealing
        key_for.cache_clear()
        _seal_keys.cache_clear()


@lru_cache(maxsize=64)
def key_for(purpose: str) -> bytes:
    """The 32-byte key of a purpose."""
    if not _master:
        raise RuntimeError("vault.unlock() comes before the first key")
    moves = purpose.partition(":")[0] in MOVING
    return _derived(_master if moves or not _former else _former[-1], purpose)


def changing() -> bool:
    """Whether there was a secret before the present one."""
    return bool(_former)


def former_hashes(purpose: str, value: str) -> list[bytes]:
    """The keyed hashes of a moving purpose under the secrets of before: a row that was not rehashed yet has one."""
    return [hmac.digest(_derived(secret, purpose), value.encode(), "sha256") for secret in _former]


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
