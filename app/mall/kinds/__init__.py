"""The five kinds of items, one file each: what a kind may ask for, and how its promise is kept."""

from app.mall.kinds import code_pool, donation, parcel, service, voucher
from app.mall.kinds.kind import Kind

KINDS: dict[str, Kind] = {
    one.name: one for one in (voucher.KIND, code_pool.KIND, parcel.KIND, service.KIND, donation.KIND)
}
CASH_KINDS = tuple(name for name, kind in KINDS.items() if kind.cash)

__all__ = ["CASH_KINDS", "KINDS", "Kind"]
