"""People: persons and their WeChat identities, logins, consents, profile; as little about a person as the job needs."""

from app.people import consents, logins
from app.people.consents import CONSENT_REQUIRED, PURPOSES, Purpose, consenting
from app.people.consents import has as has_consent
from app.people.consents import require as require_consent
from app.people.joining import agree_to_terms, join_program, leave_program
from app.people.logins import Login
from app.people.models import Consent, LoginSession, Person
from app.people.profile import Profile, get, masked, openid, put, sessions_of, shown, shown_name
from app.people.sign_in import PERSON_DISABLED, SignedIn, disable, enable, end_sessions, purge, sign_in, sign_out

__all__ = [
    "CONSENT_REQUIRED",
    "PERSON_DISABLED",
    "PURPOSES",
    "Consent",
    "Login",
    "LoginSession",
    "Person",
    "Profile",
    "Purpose",
    "SignedIn",
    "agree_to_terms",
    "consenting",
    "consents",
    "disable",
    "enable",
    "end_sessions",
    "get",
    "has_consent",
    "join_program",
    "leave_program",
    "logins",
    "masked",
    "openid",
    "purge",
    "put",
    "require_consent",
    "sessions_of",
    "shown",
    "shown_name",
    "sign_in",
    "sign_out",
]
