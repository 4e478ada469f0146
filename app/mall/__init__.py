"""Mall: what credits can become, in five kinds, with a cash part where the platform allows one."""

from app.mall.audience import EVERYBODY, NOT_FOR_YOU, Standing, admits, standing
from app.mall.kinds import CASH_KINDS, KINDS
from app.mall.models import Item
from app.mall.pools import NO_POOL, import_codes
from app.mall.publishing import (
    CASH_NOT_ALLOWED,
    ITEM_CODE_TAKEN,
    ITEM_UNDERFUNDED,
    USES_NOT_ALLOWED,
    allow,
    announce,
    category,
    change,
    draft,
    item_of,
    open_slot,
    publish,
    restock,
    withdraw,
)
from app.mall.queries import Filter, categories, head, item, mine, program_of, shelf, shops_nearby
from app.mall.stock import NOT_ON_SALE, SOLD_OUT, STOCK_TAKEN, add_due, movements
from app.mall.wants import IN_STOCK, favour, lapse, leave, offer, place_of, tell_low, to_offer, unfavour, wait

__all__ = [
    "CASH_KINDS", "CASH_NOT_ALLOWED", "EVERYBODY", "IN_STOCK", "ITEM_CODE_TAKEN", "ITEM_UNDERFUNDED", "KINDS",
    "NOT_FOR_YOU", "NOT_ON_SALE", "NO_POOL", "SOLD_OUT", "STOCK_TAKEN", "USES_NOT_ALLOWED", "Filter", "Item",
    "Standing", "add_due", "admits", "allow", "announce", "categories", "category", "change", "draft", "favour",
    "head", "import_codes", "item", "item_of", "lapse", "leave", "mine", "movements", "offer", "open_slot",
    "place_of", "program_of", "publish", "restock", "shelf", "shops_nearby", "standing", "tell_low", "to_offer",
    "unfavour", "wait", "withdraw",
]  # fmt: skip
