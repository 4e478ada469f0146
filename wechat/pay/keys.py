"""Keys: ours that signs, WeChat's that verify, and the APIv3 key that opens what is encrypted.

WeChat's keys come in two kinds: the public key with an id ``PUB_KEY_ID_…`` (the usual one) and platform certificates
with hexadecimal serials (older merchants; several are valid at once while they rotate). During a migration both arrive.
"""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

PUBLIC_KEY_ID = "PUB_KEY_ID_"
MAIN_HOST = "https://api.mch.weixin.qq.com"
SMALLEST_KEY_BITS = 2048
_DAY = timedelta(days=1)
_HEXADECIMAL = re.compile(r"[0-9a-fA-F]{1,64}", re.ASCII)


class KeyRing:
    """WeChat's keys by serial. Replaced as a whole in one step, never emptied, and never filled by a request."""

    def __init__(self, entries: Mapping[str, str] | None = None, *, at: datetime | None = None) -> None:
        self._keys: dict[str, RSAPublicKey] = {}
        self._expiries: dict[str, datetime] = {}
        self.public_key_id: str | None = None
        if entries:
            self.replace(entries, at=at)

    def get(self, serial: str) -> RSAPublicKey | None:
        """The key of a serial as it stands in a header, or None. Never asks anybody."""
        return self._keys.get(normal_serial(serial))

    def replace(self, entries: Mapping[str, str], *, at: datetime | None = None) -> None:
        """Take over ``{serial: PEM of a public key or certificate}``, all or nothing.

        Raises ValueError for an empty set, an unreadable or small key and, when ``at`` is given, for a certificate
        that has expired; the old set then stays.
        """
        keys: dict[str, RSAPublicKey] = {}
        expiries: dict[str, datetime] = {}
        for serial, pem in entries.items():
            key, expiry = _public_key(pem)
            if expiry is not None:
                if at is not None and expiry <= at:
                    raise ValueError("a certificate has expired")
                expiries[normal_serial(serial)] = expiry
            keys[normal_serial(serial)] = key
        if not keys:
            raise ValueError("a key ring is never emptied")
        ids = [serial for serial in keys if serial.startswith(PUBLIC_KEY_ID)]
        self._keys, self._expiries, self.public_key_id = keys, expiries, ids[-1] if ids else None

    def joined(self, entries: Mapping[str, str], *, at: datetime) -> KeyRing:
        """A ring with these beside what is here, without expired certificates. Raises ValueError as ``replace``."""
        ring = KeyRing(entries)
        expiries = {**self._expiries, **ring._expiries}
        ring._keys = {s: key for s, key in {**self._keys, **ring._keys}.items() if expiries.get(s, at + _DAY) > at}
        ring._expiries = {s: expiry for s, expiry in expiries.items() if expiry > at}
        ring.public_key_id = ring.public_key_id or self.public_key_id
        if not ring._keys:
            raise ValueError("every certificate has expired")
        return ring

    def adopt(self, ring: KeyRing) -> None:
        """Take over another ring's keys in one step."""
        self._keys, self._expiries, self.public_key_id = ring._keys, ring._expiries, ring.public_key_id

    def serials(self) -> list[str]:
        return list(self._keys)

    def last_expiry(self) -> datetime | None:
        """When the last certificate expires, for an alarm in good time; None in public-key mode."""
        return max(self._expiries.values(), default=None)


@dataclass(frozen=True, slots=True)
class Merchant:
    """One merchant: the same private key signs requests and the call-up parameters. Secrets stay out of ``repr``."""

    mchid: str
    serial_no: str
    private_key_pem: str = field(repr=False)
    apiv3_key: str = field(repr=False)
    keys: KeyRing = field(repr=False)
    base_url: str = MAIN_HOST
    backup_url: str | None = None


def load_private_key(pem: str) -> RSAPrivateKey:
    """The merchant's key. Raises ValueError without any part of it when it is none, or smaller than 2,048 bits."""
    key = None
    with contextlib.suppress(ValueError, TypeError):
        key = load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, RSAPrivateKey) or key.key_size < SMALLEST_KEY_BITS:
        raise ValueError("the merchant's private key is no PEM of an RSA key of 2,048 bits or more")
    return key


def sign(key: RSAPrivateKey, message: bytes) -> str:
    """RSA PKCS#1 v1.5 with SHA-256, in base64."""
    return base64.b64encode(key.sign(message, padding.PKCS1v15(), hashes.SHA256())).decode()


def signed_by(key: RSAPublicKey, message: bytes, signature: str) -> bool:
    """Whether the base64 text is this key's signature of the message; any fault in the text is a no."""
    try:
        key.verify(base64.b64decode(signature, validate=True), message, padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError):
        return False
    return True


def decrypt(apiv3_key: str, *, nonce: str, associated_data: str, ciphertext: str) -> bytes:
    """AEAD_AES_256_GCM with the APIv3 key. Raises ValueError, without detail, for whatever does not open."""
    try:
        sealed = base64.b64decode(ciphertext, validate=True)
        return AESGCM(apiv3_key.encode()).decrypt(nonce.encode(), sealed, associated_data.encode())
    except (InvalidTag, ValueError):
        pass
    raise ValueError("does not open with the APIv3 key")


def certificate_key(pem: str) -> tuple[RSAPublicKey, datetime]:
    """Key and expiry of a platform certificate. Raises ValueError."""
    key, expiry = _public_key(pem)
    if expiry is None:
        raise ValueError("no certificate")
    return key, expiry


def normal_serial(serial: str) -> str:
    """Hexadecimal serials compare without case and leading zeros, ids of public keys literally."""
    return serial.upper().lstrip("0") if _HEXADECIMAL.fullmatch(serial) else serial


def _public_key(pem: str) -> tuple[RSAPublicKey, datetime | None]:
    expiry: datetime | None = None
    key: object = None
    try:
        if "BEGIN CERTIFICATE" in pem:
            certificate = x509.load_pem_x509_certificate(pem.encode())
            key, expiry = certificate.public_key(), certificate.not_valid_after_utc
        else:
            key = load_pem_public_key(pem.encode())
    except ValueError:
        pass
    if not isinstance(key, RSAPublicKey) or key.key_size < SMALLEST_KEY_BITS:
        raise ValueError("no PEM of an RSA public key or certificate of 2,048 bits or more")
    return key, expiry
