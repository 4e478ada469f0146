"""What a backup holds comes back, counted; what is damaged or in the way is refused before anything happens."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import text

from app import events, outbox
from app.db import transaction
from ops import backup as archive


@pytest.fixture
def source(clean_db: Any, slot: Any) -> str:
    with clean_db.app_context(), transaction() as session:
        for n in range(50):
            outbox.publish(events.AWARD_PAID, {"n": n})
        session.execute(text("insert into procrastinate_jobs (queue_name, task_name) values ('default', 'x')"))
    return slot.database_url


@pytest.fixture
def empty(slot: Any) -> Iterator[str]:
    name = f"{slot.database}_restored"
    with psycopg.connect(slot.admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        yield slot.database_url.replace(slot.database, name)
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def rows(url: str, query: str) -> list[Any]:
    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql")) as link:
        return link.execute(query).fetchall()


def test_what_was_saved_comes_back_and_numbers_go_on(source: str, empty: str, tmp_path: Path) -> None:
    file = tmp_path / "a.diandi"
    saved = archive.backup(source, file)
    assert saved.tables["outbox"] == 50 and saved.tables["procrastinate_jobs"] == 1
    assert file.stat().st_mode & 0o077 == 0
    assert archive.restore(empty, file) == saved
    query = "select id, event, payload, created_at from outbox order by id"
    assert rows(empty, query) == rows(source, query)
    highest = rows(source, "select max(id) from outbox")[0][0]
    insert = "insert into outbox (event, payload) values ('award.paid', '{}') returning id"
    assert rows(empty, insert)[0][0] > highest  # no number is issued twice
    assert [path.name for path in tmp_path.iterdir()] == ["a.diandi"]  # no scraps


def test_a_backup_is_of_one_instant(source: str, empty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that arrive while the dump runs are in neither the dump nor the counts."""
    run = archive._run

    def meanwhile(program: str, *arguments: str) -> None:
        if program == "pg_dump":
            rows(source, "insert into outbox (event, payload) values ('award.paid', '{}') returning id")
        run(program, *arguments)

    monkeypatch.setattr(archive, "_run", meanwhile)
    file = tmp_path / "a.diandi"
    assert archive.backup(source, file).tables["outbox"] == 50
    assert archive.restore(empty, file).tables["outbox"] == 50


def test_restore_refuses_a_database_that_holds_something(source: str, tmp_path: Path) -> None:
    file = tmp_path / "a.diandi"
    archive.backup(source, file)
    with pytest.raises(archive.BackupError, match="Nothing was changed"):
        archive.restore(source, file)
    assert rows(source, "select count(*) from outbox") == [(50,)]


def repack(file: Path, change: dict[str, Any] | None = None, flip: bool = False) -> None:
    with tarfile.open(file) as archive_:
        manifest = json.loads(archive_.extractfile("manifest.json").read())  # type: ignore[union-attr]
        dump = bytearray(archive_.extractfile("database.dump").read())  # type: ignore[union-attr]
    if flip:
        dump[len(dump) // 2] ^= 0xFF
    draft = file.parent / "database.dump"
    draft.write_bytes(bytes(dump))
    archive._pack(file, archive.Manifest(**{**manifest, **(change or {})}), draft, file.parent)
    draft.unlink()


def test_a_damaged_backup_restores_nothing(source: str, empty: str, tmp_path: Path) -> None:
    file = tmp_path / "a.diandi"
    archive.backup(source, file)
    repack(file, flip=True)
    with pytest.raises(archive.BackupError, match="damaged"):
        archive.restore(empty, file)
    assert rows(empty, "select count(*) from pg_tables where schemaname = 'public'") == [(0,)]


def test_a_count_that_differs_is_told(source: str, empty: str, tmp_path: Path) -> None:
    file = tmp_path / "a.diandi"
    saved = archive.backup(source, file)
    repack(file, {"tables": {**saved.tables, "outbox": 51}})
    with pytest.raises(archive.BackupError, match="differ from the manifest: outbox"):
        archive.restore(empty, file)


@pytest.mark.parametrize("content", [b"", b"not a tar", b"\0" * 20_000])
def test_a_file_that_is_no_backup_is_refused(empty: str, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x"
    file.write_bytes(content)
    with pytest.raises(archive.BackupError, match="no backup of ours"):
        archive.restore(empty, file)


def test_a_failed_backup_leaves_the_older_one(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.diandi"
    archive.backup(source, file)
    before = file.read_bytes()

    def fails(*_: str) -> None:
        raise archive.BackupError("disk full")

    monkeypatch.setattr(archive, "_run", fails)
    with pytest.raises(archive.BackupError, match="disk full"):
        archive.backup(source, file)
    assert file.read_bytes() == before and [path.name for path in tmp_path.iterdir()] == ["a.diandi"]


def test_the_commands(source: str, clean_db: Any, tmp_path: Path) -> None:
    file = tmp_path / "a.diandi"
    runner = clean_db.test_cli_runner()
    said = runner.invoke(args=["backup", str(file), "--json"])
    assert said.exit_code == 0 and json.loads(said.output)["tables"]["outbox"] == 50
    refused = runner.invoke(args=["restore", str(file)])
    assert refused.exit_code == 1 and "restore takes an empty" in refused.output


@pytest.fixture
def pictures(source: str, clean_db: Any, tmp_path: Path) -> Path:
    """Two pictures with rows and files, and one that is being written."""
    folder = tmp_path / "media"
    with clean_db.app_context(), transaction() as session:
        person = session.execute(
            text("insert into persons (pseudonym, state, created_at) values ('p', 'active', now()) returning id")
        ).scalar_one()
        for name in ("abcd", "efgh"):
            session.execute(
                text(
                    "insert into media (name, person_id, purpose, content_type, size_bytes, width, height, sha256,"
                    " uploaded_at) values (:name, :person, 'photo', 'image/jpeg', 4, 1, 1, '\\x00', now())"
                ),
                {"name": name, "person": person},
            )
            (folder / name[:2]).mkdir(parents=True)
            (folder / name[:2] / name).write_bytes(name.encode())
    (folder / "ab" / "half.new").write_bytes(b"ha")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


def test_pictures_come_back_with_the_rows_that_name_them(
    source: str, empty: str, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that is purged, with its row, while the dump runs: it was there in that instant."""
    run = archive._run

    def meanwhile(program: str, *arguments: str) -> None:
        if program == "pg_dump":
            rows(source, "delete from media where name = 'efgh' returning id")
            (pictures / "ef" / "efgh").unlink()
        run(program, *arguments)

    file, place = tmp_path / "a.diandi", tmp_path / "elsewhere" / "media"
    with monkeypatch.context() as patched:
        patched.setattr(archive, "_run", meanwhile)
        saved = archive.backup(source, file, {"media": pictures})
    assert saved.missing == []
    assert archive.restore(empty, file, {"media": place}) == saved
    assert contents(place) == {"ab/abcd": b"abcd", "ef/efgh": b"efgh"}
    assert rows(empty, "select name from media order by name") == [("abcd",), ("efgh",)]


def test_a_picture_without_a_file_is_told(source: str, pictures: Path, tmp_path: Path) -> None:
    (pictures / "ef" / "efgh").unlink()
    assert archive.backup(source, tmp_path / "a.diandi", {"media": pictures}).missing == ["efgh"]


def test_files_that_are_damaged_or_in_the_way_stop_a_restore_before_it_begins(
    source: str, empty: str, pictures: Path, tmp_path: Path
) -> None:
    file, place = tmp_path / "a.diandi", tmp_path / "place"
    archive.backup(source, file, {"media": pictures})
    with pytest.raises(archive.BackupError, match="holds files; restore takes an empty folder"):
        archive.restore(empty, file, {"media": pictures})
    with pytest.raises(archive.BackupError, match="no folder for them"):
        archive.restore(empty, file)
    file.write_bytes(file.read_bytes().replace(b"efgh" + b"\0" * 100, b"efgX" + b"\0" * 100))
    with pytest.raises(archive.BackupError, match="damaged: files of media"):
        archive.restore(empty, file, {"media": place})
    assert rows(empty, "select count(*) from pg_tables where schemaname = 'public'") == [(0,)]
    assert not place.exists()


def test_a_backup_of_the_first_format_is_still_read(source: str, empty: str, tmp_path: Path) -> None:
    file = tmp_path / "a.diandi"
    archive.backup(source, file)
    repack(file, {"format": "diandi.backup/1"})
    assert archive.restore(empty, file).tables["outbox"] == 50
