"""``GET /v3/certificates``: the platform's certificates, each encrypted with the APIv3 key."""

from __future__ import annotations

from typing import Any

from cryptography import x509

from wechat.sandbox import crypto
from wechat.sandbox.clock import rfc3339
from wechat.sandbox.identity import Identity
from wechat.sandbox.pay.refusals import RESOURCE_UNKNOWN, PayRefusal


def listed(identity: Identity) -> dict[str, Any]:
    """All that are valid, old and new beside each other. Raises PayRefusal for a merchant with a public key only."""
    if identity.public_key_only:
        raise PayRefusal(*RESOURCE_UNKNOWN[:2], "无可用的平台证书，请使用微信支付公钥", 268512771)
    data = []
    for one in identity.certificates:
        read = x509.load_pem_x509_certificate(one.pem.encode())
        data.append(
            {
                "serial_no": one.serial,
                "effective_time": rfc3339(read.not_valid_before_utc.timestamp()),
                "expire_time": rfc3339(read.not_valid_after_utc.timestamp()),
                "encrypt_certificate": {
                    "algorithm": "AEAD_AES_256_GCM",
                    **crypto.sealed(identity.apiv3_key, one.pem.encode(), "certificate"),
                },
            }
        )
    return {"data": data}
