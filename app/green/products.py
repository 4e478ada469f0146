"""Low-carbon products: a merchant names an item and its certificate, an operator approves; each redemption then earns.

An act is taken ten minutes after the scan, when it can't be undone any more: nothing has to be taken back.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select

from app import audit, notices, records, scenarios, sources
from app.db import run, session
from app.errors import NOT_FOUND, STATE_CONFLICT, Kind, declare
from app.green.models import Product
from app.mall.models import Item
from app.merchants import Merchant
from app.records import Act, Taken

SOURCE = "green"

PRODUCT_KNOWN = declare(
    "product_known",
    Kind.CONFLICT,
    zh="该商品已登记为低碳产品，或正在审核。",
    en="This item is registered as low-carbon already, or waits for a decision.",
)


def register(
    *,
    merchant: Merchant,
    item_id: int,
    scenario: str,
    certificate_ref: str,
    person_id: int,
    at: datetime,
    facts: Mapping[str, Any] | None = None,
) -> Product:
    """Ask that an own item counts as low-carbon. Raises NOT_FOUND for another's item or scenario, PRODUCT_KNOWN."""
    item = session().get(Item, item_id)
    if item is None or item.merchant_id != merchant.id:
        raise NOT_FOUND(item=str(item_id))
    known = select(Product.id).where(Product.item_id == item_id, Product.state.in_(("submitted", "approved")))
    if session().scalar(known) is not None:
        raise PRODUCT_KNOWN()
    require_scenario(merchant.program_id, scenario)
    made = Product(
        program_id=merchant.program_id,
        merchant_id=merchant.id,
        item_id=item_id,
        scenario=scenario,
        facts=dict(facts or {}),
        certificate_ref=certificate_ref,
        asked_by=person_id,
        asked_at=at,
    )
    session().add(made)
    session().flush()
    return made


def require_scenario(program_id: int, code: str) -> None:
    """The program must offer it, and take it from a system's source. Raises NOT_FOUND."""
    offered = {one.code: one for one in scenarios.listing(program_id)}
    if code not in offered or "system" not in offered[code].source_kinds:
        raise NOT_FOUND(scenario=code)


def of_merchant(merchant_id: int) -> list[Product]:
    """A merchant's products, newest first."""
    return list(
        session().scalars(select(Product).where(Product.merchant_id == merchant_id).order_by(Product.id.desc()))
    )


def waiting(program_id: int) -> list[Product]:
    """What waits for an operator, longest first."""
    query = select(Product).where(Product.program_id == program_id, Product.state == "submitted")
    return list(session().scalars(query.order_by(Product.id)))


def approve(*, product_id: int, by: str, at: datetime) -> Product:
    """From now on each redemption of it earns. Raises NOT_FOUND, STATE_CONFLICT."""
    return _decide(product_id, ("submitted",), "approved", "", by, at)


def refuse(*, product_id: int, reason: str, by: str, at: datetime) -> Product:
    """Refuse with a reason that the merchant reads. Raises NOT_FOUND, STATE_CONFLICT."""
    return _decide(product_id, ("submitted",), "refused", reason, by, at)


def revoke(*, product_id: int, reason: str, by: str, at: datetime) -> Product:
    """Its certificate is no longer good: it earns nothing from now on. Raises NOT_FOUND, STATE_CONFLICT."""
    return _decide(product_id, ("approved",), "revoked", reason, by, at)


_TO_EARN = """
    select r.id from redemptions r join codes c on c.id = r.code_id join orders o on o.id = c.order_id
    join green_products g on g.item_id = o.item_id and g.state = 'approved'
    where r.id = any (%(ids)s::bigint[])
"""


def to_earn(redemption_ids: list[int]) -> list[int]:
    """Those of some redemptions that were of a low-carbon product."""
    return [row.id for row in run(_TO_EARN, {"ids": redemption_ids})]


_EARNING = """
    select r.id, r.program_id, r.redeemed_at, c.person_id, g.scenario, g.facts, g.decided_at
    from redemptions r join codes c on c.id = r.code_id join orders o on o.id = c.order_id
    join green_products g on g.item_id = o.item_id and g.state = 'approved'
    where r.id = %(id)s and r.undone_at is null
"""


def earn(*, redemption_id: int, at: datetime) -> Taken | None:
    """Take the act of a redemption that stands; None for one that was undone. Twice is once, by its reference."""
    rows = run(_EARNING, {"id": redemption_id})
    if not rows:
        return None
    row = rows[0]
    source = sources.register(program_id=row.program_id, code=SOURCE, kind="system", name="绿色消费")
    act = Act(
        program_id=row.program_id,
        scenario=row.scenario,
        person_id=row.person_id,
        source_id=source.id,
        reference=f"redemption:{row.id}",
        facts=dict(row.facts),
        occurred_at=row.redeemed_at,
        ended_at=row.redeemed_at,
    )
    return records.take(act, at=at)


def _decide(product_id: int, of: tuple[str, ...], state: str, reason: str, by: str, at: datetime) -> Product:
    found = session().get(Product, product_id, with_for_update=True)
    if found is None:
        raise NOT_FOUND(product=str(product_id))
    if found.state not in of:
        raise STATE_CONFLICT(state=found.state)
    found.state, found.reason, found.decided_at, found.decided_by = state, reason, at, by
    session().flush()
    audit.write(
        actor=by, action=f"green-product.{state}", object_type="green_product", object_id=found.id, at=at,
        program_id=found.program_id, reason=reason or None,
    )  # fmt: skip
    words = {
        "approved": ("已通过", "is approved"),
        "refused": ("未通过", "was not approved"),
        "revoked": ("已撤销", "is revoked"),
    }
    zh, en = words[state]
    notices.tell(
        key=f"green-product:{found.id}:{state}", person_id=found.asked_by, program_id=found.program_id,
        kind=f"green.{state}", zh=f"低碳产品登记{zh}。{reason}", en=f"Your low-carbon product {en}. {reason}".strip(),
        at=at,
    )  # fmt: skip
    return found
