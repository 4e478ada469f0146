"""A code that a merchant scans, once or several times."""

from app.mall.kinds.kind import Kind

KIND = Kind("voucher", how="scan", several_uses=True)
