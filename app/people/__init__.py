"""People: persons and their WeChat identities, logins, consents, profile; as little about a person as the job needs."""

from app.people import consents, logins
from app.people.consents import CONSENT_REQUIRED, PURPOSES, Purpose, consenting
from app.people.consents import has as has_consent
from app.people.consents import require as require_consent
from app.people.joining import agree_to_terms, join_program, leave_program
from app.people.logins import Login
from app.people.models import Consent, LoginSession, Person
from app.people.profile import (
    NICKNAME,
    Profile,
    clear_name,
    get,
    identities,
    masked,
    nickname_passed,
    openid,
    person_of,
    put,
    sessions_of,
    set_avatar,
    shown,
    shown_name,
)
from app.people.sign_in import (
    AGE_UNDECLARED,
    PERSON_DISABLED,
    UNDER_AGE,
    SignedIn,
    disable,
    enable,
    end_sessions,
    keep_session_key,
    purge,
    require_of_age,
    sign_in,
    sign_out,
)

__all__ = [
    "AGE_UNDECLARED",
    "CONSENT_REQUIRED",
    "NICKNAME",
    "PERSON_DISABLED",
    "PURPOSES",
    "UNDER_AGE",
    "Consent",
    "Login",
    "LoginSession",
    "Person",
    "Profile",
    "Purpose",
    "SignedIn",
    "agree_to_terms",
    "clear_name",
    "consenting",
    "consents",
    "disable",
    "enable",
    "end_sessions",
    "get",
    "has_consent",
    "identities",
    "join_program",
    "keep_session_key",
    "leave_program",
    "logins",
    "masked",
    "nickname_passed",
    "openid",
    "person_of",
    "purge",
    "put",
    "require_consent",
    "require_of_age",
    "sessions_of",
    "set_avatar",
    "shown",
    "shown_name",
    "sign_in",
    "sign_out",
]
