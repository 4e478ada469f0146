"""What partners send and receive."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from marshmallow import ValidationError, fields

from edge import schemas

MAX_BATCH = 500
LONGEST_METRES = 10_000_000


class Facts(fields.Dict):
    """Facts by name: whole numbers, exact decimals or short text."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if not isinstance(value, dict) or not 1 <= len(value) <= 40:
            raise ValidationError("应为 1–40 项数据的对象|must be an object of 1 to 40 facts")
        for name, fact in value.items():
            plain = isinstance(fact, (int, Decimal, str)) and not isinstance(fact, bool)
            if len(name) > 40 or not plain or (isinstance(fact, str) and len(fact) > 200):
                shown = name[:40]
                raise ValidationError(f"{shown} 应为数字或不超过 200 字的文本|{shown} must be a number or a short text")
        return value


def own_reference(**kwargs: Any) -> schemas.Pattern:
    return schemas.Pattern(
        r"[A-Za-z0-9._:/#\-]{1,100}",
        expected="1–100 个字母、数字或 ._:/#-|1 to 100 letters, digits or ._:/#-",
        **kwargs,
    )


class Ride(schemas.Request):
    record_id = own_reference(required=True)
    type = schemas.OneOf("metro", "bus", required=True)
    account_hash = schemas.Text(longest=128, required=True)
    line = schemas.Text(longest=40)
    in_station = schemas.Text(longest=40)
    out_station = schemas.Text(longest=40)
    in_time = schemas.Moment(required=True)
    out_time = schemas.Moment(required=True)
    fare_cents = schemas.Integer(least=0, most=1_000_000)
    distance_m = schemas.Integer(least=0, most=LONGEST_METRES, required=True)


class Bike(schemas.Request):
    record_id = own_reference(required=True)
    type = schemas.OneOf("bike", required=True)
    account_hash = schemas.Text(longest=128, required=True)
    e_bike = schemas.Boolean()
    city = schemas.Text(longest=20)
    start_time = schemas.Moment(required=True)
    end_time = schemas.Moment(required=True)
    distance_m = schemas.Integer(least=0, most=LONGEST_METRES, required=True)


class General(schemas.Request):
    record_id = own_reference(required=True)
    scenario = schemas.code(required=True)
    account = schemas.Text(longest=128, metadata={"description": "the person's account with you, or its hash"})
    vin = schemas.Text(longest=32, metadata={"description": "VIN or plate, for vehicles"})
    facts = Facts(required=True, metadata={"description": "by the scenario's methodology, plus evidence"})
    occurred_at = schemas.Moment(required=True)
    ended_at = schemas.Moment()
    corrects = own_reference(metadata={"description": "record_id of an earlier record that this one replaces"})


class Batch(schemas.Request):
    records = fields.List(schemas.Object(), required=True, metadata={"maxItems": MAX_BATCH})


class Seen(schemas.Request):
    scenario = schemas.code(required=True)
    account = schemas.Text(longest=128)
    vin = schemas.Text(longest=32)
    day = schemas.Pattern(r"\d{4}-\d{2}-\d{2}", expected="YYYY-MM-DD|YYYY-MM-DD", required=True)
    fact = schemas.Pattern(r"[a-z][a-z0-9_]{0,39}", expected="数据项名称|name of a fact", required=True)
    value = schemas.Quantity(required=True)
    read_at = schemas.Moment(required=True)


class Cancel(schemas.Request):
    record_id = own_reference(required=True)


class ReasonShown(schemas.Answer):
    code = fields.String(required=True)
    zh = fields.String(required=True)
    en = fields.String(required=True)


class ItemAnswer(schemas.Answer):
    record_id = fields.String(required=True)
    outcome = fields.String(required=True, metadata={"description": "accepted, duplicate or refused"})
    id = fields.String(required=True, allow_none=True, metadata={"description": "our id of the record"})
    state = fields.String(required=True, allow_none=True)
    reason = fields.Nested(ReasonShown, required=True, allow_none=True)
    mg = fields.String(required=True, metadata={"description": "milligrams of CO2e that it avoided"})
    test = fields.Boolean(required=True, metadata={"description": "true in test mode: nothing was kept"})
    error = fields.Dict(metadata={"description": "only with refused: code, message, details"})


class BatchAnswer(schemas.Answer):
    items = fields.List(fields.Nested(ItemAnswer), required=True)
    accepted = fields.Integer(required=True)
    duplicate = fields.Integer(required=True)
    refused = fields.Integer(required=True)
