"""The address book. What names somebody is sealed; the province stays plain, for items that are not sent everywhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime

from sqlalchemy import func, select, update

from app import vault
from app.db import connection, session
from app.errors import INVALID_FIELD, NOT_FOUND, Kind, declare
from app.orders.models import Address

SEALED = "address"
MOST = 20
# Province-level divisions by their official names, as wx.chooseAddress gives them (GB/T 2260, first two digits).
PROVINCES = {
    "北京市": "11", "天津市": "12", "河北省": "13", "山西省": "14", "内蒙古自治区": "15", "辽宁省": "21",
    "吉林省": "22", "黑龙江省": "23", "上海市": "31", "江苏省": "32", "浙江省": "33", "安徽省": "34", "福建省": "35",
    "江西省": "36", "山东省": "37", "河南省": "41", "湖北省": "42", "湖南省": "43", "广东省": "44",
    "广西壮族自治区": "45", "海南省": "46", "重庆市": "50", "四川省": "51", "贵州省": "52", "云南省": "53",
    "西藏自治区": "54", "陕西省": "61", "甘肃省": "62", "青海省": "63", "宁夏回族自治区": "64",
    "新疆维吾尔自治区": "65",
    "台湾省": "71", "香港特别行政区": "81", "澳门特别行政区": "82",
}  # fmt: skip

TOO_MANY_ADDRESSES = declare(
    "too_many_addresses",
    Kind.CONFLICT,
    zh="最多保存 20 个地址，请先删除不用的地址。",
    en="An address book holds 20 addresses. Remove one that you don't need.",
)
ADDRESS_NOT_SERVED = declare(
    "address_not_served",
    Kind.CONFLICT,
    zh="该商品不配送到此地址所在的省份，请更换地址。可配送省份见 details。",
    en="This item isn't sent to that province. Choose another address; `details` names the provinces served.",
)


@dataclass(frozen=True, slots=True)
class Place:
    """An address in plain form, for its owner and for whoever sends the parcel."""

    name: str = field(repr=False)
    phone: str = field(repr=False)
    province: str
    city: str
    district: str
    detail: str = field(repr=False)

    @property
    def province_code(self) -> str:
        """Two digits. Raises INVALID_FIELD for a name that is no province's."""
        if self.province not in PROVINCES:
            raise INVALID_FIELD(
                fields=[
                    {
                        "field": "province",
                        "expected": "省级行政区全称，如四川省|a province's full name, such as 四川省",
                    }
                ]
            )
        return PROVINCES[self.province]


def seal(place: Place) -> bytes:
    return vault.encrypt(SEALED, json.dumps(asdict(place), ensure_ascii=False))


def opened(sealed: bytes) -> Place:
    return Place(**json.loads(vault.decrypt(SEALED, bytes(sealed))))


def add(*, person_id: int, place: Place, is_default: bool, at: datetime) -> Address:
    """Put an address into the book; the first one is the default. Raises INVALID_FIELD, TOO_MANY_ADDRESSES."""
    count = session().scalar(select(func.count()).select_from(Address).where(Address.person_id == person_id)) or 0
    if count >= MOST:
        raise TOO_MANY_ADDRESSES()
    made = Address(
        person_id=person_id, province=place.province_code, sealed=seal(place), is_default=False, changed_at=at
    )
    session().add(made)
    session().flush()
    if is_default or count == 0:
        _make_default(made)
    return made


def change(*, address_id: int, person_id: int, place: Place, is_default: bool, at: datetime) -> Address:
    """Write an address anew. Orders that were placed keep theirs. Raises NOT_FOUND, INVALID_FIELD."""
    found = mine(address_id, person_id)
    found.province, found.sealed, found.changed_at = place.province_code, seal(place), at
    session().flush()
    if is_default:
        _make_default(found)
    return found


def remove(*, address_id: int, person_id: int) -> None:
    """Forget an address. Raises NOT_FOUND."""
    session().delete(mine(address_id, person_id))
    session().flush()


def mine(address_id: int, person_id: int) -> Address:
    """One of a person's addresses. Raises NOT_FOUND."""
    found = session().get(Address, address_id)
    if found is None or found.person_id != person_id:
        raise NOT_FOUND(address=str(address_id))
    return found


def book(person_id: int) -> list[Address]:
    """A person's addresses, the default first."""
    query = select(Address).where(Address.person_id == person_id).order_by(Address.is_default.desc(), Address.id.desc())
    return list(session().scalars(query))


def serve(province: str, served: Sequence[str] | None) -> None:
    """Raises ADDRESS_NOT_SERVED when an item is not sent to a province; ``served`` None is everywhere."""
    if served is not None and province not in served:
        names = [name for name, code in PROVINCES.items() if code in served]
        raise ADDRESS_NOT_SERVED(provinces=names)


def name_of(province: str) -> str:
    """The name of a province's code."""
    return next((name for name, code in PROVINCES.items() if code == province), province)


def _make_default(address: Address) -> None:
    others = update(Address).where(Address.person_id == address.person_id, Address.id != address.id)
    connection().execute(others.values(is_default=False))
    address.is_default = True
    session().flush()
