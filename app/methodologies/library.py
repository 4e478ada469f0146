"""The packs shipped with the code."""

from collections.abc import Iterator
from pathlib import Path

from app.methodologies.check import Report, check_pack
from app.methodologies.pack import PACKS


def pack_files() -> list[Path]:
    """The built-in packs, in the order of their names. Files that begin with `_` are shared tables, no packs."""
    return sorted(path for path in PACKS.glob("*.toml") if not path.name.startswith("_"))


def reports() -> Iterator[tuple[Path, Report]]:
    """Each built-in pack with the report of its check."""
    for path in pack_files():
        yield path, check_pack(path.read_text(encoding="utf-8"))
