"""WeChat's bills as they came: kept packed, with their hash in the name, for as long as accounts must be kept.

What was compared can be compared again, by us or by an auditor, without WeChat, which gives bills out for three months.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from wechat.pay import Bill

KEPT_FOR = timedelta(days=3653)
"""Ten years: how long bank statements are kept (会计档案管理办法, 2015, annex 1)."""
_NAME = re.compile(r"(\d{4}-\d{2}-\d{2})-(trade|funds)-([0-9a-f]{40})\.csv\.gz", re.ASCII)


@dataclass(frozen=True, slots=True)
class Kept:
    """One file. ``whole``: its content still has the hash that WeChat signed; None when nobody looked."""

    mchid: str
    day: date
    kind: str
    sha1: str
    path: Path
    size_bytes: int
    whole: bool | None = None


def keep(folder: Path, *, mchid: str, kind: str, bill: Bill[Any]) -> Path:
    """Keep a checked bill; the same again changes nothing, another one of the day stands beside it. Raises OSError."""
    path = folder / mchid / f"{bill.day.isoformat()}-{kind}-{bill.sha1}.csv.gz"
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    with draft.open("wb") as raw, gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed:
        draft.chmod(0o600)
        bill.copy_to(packed)  # type: ignore[arg-type]
    draft.replace(path)
    return path


def kept(folder: Path, *, verify: bool = False) -> Iterator[Kept]:
    """All of them, by merchant and day. ``verify`` reads each and compares its hash."""
    for path in sorted(folder.glob("*/*.csv.gz")):
        found = _NAME.fullmatch(path.name)
        if found is None:
            continue
        day, kind, sha1 = found.groups()
        whole = _sha1(path) == sha1 if verify else None
        yield Kept(path.parent.name, date.fromisoformat(day), kind, sha1, path, path.stat().st_size, whole)


def forget(folder: Path, today: date) -> int:
    """Delete those whose time is over; answers how many."""
    old = [one.path for one in kept(folder) if one.day < today - KEPT_FOR]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)


def copy_of(one: Kept, target: Path) -> None:
    """Write one out as WeChat wrote it, unpacked."""
    with gzip.open(one.path) as packed, target.open("wb") as out:
        shutil.copyfileobj(packed, out)


def _sha1(path: Path) -> str:
    """The hash of the unpacked content; empty for a file that is damaged."""
    try:
        with gzip.open(path) as packed:
            return hashlib.file_digest(packed, "sha1").hexdigest()
    except (OSError, EOFError, ValueError):
        return ""
