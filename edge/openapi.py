"""The OpenAPI document: APIFlask's, mended where it says less than the application does."""

from __future__ import annotations

import json
import warnings
from http import HTTPStatus
from typing import Any

from apiflask import APIFlask

from app.errors import BUSY, INVALID_FIELD, NOT_FOUND, TOO_MANY, Declared
from edge.answers import BODY_TOO_LARGE, LOGIN_REQUIRED
from edge.guards import guard_of
from edge.reading import BAD_ENCODING, BAD_JSON, TOO_DEEP, UNSUPPORTED_TYPE
from edge.routes import spec_of
from edge.schemas import UNKNOWN_FIELD

ERROR_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "details", "request_id"],
            "properties": {
                "code": {"type": "string", "description": "stable; see docs/errors.md", "example": "invalid_field"},
                "message": {"type": "string", "description": "for people, by Accept-Language (zh, en)"},
                "details": {"type": "object", "additionalProperties": True},
                "request_id": {"type": "string"},
            },
        }
    },
}
SECURITY = {"bearer": {"type": "http", "scheme": "bearer", "description": "the token that POST /sign-in answers with"}}
_ANY = {"$ref": "#/components/schemas/Error"}


def register(app: APIFlask) -> None:
    """Document guards, errors and required bodies of every route. Call it when all routes are registered."""
    app.config.update(
        AUTO_404_RESPONSE=False,
        AUTO_VALIDATION_ERROR_RESPONSE=False,
        AUTO_AUTH_ERROR_RESPONSE=False,
        AUTO_OPERATION_ID=True,
        SECURITY_SCHEMES=SECURITY,
    )
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        guard = guard_of(view)
        if guard is None or "refused" in spec_of(view):
            continue
        _describe(view, guarded=guard.kind in ("citizen", "clerk"), path_parts=bool(rule.arguments))
    # A schema that an answer nests and another answer is comes twice; _mend takes the twin out again.
    warnings.filterwarnings("ignore", message=".*has already been added to the spec", category=UserWarning)
    app.spec_processor(_mend)  # type: ignore[arg-type]


def _describe(view: Any, *, guarded: bool, path_parts: bool) -> None:
    spec = spec_of(view)
    declared: list[Declared] = [*spec.get("refuses", []), BUSY]
    if guarded:
        spec["security"] = "bearer"
        declared += [LOGIN_REQUIRED, TOO_MANY]
    if spec.get("body"):
        declared += [BAD_JSON, BAD_ENCODING, TOO_DEEP, BODY_TOO_LARGE, UNSUPPORTED_TYPE]
    if spec.get("body") or spec.get("args"):
        declared += [INVALID_FIELD, UNKNOWN_FIELD]
    if path_parts:
        declared.append(NOT_FOUND)
    spec["refused"] = True
    spec["responses"] = _responses(declared)


def _responses(declared: list[Declared]) -> dict[int, dict[str, Any]]:
    """Declared refusals by status, each named with its English words."""
    found: dict[int, dict[str, Any]] = {}
    for one in sorted(set(declared), key=lambda each: (each.kind.value, each.code)):
        status = one.kind.value
        words = f"`{one.code}`: {one.en}"
        if status in found:
            found[status]["description"] += f"\n\n{words}"
        else:
            found[status] = {"description": words, "content": {"application/json": {"schema": _ANY}}}
    return found


def _mend(spec: dict[str, Any]) -> dict[str, Any]:
    spec = _without_twins(spec)
    spec.setdefault("components", {}).setdefault("schemas", {})["Error"] = ERROR_SCHEMA
    for operations in spec["paths"].values():
        for operation in operations.values():
            if not isinstance(operation, dict):
                continue
            if "requestBody" in operation:
                operation["requestBody"]["required"] = True
            operation["responses"].setdefault(
                "default",
                {"description": HTTPStatus(500).phrase, "content": {"application/json": {"schema": _ANY}}},
            )
            _mend_repeats(operation["responses"])
            _mend_parameters(operation)
    return spec


def _mend_repeats(responses: dict[str, Any]) -> None:
    """What is made is made once by its natural key: the same call again is answered 200, with the first answer."""
    if "201" in responses:
        responses.setdefault("200", {**responses["201"], "description": "The same again: answered with the first"})


def _without_twins(spec: dict[str, Any]) -> dict[str, Any]:
    """Replace ``Name1`` by ``Name`` wherever both say the same."""
    schemas = spec.get("components", {}).get("schemas", {})
    twins = {name: name.rstrip("0123456789") for name in schemas if name[-1].isdigit()}
    twins = {name: first for name, first in twins.items() if schemas.get(first) == schemas[name]}
    if not twins:
        return spec
    for name in twins:
        del schemas[name]
    written = json.dumps(spec)
    for name, first in twins.items():
        written = written.replace(f'"#/components/schemas/{name}"', f'"#/components/schemas/{first}"')
    found: dict[str, Any] = json.loads(written)
    return found


def _mend_parameters(operation: dict[str, Any]) -> None:
    """Ids in a path are strings of digits; APIFlask knows only Flask's own converters."""
    for parameter in operation.get("parameters", []):
        if parameter.get("in") == "path" and str(parameter.get("name", "")).endswith("_id"):
            parameter["schema"] = {"type": "string", "pattern": "^[1-9][0-9]{0,17}$"}
