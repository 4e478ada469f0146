"""A gift of credits to a welfare project, as an item of the mall; never with money."""

from app.mall.kinds.kind import Kind

KIND = Kind("donation", how=None)
