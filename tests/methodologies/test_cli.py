"""`flask methodologies …`: words and exit codes."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app import operators
from app.clock import frozen
from app.methodologies.cli import group
from tests.methodologies.test_packs import GOOD, line_of

AT = datetime(2026, 1, 1, 4, tzinfo=UTC)


@pytest.fixture
def run(app: Any, db_session: Session) -> Any:
    for handle in ("lin", "wang"):
        operators.add(handle=handle, name=handle, at=AT)
    db_session.commit()

    def call(*words: str) -> tuple[int, str]:
        with frozen(AT):
            outcome = app.test_cli_runner().invoke(args=["methodologies", *words])
        return outcome.exit_code, outcome.output + outcome.stderr

    return call


def test_check_names_lines_and_answers_with_its_exit_code(run: Any, tmp_path: Path) -> None:
    file = tmp_path / "pack.toml"
    file.write_text(GOOD, encoding="utf-8")
    code, said = run("check", str(file))
    assert (code, said) == (0, "pack.toml: ok: test-ride, 1 versions, 1 worked examples reproduce exactly\n")
    broken = GOOD.replace("be - pe", "be - pee").replace('year = "2023"', 'year = ""')
    file.write_text(broken, encoding="utf-8")
    code, said = run("check", str(file), "--lang", "en")
    assert code == 1
    assert f"pack.toml:{line_of(broken, 'be - pee')}:6: error: pee is not declared (unknown_name)" in said
    assert "year is missing" in said
    assert said.endswith("pack.toml: 2 errors\n")
    code, said = run("check", str(file), "--json")
    assert code == 1
    assert {f["code"] for f in json.loads(said)[0]["findings"]} == {"missing_year", "unknown_name", "unused_name"}
    assert run("check")[0] == 2
    assert run("check", str(tmp_path / "none.toml"))[0] == 2


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", "名称 = 1".encode("gbk"), b"\xef\xbb\xbfkey = 1", b"", b"\x00" * 9]
)
def test_check_of_files_that_are_no_packs(run: Any, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "pack.toml"
    file.write_bytes(content)
    code, said = run("check", str(file))
    assert code == 1
    assert "pack.toml:1:" in said


def test_a_file_in_another_encoding_is_named_with_its_line(run: Any, tmp_path: Path) -> None:
    file = tmp_path / "pack.toml"
    file.write_bytes(GOOD.encode("gbk"))
    code, said = run("check", str(file), "--lang", "en")
    assert code == 1
    assert said.startswith(f"pack.toml:{line_of(GOOD, '测试')}:1: error: the file is not UTF-8")
    assert "is not UTF-8" in run("draft", str(file), "--as", "lin")[1]


def test_a_bom_and_windows_line_ends_are_read(run: Any, tmp_path: Path) -> None:
    file = tmp_path / "pack.toml"
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert run("check", str(file))[0] == 0


def test_draft_submit_approve_show_list_retire(run: Any, tmp_path: Path) -> None:
    file = tmp_path / "pack.toml"
    file.write_text(GOOD, encoding="utf-8")
    code, said = run("draft", str(file), "--as", "lin", "--json")
    assert code == 0
    number = json.loads(said)[0]["id"]
    assert run("show", "test-ride")[0] == 1
    assert run("submit", number, "--reason", "pilot", "--as", "lin")[0] == 0
    code, said = run("approve", number, "--as", "lin")
    assert code == 1
    assert "maker_is_checker" in said
    assert run("approve", number, "--as", "nobody")[0] == 1
    code, said = run("approve", number, "--as", "wang")
    assert (code, "published" in said) == (0, True)
    code, said = run("show", "test-ride")
    assert code == 0
    assert "let be = distance_km * car" in said
    assert "unverified: consumption" in said
    assert json.loads(run("show", "test-ride", "--json")[1])["published"]["approved_by"] == "operator:wang"
    code, said = run("list", "--json")
    assert [(row["key"], row["state"]) for row in json.loads(said)] == [("test-ride", "published")]
    assert run("retire", "test-ride", "--reason", "old", "--as", "wang")[0] == 0
    assert "retired" in run("list")[1]


def test_a_broken_draft_is_refused_with_lines(run: Any, tmp_path: Path) -> None:
    file = tmp_path / "pack.toml"
    file.write_text(GOOD.replace("be - pe", "be - pee"), encoding="utf-8")
    code, said = run("draft", str(file), "--as", "lin")
    assert code == 1
    assert "9:6 error pee is not declared" in said
    assert "pack_invalid" in said


def test_publish_library_twice(run: Any) -> None:
    first, second = run("publish-library", "--json"), run("publish-library")
    assert first[0] == second[0] == 0
    assert len(json.loads(first[1])["published"]) == 72
    assert second[1] == "0 versions published, 72 unchanged\n"
    open_values = json.loads(run("unverified", "--json")[1])
    assert {"key": "own-cup", "version": "1", "parameter": "cup_mass"} in open_values
    assert {row["version"] for row in open_values} == {"1", "2023"}  # those in force now


def test_the_group_stands_alone() -> None:
    """An author without servers runs it as a module."""
    assert {"check", "list", "show", "publish-library", "draft", "approve"} <= set(group.commands)
