"""A real-world service, booked for a time where the item has slots; a clerk scans its code."""

from app.mall.kinds.kind import Kind

KIND = Kind("service", how="scan", cash=True, several_uses=True, books=True)
