"""The migrations make exactly what the models say, in one line of numbered names."""

from __future__ import annotations

import re
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from app.db import Model, db
from devkit import ROOT


def test_models_and_migrations_agree(app: Any) -> None:
    def ours(obj: Any, name: str | None, kind: str, reflected: bool, compare_to: Any) -> bool:
        return not (kind == "table" and reflected and (name or "").startswith("procrastinate_"))

    with app.app_context(), db.engine.connect() as link:
        context = MigrationContext.configure(link, opts={"compare_type": True, "include_object": ours})
        differences = compare_metadata(context, Model.metadata)
    assert differences == [], "write a migration, or mend the model: " + "; ".join(map(repr, differences))


def test_one_line_of_numbered_migrations() -> None:
    scripts = ScriptDirectory(str(ROOT / "migrations"))
    names = [revision.revision for revision in reversed(list(scripts.walk_revisions()))]
    assert len(scripts.get_heads()) == 1
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
    assert all(re.fullmatch(r"\d{4}_[a-z0-9_]+", name) for name in names)
