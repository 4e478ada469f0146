"""Issue codes, and take unused ones back with their order. Price, budgets and rules are frozen at issuing."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert

from app import clock, vault
from app.db import connection, run, session
from app.errors import NOT_FOUND, Kind, declare
from app.funding.spending import draw
from app.ledger import LotPart
from app.redemptions import typed_code
from app.redemptions.models import Code, CodeFunding

HASHED = "redemption-code"

ORDER_REDEEMED = declare(
    "order_redeemed",
    Kind.CONFLICT,
    zh="该订单的券码已被核销，不能退款。如有争议请联系商户或客服。",
    en="A code of this order was used, so it can't be refunded. For a dispute ask the merchant or our service.",
)
CODE_EXPIRED = declare("code_expired", Kind.CONFLICT, zh="已过期。", en="Expired.")


def issue(
    *,
    order_id: int,
    program_id: int,
    person_id: int,
    merchant_id: int,
    title: str,
    title_en: str,
    settlement_fen: int,
    parts: Sequence[LotPart],
    valid_days: int,
    at: datetime,
    uses: int = 1,
    how: str = "scan",
    cash_fen: int = 0,
    on_expiry: str = "return",
    extend_days: int = 0,
) -> Code:
    """Issue a code for one piece; its price to the merchant and the budgets behind it are frozen now.

    ``settlement_fen`` and ``cash_fen`` are for all ``uses`` together. ``how`` is ``scan``, ``delivery`` or ``pool``;
    ``on_expiry`` says whether the credits of what was not used come back to the person (``return``) or not
    (``forfeit``); ``extend_days`` is how long the person may prolong it once (0: not at all).
    """
    code_hash, code_sealed = new_secret()
    code = Code(
        program_id=program_id,
        merchant_id=merchant_id,
        person_id=person_id,
        order_id=order_id,
        title=title,
        title_en=title_en,
        code_hash=code_hash,
        code_sealed=code_sealed,
        settlement_fen=settlement_fen,
        cash_fen=cash_fen,
        how=how,
        uses=uses,
        uses_left=uses,
        on_expiry=on_expiry,
        extend_days=extend_days,
        valid_from=at,
        valid_until=valid_until(valid_days, at),
        state="issued",
    )
    session().add(code)
    session().flush()
    rows = [
        {
            "code_id": code.id,
            "lot_id": part.lot_id,
            "budget_id": part.budget_id,
            "price_fen": part.price_fen,
            "credits": part.credits,
            "draw_fen": fen,
        }
        for part, fen in zip(parts, draw(parts, settlement_fen), strict=True)
    ]
    if rows:
        connection().execute(insert(CodeFunding), rows)
    return code


def new_secret() -> tuple[bytes, bytes]:
    """A new code as it is kept: the hash by which it is found, and sealed, to be shown to its owner."""
    plain = typed_code.new()
    return vault.keyed_hash(HASHED, plain), vault.encrypt(HASHED, plain)


def standing_hash(plain: str) -> bytes:
    """The keyed hash under which a typed code stands: while a secret is being changed, perhaps that of before."""
    hashes = [vault.keyed_hash(HASHED, plain), *vault.former_hashes(HASHED, plain)]
    if len(hashes) == 1:
        return hashes[0]
    rows = run("select code_hash from codes where code_hash = any (%(h)s::bytea[])", {"h": hashes})
    return bytes(rows[0].code_hash) if rows else hashes[0]


def valid_until(valid_days: int, at: datetime) -> datetime:
    """The end of a code's last Shanghai day."""
    return clock.day_start(clock.business_day(at) + timedelta(days=valid_days + 1))


def as_written(pieces: Sequence[Sequence[LotPart]], *, settlement_fen: int) -> list[dict[str, Any]]:
    """New codes for pieces, as the database function ``payment_accept`` writes them."""
    made = []
    for parts in pieces:
        code_hash, code_sealed = new_secret()
        drawn = zip(parts, draw(parts, settlement_fen), strict=True)
        made.append(
            {
                "hash": base64.b64encode(code_hash).decode(),
                "sealed": base64.b64encode(code_sealed).decode(),
                "parts": [[part.lot_id, part.budget_id, part.price_fen, part.credits, fen] for part, fen in drawn],
            }
        )
    return made


_WITHDRAW = """
    update codes set state = 'refunded'
    where id = any (%(codes)s::bigint[]) and state = 'issued' and uses_left = uses returning id
"""


def withdraw(*, order_id: int, code_ids: Sequence[int] | None = None) -> list[int]:
    """Void unused codes of an order that is refunded, all or those named; answers their ids.

    A scan, a withdrawal and an expiry never win together: they update the same rows. Raises NOT_FOUND for a code of
    another order, ORDER_REDEEMED when one of them was used, also in part, CODE_EXPIRED when one has ended before.
    """
    locked = run(
        "select id, state, uses, uses_left from codes where order_id = %(order)s order by id for no key update",
        {"order": order_id},
    )
    known = {row.id: row for row in locked}
    wanted = sorted(known) if code_ids is None else sorted(set(code_ids))
    strangers = [str(code) for code in wanted if code not in known]
    if strangers:
        raise NOT_FOUND(code=strangers[0])
    found = [known[code] for code in wanted]
    used = [row for row in found if row.uses_left < row.uses]
    if used:
        raise ORDER_REDEEMED(redeemed=str(len(used)))
    ended = [row for row in found if row.state == "expired"]
    if ended:
        raise CODE_EXPIRED(codes=[str(row.id) for row in ended])
    done = [row.id for row in run(_WITHDRAW, {"codes": wanted})]
    if len(done) != len(wanted):
        raise NOT_FOUND(order=str(order_id))
    return done
