"""Real goods that are sent to an address; the merchant is owed when they have arrived."""

from app.mall.kinds.kind import Kind

KIND = Kind("parcel", how="delivery", cash=True, ships=True)
