"""Who everybody is: what this WeChat knows, and what the application is given. Made at first start, marked as local.

This WeChat keeps the merchant's *public* key only. The private one is written for the application by a process of its
own (``python -m wechat.sandbox init``), so that a signature that verifies here can only come from the application.
"""

from __future__ import annotations

import json
import secrets
import string
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from cryptography.x509.oid import NameOID

LOCAL_APPID, LOCAL_SECRET = "wxlocal000000000001", "local-wechat-secret"
LOCAL_MCHID = "1999000001"
APPID_MARK, MCHID_MARK, KEY_MARK = "wxlocal", "1999", "PUB_KEY_ID_LOCAL"
PERSON = "LOCAL WECHAT SANDBOX"


class NotLocal(Exception):
    """These are identifiers of the real WeChat, or the environment is production."""


@dataclass(frozen=True)
class PlatformCertificate:
    """One of this WeChat's certificates, for merchants in certificate mode."""

    serial: str
    key: rsa.RSAPrivateKey = field(repr=False)
    pem: str = field(repr=False)


@dataclass(frozen=True)
class Identity:
    """What this WeChat knows. ``public_key_only``: the merchant has no platform certificates (registered lately)."""

    appid: str
    secret: str = field(repr=False)
    mchid: str
    merchant_serial: str
    merchant_key: rsa.RSAPublicKey = field(repr=False)
    apiv3_key: str = field(repr=False)
    public_key_id: str
    platform_key: rsa.RSAPrivateKey = field(repr=False)
    certificates: tuple[PlatformCertificate, ...] = field(repr=False)
    push_token: str = field(repr=False)
    push_aes_key: str = field(repr=False)
    public_key_only: bool = True

    def key_for(self, serial: str) -> rsa.RSAPrivateKey | None:
        """The key behind a ``Wechatpay-Serial``."""
        if serial == self.public_key_id:
            return self.platform_key
        found = [one.key for one in self.certificates if one.serial == serial.upper().lstrip("0")]
        return found[0] if found and not self.public_key_only else None


@dataclass(frozen=True)
class ForApplication:
    """What the application is given, as WeChat's consoles would show it. The sandbox itself never keeps this."""

    appid: str
    secret: str = field(repr=False)
    mchid: str
    serial: str
    private_key_pem: str = field(repr=False)
    apiv3_key: str = field(repr=False)
    public_key_id: str
    public_key_pem: str
    push_token: str = field(repr=False)
    push_aes_key: str = field(repr=False)

    def environ(self, folder: Path) -> dict[str, str]:
        """Write the key files and answer the settings that name them (without addresses)."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        private, public = folder / "merchant_key.pem", folder / "wechatpay_public_key.pem"
        _write(private, self.private_key_pem)
        _write(public, self.public_key_pem)
        return {
            "WECHAT_APPID": self.appid,
            "WECHAT_SECRET": self.secret,
            "WECHAT_PAY_MCHID": self.mchid,
            "WECHAT_PAY_SERIAL": self.serial,
            "WECHAT_PAY_PRIVATE_KEY_FILE": str(private.resolve()),
            "WECHAT_PAY_APIV3_KEY": self.apiv3_key,
            "WECHAT_PAY_PUBLIC_KEY_ID": self.public_key_id,
            "WECHAT_PAY_PUBLIC_KEY_FILE": str(public.resolve()),
            "WECHAT_PUSH_TOKEN": self.push_token,
            "WECHAT_PUSH_AES_KEY": self.push_aes_key,
        }


def create(
    appid: str = LOCAL_APPID, secret: str = LOCAL_SECRET, mchid: str = LOCAL_MCHID
) -> tuple[Identity, ForApplication]:
    """New keys for both sides. Raises NotLocal for identifiers that are not marked as local."""
    merchant, platform = _new_key(), _new_key()
    letters = string.ascii_letters + string.digits
    identity = Identity(
        appid=appid,
        secret=secret,
        mchid=mchid,
        merchant_serial=_serial(),
        merchant_key=merchant.public_key(),
        apiv3_key="".join(secrets.choice(letters) for _ in range(32)),
        public_key_id=KEY_MARK + secrets.token_hex(12).upper(),
        platform_key=platform,
        certificates=(certificate(),),
        push_token="".join(secrets.choice(letters) for _ in range(24)),
        push_aes_key="".join(secrets.choice(letters) for _ in range(42)) + "A",
    )
    check_local(identity)
    return identity, ForApplication(
        appid=appid,
        secret=secret,
        mchid=mchid,
        serial=identity.merchant_serial,
        private_key_pem=_private_pem(merchant),
        apiv3_key=identity.apiv3_key,
        public_key_id=identity.public_key_id,
        public_key_pem=public_pem(platform.public_key()),
        push_token=identity.push_token,
        push_aes_key=identity.push_aes_key,
    )


def check_local(identity: Identity) -> None:
    """Raises NotLocal unless every identifier says of itself that it opens a double only."""
    check_names(identity.appid, mchid=identity.mchid, public_key_id=identity.public_key_id)


def check_names(appid: str, _secret: str = "", *, mchid: str = MCHID_MARK, public_key_id: str = KEY_MARK) -> None:
    """Raises NotLocal for an identifier of the real WeChat."""
    for value, mark in ((appid, APPID_MARK), (mchid, MCHID_MARK), (public_key_id, KEY_MARK)):
        if not value.startswith(mark):
            raise NotLocal(f"{value} is no local identifier; it must begin with {mark}")


def certificate(days: int = 1825) -> PlatformCertificate:
    """A self-signed platform certificate, valid from yesterday."""
    key, serial = _new_key(), int.from_bytes(b"\x5a" + secrets.token_bytes(19), "big") & ((1 << 159) - 1)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, PERSON)])
    today = datetime.now(UTC).replace(microsecond=0)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=days))
        .sign(key, SHA256())
    )
    return PlatformCertificate(f"{serial:X}", key, built.public_bytes(Encoding.PEM).decode())


def save(identity: Identity, path: Path) -> None:
    """Keep what this WeChat knows; the file is for this user only."""
    kept = {
        name: getattr(identity, name)
        for name in ("appid", "secret", "mchid", "merchant_serial", "apiv3_key", "public_key_id", "push_token")
    }
    kept |= {
        "push_aes_key": identity.push_aes_key,
        "public_key_only": identity.public_key_only,
        "merchant_key": public_pem(identity.merchant_key),
        "platform_key": _private_pem(identity.platform_key),
        "certificates": [{"serial": c.serial, "key": _private_pem(c.key), "pem": c.pem} for c in identity.certificates],
    }
    _write(path, json.dumps(kept, indent=1))


def load(path: Path) -> Identity:
    """What ``save`` kept. Raises OSError, ValueError, KeyError when the file is missing or broken."""
    kept = json.loads(path.read_text())
    merchant, platform = load_pem_public_key(kept.pop("merchant_key").encode()), _private(kept.pop("platform_key"))
    if not isinstance(merchant, rsa.RSAPublicKey):
        raise ValueError("the merchant's key is no RSA key")
    certificates = tuple(
        PlatformCertificate(one["serial"], _private(one["key"]), one["pem"]) for one in kept.pop("certificates")
    )
    return Identity(**kept, merchant_key=merchant, platform_key=platform, certificates=certificates)


def with_certificates(identity: Identity, *certificates: PlatformCertificate) -> Identity:
    """The same merchant in certificate mode, with these certificates valid at once."""
    return replace(identity, certificates=certificates, public_key_only=False)


def public_pem(key: rsa.RSAPublicKey) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _serial() -> str:
    return "5A" + secrets.token_hex(19).upper()


def _private_pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _private(pem: str) -> rsa.RSAPrivateKey:
    key = load_pem_private_key(pem.encode(), None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("no RSA key")
    return key


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text)
