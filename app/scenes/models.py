"""Tables of scenes and of the images made for them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Model, id_column


class Scene(Model):
    """What a code or link means. The token itself is not kept; ``uses_left`` None means any number until the end."""

    __tablename__ = "scenes"
    __table_args__ = (UniqueConstraint("token_hash"), CheckConstraint("uses_left >= 0", name="uses_left"))

    id: Mapped[int] = id_column()
    token_hash: Mapped[bytes] = mapped_column(LargeBinary)
    purpose: Mapped[str] = mapped_column(Text)
    payload: Mapped[dict[str, Any]]
    program_id: Mapped[int | None] = mapped_column(ForeignKey("programs.id"))
    page: Mapped[str] = mapped_column(Text)
    uses_left: Mapped[int | None]
    made_by: Mapped[str] = mapped_column(Text)
    made_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class CodeImage(Model):
    """An image of a code, by the hash of app id, page, scene, version and width: making it again costs quota."""

    __tablename__ = "code_images"

    image_key: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    image: Mapped[bytes] = mapped_column(LargeBinary)
    made_at: Mapped[datetime]
