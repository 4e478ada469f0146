"""The sandbox's own signing and encrypting, written apart from the client's: each proves the other."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA256

SCHEME = "WECHATPAY2-SHA256-RSA2048"
PARTS = {"mchid", "nonce_str", "signature", "timestamp", "serial_no"}
_PART = re.compile(r'\s*([a-z_]+)="([^"]*)"\s*')


def lines(*parts: str | bytes) -> bytes:
    """A message to sign: each part on a line of its own, the last line ended too."""
    return b"".join((part.encode() if isinstance(part, str) else part) + b"\n" for part in parts)


def sign(key: RSAPrivateKey, message: bytes) -> str:
    """RSA PKCS#1 v1.5 over SHA-256, base64."""
    return base64.b64encode(key.sign(message, PKCS1v15(), SHA256())).decode()


def signed_by(key: RSAPublicKey, signature: str, message: bytes) -> bool:
    """Is this base64 a signature of the message by that key?"""
    try:
        key.verify(base64.b64decode(signature, validate=True), message, PKCS1v15(), SHA256())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def authorization(header: str) -> dict[str, str] | None:
    """The five parts of an ``Authorization`` header in any order. None when it has another form."""
    scheme, _, rest = header.strip().partition(" ")
    if scheme != SCHEME:
        return None
    parts: dict[str, str] = {}
    for piece in rest.split(","):
        found = _PART.fullmatch(piece)
        if found is None or found.group(1) in parts:
            return None
        parts[found.group(1)] = found.group(2)
    return parts if set(parts) == PARTS and all(parts.values()) else None


def sealed(key: str, plain: bytes, associated: str) -> dict[str, str]:
    """AES-256-GCM as in notices and in the list of certificates: ciphertext with its tag, and the nonce."""
    nonce = secrets.token_hex(6)
    text = AESGCM(key.encode()).encrypt(nonce.encode(), plain, associated.encode())
    return {"ciphertext": base64.b64encode(text).decode(), "associated_data": associated, "nonce": nonce}


def push_signature(*parts: str) -> str:
    """Of the message push: SHA-1 over the sorted parts."""
    return hashlib.sha1("".join(sorted(parts)).encode()).hexdigest()  # noqa: S324 - WeChat's choice


def push_sealed(aes_key: str, message: bytes, appid: str, *, random16: bytes = b"", bad_padding: bool = False) -> str:
    """AES-256-CBC with the frame of the message push: 16 random bytes, length, message, appid; padded to 32."""
    frame = (random16 or secrets.token_bytes(16)) + len(message).to_bytes(4, "big") + message + appid.encode()
    size = 32 - len(frame) % 32
    padding = bytes([size]) * size
    if bad_padding:
        padding = bytes([0]) * size
    key = base64.b64decode(aes_key + "=")
    return base64.b64encode(_cbc(key, key[:16], frame + padding)).decode()


def push_opened(aes_key: str, sealed_text: str) -> tuple[bytes, str]:
    """Message and appid of an encrypted answer. Raises ValueError when it cannot be read."""
    key = base64.b64decode(aes_key + "=")
    decryptor = Cipher(AES(key), CBC(key[:16])).decryptor()
    frame = decryptor.update(base64.b64decode(sealed_text, validate=True)) + decryptor.finalize()
    size = frame[-1] if frame else 0
    if not 1 <= size <= 32 or frame[-size:] != bytes([size]) * size:
        raise ValueError("padding")
    frame = frame[:-size]
    length = int.from_bytes(frame[16:20], "big")
    if 20 + length > len(frame):
        raise ValueError("length")
    return frame[20 : 20 + length], frame[20 + length :].decode()


def open_data_sealed(session_key: str, iv: bytes, plain: bytes) -> str:
    """AES-128-CBC with PKCS#7 16, as ``wx.getWeRunData`` hands it to the mini-program."""
    size = 16 - len(plain) % 16
    return base64.b64encode(_cbc(base64.b64decode(session_key), iv, plain + bytes([size]) * size)).decode()


def _cbc(key: bytes, iv: bytes, padded: bytes) -> bytes:
    encryptor: Any = Cipher(AES(key), CBC(iv)).encryptor()
    return bytes(encryptor.update(padded) + encryptor.finalize())
