"""Schemas of requests and answers: unknown fields refused, integers strict, text clean, ids as strings.

Messages are written ``中文|English`` and halved for the reader (see ``edge.language.pick``).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, validate

from app.clock import now
from app.errors import INVALID_FIELD, Kind, Refusal, declare
from edge.language import pick
from edge.reading import unusable

LARGEST_INTEGER = 2**53 - 1
UNKNOWN = "没有这个字段|no such field here"
REQUIRED = "必填|is required"
NOT_NULL = "不能为 null|must not be null"
_MESSAGES = {"required": REQUIRED, "null": NOT_NULL}

UNKNOWN_FIELD = declare(
    "unknown_field",
    Kind.INVALID,
    zh="提交了接口没有的字段，请删除 details 中列出的字段。",
    en="The request holds fields that don't exist here. Remove those that `details` lists.",
)


class Request(Schema):
    """Base of what callers send: a field that isn't declared is refused, never ignored."""

    class Meta:
        unknown = RAISE

    error_messages = {"unknown": UNKNOWN, "type": "应为对象|must be an object"}  # noqa: RUF012 - marshmallow's form


class Answer(Schema):
    """Base of what we answer; it documents, the views build the content."""


class Object(fields.Dict):
    """An object that is looked at later, part by part."""

    default_error_messages = {**_MESSAGES, "invalid": "应为对象|must be an object"}  # noqa: RUF012


class Text(fields.String):
    """Text for people: NFC, trimmed, no control or direction-changing characters, length in code points."""

    default_error_messages = {**_MESSAGES, "invalid": "应为文本|must be text"}  # noqa: RUF012
    _unwanted = re.compile(
        "[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
    )

    def __init__(self, *, longest: int, shortest: int = 1, lines: bool = False, **kwargs: Any) -> None:
        self.longest, self.shortest, self.lines = longest, shortest, lines
        kept = "" if lines else r"\t\n"
        unwanted = r"\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff" + kept
        pattern = f"^[^{unwanted}]*[^\\s{unwanted}][^{unwanted}]*$" if shortest else f"^[^{unwanted}]*$"
        documented = {"minLength": shortest, "maxLength": longest, "pattern": pattern}
        super().__init__(metadata={**documented, **kwargs.pop("metadata", {})}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        if len(value) > self.longest or unusable(value):
            raise ValidationError(f"最多 {self.longest} 个字符|at most {self.longest} characters")
        found = unicodedata.normalize("NFC", value).strip()
        if len(found) < self.shortest:
            raise ValidationError(f"至少 {self.shortest} 个字符|at least {self.shortest} characters")
        if len(found) > self.longest:
            raise ValidationError(f"最多 {self.longest} 个字符|at most {self.longest} characters")
        if self._unwanted.search(found) or (not self.lines and ("\n" in found or "\t" in found)):
            raise ValidationError("含有控制字符|holds control characters")
        return found


class Pattern(fields.String):
    """Text in a fixed alphabet, such as a reference or a code. ASCII, whole match."""

    default_error_messages = {**_MESSAGES, "invalid": "应为文本|must be text"}  # noqa: RUF012

    def __init__(self, pattern: str, *, expected: str, **kwargs: Any) -> None:
        self._pattern, self._expected = re.compile(pattern, re.ASCII), expected
        super().__init__(metadata={"pattern": f"^{pattern}$", **kwargs.pop("metadata", {})}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        if not self._pattern.fullmatch(value):
            raise ValidationError(self._expected)
        return value


def reference(**kwargs: Any) -> Pattern:
    """A caller's own reference (``client_ref``, ``scan_id``): 1 to 64 of letters, digits and ``._:-``."""
    return Pattern(
        r"[A-Za-z0-9._:\-]{1,64}", expected="1–64 个字母、数字或 ._:-|1 to 64 letters, digits or ._:-", **kwargs
    )


def code(**kwargs: Any) -> Pattern:
    """A code of ours that stands in addresses: of a program, scenario, org-unit."""
    return Pattern(
        r"[a-z0-9][a-z0-9\-]{0,39}", expected="小写字母、数字与连字符|lower-case letters, digits, hyphens", **kwargs
    )


class Id(fields.String):
    """An id, a string of digits outside and an integer inside: JavaScript's numbers lose ids above 2^53."""

    default_error_messages = {**_MESSAGES, "invalid": "应为数字组成的编号字符串|must be an id: a string of digits"}  # noqa: RUF012
    _digits = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)

    def __init__(self, **kwargs: Any) -> None:
        documented = {"pattern": "^[1-9][0-9]{0,17}$", "example": "42"}
        super().__init__(metadata={**documented, **kwargs.pop("metadata", {})}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if not isinstance(value, str) or not self._digits.fullmatch(value):
            raise self.make_error("invalid")
        return int(value)


class Integer(fields.Integer):
    """A whole number as JSON means it: ``5`` and ``5.0``, but neither ``"5"`` nor ``true`` nor ``5.5``."""

    default_error_messages = {**_MESSAGES, "invalid": "应为整数|must be a whole number"}  # noqa: RUF012

    def __init__(self, *, least: int = -LARGEST_INTEGER, most: int = LARGEST_INTEGER, **kwargs: Any) -> None:
        self.least, self.most = least, most
        limits = {"minimum": least, "maximum": most}
        super().__init__(metadata={**limits, **kwargs.pop("metadata", {})}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        if isinstance(value, Decimal) and value == value.to_integral_value():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.make_error("invalid")
        return self._bounded(value)

    def _bounded(self, value: int) -> int:
        if not self.least <= value <= self.most:
            raise ValidationError(
                f"应在 {self.least} 到 {self.most} 之间|must lie between {self.least} and {self.most}"
            )
        return value


class QueryInteger(Integer):
    """A whole number in an address: ASCII digits only."""

    _digits = re.compile(r"-?(0|[1-9][0-9]{0,15})", re.ASCII)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        if not isinstance(value, str) or not self._digits.fullmatch(value):
            raise self.make_error("invalid")
        return self._bounded(int(value))


class Boolean(fields.Boolean):
    """``true`` or ``false``, not their many spellings."""

    default_error_messages = {**_MESSAGES, "invalid": "应为 true 或 false|must be true or false"}  # noqa: RUF012

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid")
        return value


class Moment(fields.String):
    """An instant with its offset, ``2026-11-22T10:00:00+08:00``, between 2000 and a day from now; UTC inside."""

    default_error_messages = {  # noqa: RUF012
        **_MESSAGES,
        "invalid": "应为带时区的时间，如 2026-11-22T10:00:00+08:00|must be a time with its offset",
    }
    _form = re.compile(
        r"\d{4}-\d{2}-\d{2}T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?(Z|[+-](0\d|1[0-4]):[0-5]\d)", re.ASCII
    )

    def __init__(self, **kwargs: Any) -> None:
        documented = {"format": "date-time", "example": "2026-11-22T10:00:00+08:00"}
        super().__init__(metadata={**documented, **kwargs.pop("metadata", {})}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if not isinstance(value, str) or not self._form.fullmatch(value):
            raise self.make_error("invalid")
        try:
            found = datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            raise self.make_error("invalid") from None
        if not datetime(2000, 1, 1, tzinfo=UTC) <= found <= now() + timedelta(days=1):
            raise ValidationError("时间超出允许范围（2000 年至明天）|must lie between the year 2000 and tomorrow")
        return found


class Quantity(fields.String):
    """An exact decimal, as a JSON number or a string of digits; ``Decimal`` inside, never a binary float."""

    default_error_messages = {**_MESSAGES, "invalid": "应为十进制数|must be a decimal number"}  # noqa: RUF012
    _form = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,9})?", re.ASCII)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, Decimal, str)):
            raise self.make_error("invalid")
        written = value if isinstance(value, str) else f"{Decimal(value):f}"
        if not self._form.fullmatch(written):
            raise self.make_error("invalid")
        return Decimal(written)


class Facts(fields.Dict):
    """Facts by name: whole numbers, exact decimals (text inside, never a binary float) or short text."""

    default_error_messages = {**_MESSAGES, "invalid": "应为对象|must be an object"}  # noqa: RUF012
    _most, _longest = 40, 200
    _name = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)

    def __init__(self, **kwargs: Any) -> None:
        plain = {"anyOf": [{"type": "number"}, {"type": "string", "maxLength": self._longest}]}
        documented = {
            "minProperties": 1,
            "maxProperties": self._most,
            "propertyNames": {"pattern": f"^{self._name.pattern}$"},
            "additionalProperties": plain,
        }
        super().__init__(metadata={**documented, **kwargs.pop("metadata", {})}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if not isinstance(value, dict) or not 1 <= len(value) <= self._most:
            raise ValidationError(f"应为 1–{self._most} 项数据的对象|must be an object of 1 to {self._most} facts")
        return {name: self._fact(name, fact) for name, fact in value.items()}

    def _fact(self, name: str, fact: Any) -> int | str:
        if not self._name.fullmatch(name):
            raise ValidationError("数据项名称应为小写字母、数字与下划线|names are lower-case letters, digits and _")
        if isinstance(fact, Decimal):
            fact = int(fact) if fact == fact.to_integral_value() else f"{fact.normalize():f}"
        number = isinstance(fact, int) and not isinstance(fact, bool) and abs(fact) <= LARGEST_INTEGER
        if not number and not (isinstance(fact, str) and len(fact) <= self._longest and not unusable(fact)):
            longest = self._longest
            raise ValidationError(f"{name} 应为数字或不超过 {longest} 字的文本|{name} must be a number or a short text")
        return int(fact) if number else str(fact)


class Items(fields.List[Any]):
    """A list of bounded length."""

    default_error_messages = {**_MESSAGES, "invalid": "应为列表|must be a list"}  # noqa: RUF012

    def __init__(self, inner: fields.Field[Any], *, longest: int, shortest: int = 0, **kwargs: Any) -> None:
        text = f"应有 {shortest} 到 {longest} 项|must hold {shortest} to {longest} items"
        super().__init__(inner, validate=validate.Length(min=shortest, max=longest, error=text), **kwargs)


class Inner(fields.Nested):
    """An object inside an object."""

    default_error_messages = {**_MESSAGES, "type": "应为对象|must be an object"}  # noqa: RUF012


class OneOf(fields.String):
    """One of a few words."""

    default_error_messages = {**_MESSAGES, "invalid": "应为文本|must be text"}  # noqa: RUF012

    def __init__(self, *choices: str, **kwargs: Any) -> None:
        listed = ", ".join(choices)
        rule = validate.OneOf(choices, error=f"应为以下之一：{listed}|must be one of {listed}")
        super().__init__(validate=rule, **kwargs)


def load(schema: Schema, data: Any) -> dict[str, Any]:
    """Validate. Raises UNKNOWN_FIELD when that is all that is wrong, else INVALID_FIELD; each names every field."""
    try:
        found: dict[str, Any] = schema.load(data)
    except ValidationError as error:
        raise _refusal(error) from None
    return found


def _refusal(error: ValidationError) -> Refusal:
    listed = list(_flat(error.messages, ""))[:20]
    only_unknown = all(text == UNKNOWN for _, text in listed)
    shown = [{"field": path[:120] or "body", "expected": pick(text)} for path, text in listed]
    return (UNKNOWN_FIELD if only_unknown else INVALID_FIELD)(fields=shown)


def _flat(messages: Any, path: str) -> Any:
    """(field path, message) of marshmallow's nested messages."""
    if isinstance(messages, dict):
        for key, inner in messages.items():
            name = str(key).encode("utf-8", "replace").decode()
            step = "" if name == "_schema" else (f"[{name}]" if isinstance(key, int) else f".{name}" if path else name)
            yield from _flat(inner, path + step)
    elif isinstance(messages, list):
        for inner in messages:
            yield from _flat(inner, path)
    else:
        yield path, str(messages)
