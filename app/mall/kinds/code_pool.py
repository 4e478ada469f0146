"""A third party's code, handed out from an imported pool the moment it is paid."""

from app.mall.kinds.kind import Kind

KIND = Kind("code_pool", how="pool")
