"""The docs say what the code does: every event, its listeners; every command of the README exists."""

from __future__ import annotations

import re
from typing import Any

from app import events
from app.config import ROOT
from jobs.listeners import LISTENERS


def test_every_event_and_its_listeners_stand_in_the_docs() -> None:
    rows = re.findall(r"^\| `([a-z.]+)` \|.*\| ([^|]+) \|$", (ROOT / "docs" / "events.md").read_text(), re.MULTILINE)
    documented = {name: set(re.findall(r"`([a-z\-]+)`", heard)) for name, heard in rows}
    assert set(documented) == set(events.ALL)
    listening = {name: {one.name for one in LISTENERS if name in one.events} for name in events.ALL}
    assert documented == listening


def test_commands_named_in_the_docs_exist(app: Any) -> None:
    known = set(app.cli.list_commands(None)) | {"db"}
    for path in [*ROOT.glob("README*.md"), *(ROOT / "docs").glob("*.md")]:
        for name in re.findall(r"`?flask ([a-z][a-z\-]+)", path.read_text()):
            assert name in known, f"{path.name} names `flask {name}`"


def test_links_between_documents_lead_somewhere() -> None:
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.relative_to(ROOT)} links to {target}"
