"""What a certificate says today, for both kinds of gifts: number, what was given, what stands, who gave (if wished)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.clock import SHANGHAI
from app.db import read
from app.units import MG_PER_KG
from app.welfare import pictures
from app.welfare.grams import gram_certificate
from app.welfare.queries import donor


@dataclass(frozen=True, slots=True)
class Document:
    """A certificate. ``stands`` is what of the gift has not been taken back or returned (credits or milligrams)."""

    number: str
    kind: str
    given: int
    stands: int
    fen: int
    matched_fen: int
    name: str
    name_en: str
    giver: str
    given_at: datetime
    project_id: int | None
    details: dict[str, Any]

    def lines(self) -> list[str]:
        """The words of the picture."""
        day = self.given_at.astimezone(SHANGHAI).date().isoformat()
        if self.kind == "credits":
            what = [f"捐赠 {self.given} 积分", f"{self.given} credits, worth {self.fen / 100:.2f} yuan"]
        else:
            kilograms = f"{self.given / MG_PER_KG:.3f}"
            what = [f"捐出减排量 {kilograms} 千克 CO2e，已注销", f"{kilograms} kg CO2e, retired"]
        shown = [self.name, *([self.name_en] if self.name_en != self.name else [])]
        note = [] if self.stands == self.given else ["部分已退回或更正", "partly returned or corrected"]
        return [*shown, *what, f"{self.giver}  {day}", *note]

    def picture(self, form: str, address: str) -> bytes:
        """As ``svg`` or ``png``; ``address`` is where anybody may check it."""
        if form == "png":
            return pictures.png(lines=self.lines(), number=self.number, address=address)
        return pictures.svg(title="点滴 · 公益证书", lines=self.lines(), number=self.number, address=address)


_GIFT = """
    select g.*, w.name, w.name_en, w.code, w.given_credits, w.target_credits, w.state as project_state
    from gifts g join welfare_projects w on w.id = g.project_id
"""


def document_of_gift(gift_id: int, person_id: int) -> Document | None:
    """The certificate of one of a person's gifts of credits."""
    rows = read(_GIFT + " where g.id = %(id)s and g.person_id = %(p)s", {"id": gift_id, "p": person_id})
    return _credits(rows[0]) if rows else None


def document_of_grams(row: Any) -> Document:
    """The certificate of a gift of grams."""
    return Document(
        number=row.certificate_no,
        kind="grams",
        given=row.mg,
        stands=row.standing_mg,
        fen=0,
        matched_fen=0,
        name=row.name,
        name_en=row.name_en,
        giver=donor(row),
        given_at=row.given_at,
        project_id=None,
        details={"held_on": row.held_on.isoformat(), "retired": True},
    )


def document(number: str) -> Document | None:
    """A certificate by its number, of either kind."""
    if number.startswith("N"):
        found = gram_certificate(number)
        return document_of_grams(found) if found is not None else None
    rows = read(_GIFT + " where g.certificate_no = %(n)s", {"n": number})
    return _credits(rows[0]) if rows else None


def _credits(row: Any) -> Document:
    return Document(
        number=row.certificate_no,
        kind="credits",
        given=row.credits,
        stands=row.credits - row.returned_credits,
        fen=row.fen,
        matched_fen=row.matched_fen,
        name=row.name,
        name_en=row.name_en,
        giver=donor(row),
        given_at=row.given_at,
        project_id=row.project_id,
        details={
            "project": row.code,
            "project_state": row.project_state,
            "project_given_credits": row.given_credits,
            "project_target_credits": row.target_credits,
        },
    )
