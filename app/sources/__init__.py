"""Sources: where acts come from; keys of partners; whose account at a partner is whose; how late each source is."""

from app.sources.actions import (
    ACCOUNT_TAKEN,
    BAD_SIGNATURE,
    NONCE_REUSED,
    STALE_TIMESTAMP,
    UNKNOWN_KEY,
    IssuedKey,
    bind_account,
    issue_key,
    purge_nonces,
    register,
    revoke_key,
    unbind_account,
    verify,
)
from app.sources.models import AccountBinding, Nonce, PartnerKey, Source
from app.sources.queries import accounts_of, freshness, holder_of, holders_of, id_of, partners

__all__ = [
    "ACCOUNT_TAKEN",
    "BAD_SIGNATURE",
    "NONCE_REUSED",
    "STALE_TIMESTAMP",
    "UNKNOWN_KEY",
    "AccountBinding",
    "IssuedKey",
    "Nonce",
    "PartnerKey",
    "Source",
    "accounts_of",
    "bind_account",
    "freshness",
    "holder_of",
    "holders_of",
    "id_of",
    "issue_key",
    "partners",
    "purge_nonces",
    "register",
    "revoke_key",
    "unbind_account",
    "verify",
]
