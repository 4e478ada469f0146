"""House rules that a linter doesn't know."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import errors, events, later
from devkit import ROOT

PRODUCT = (
    "app",
    "wechat",
    "jobs",
    "ops",
    "miniprogram_api",
    "ingestion",
    "public_site",
    "console",
    "devkit",
    "bench",
    "till",
    "courier",
)
LONGEST_FILE, LONGEST_FUNCTION = 500, 70


def sources() -> Iterator[Path]:
    for folder in PRODUCT:
        yield from sorted((ROOT / folder).rglob("*.py"))
    yield from (ROOT / "wsgi.py", ROOT / "dev.py")


def tracked() -> list[Path]:
    done = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip("no git checkout")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def functions(path: Path, *, inner: bool = True) -> Iterator[tuple[str, int, bool]]:
    """Name, length in lines, and whether a docstring says what it is for."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree) if inner else tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1, ast.get_docstring(node) is not None


def test_files_and_functions_fit_a_screen() -> None:
    long = [short(path) for path in sources() if len(path.read_text().splitlines()) > LONGEST_FILE]
    for path in sources():
        long += [f"{short(path)}: {name}" for name, lines, _ in functions(path) if lines > LONGEST_FUNCTION]
    assert long == []


def test_modules_and_long_public_functions_say_what_they_are_for() -> None:
    silent = [short(path) for path in sources() if path.read_text().strip() and not has_docstring(path)]
    for path in sources():
        found = functions(path, inner=False)
        silent += [
            f"{short(path)}: {name}" for name, lines, said in found if lines > 15 and not said and name[0] != "_"
        ]
    assert silent == []


def has_docstring(path: Path) -> bool:
    return ast.get_docstring(ast.parse(path.read_text())) is not None


def short(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_nothing_is_left_for_later_in_comments() -> None:
    marks = re.compile("TO" + r"DO|FIX" + r"ME|XX" + "X")
    found = [str(path) for path in [*sources(), *(ROOT / "tests").rglob("*.py")] if marks.search(path.read_text())]
    assert found == []


def test_the_domain_asks_no_clock_and_never_commits() -> None:
    """`at=` comes from the edge, and the edge's `with transaction():` commits."""
    forbidden = re.compile(r"\.commit\(\)|datetime\.now\(|clock\.now\(\)|utcnow|date\.today")
    allowed = {ROOT / "app" / "db.py", ROOT / "app" / "clock.py"}
    found = []
    for path in (ROOT / "app").rglob("*.py"):
        if path not in allowed and path.name != "cli.py":
            lines = path.read_text().splitlines()
            found += [f"{path.relative_to(ROOT)}:{n}" for n, line in enumerate(lines, 1) if forbidden.search(line)]
    assert found == []


def test_no_update_or_delete_of_entries_outside_the_ledger() -> None:
    writes = re.compile(r"(update|delete from)\s+(transfers|entries|ledger_\w+)\b", re.IGNORECASE)
    found = [str(path) for path in sources() if "ledger" not in path.parts and writes.search(path.read_text())]
    assert found == []


def test_requirements_name_no_index_and_no_folder() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        text = (ROOT / name).read_text()
        assert not re.search(r"https?://|file:|--(extra-)?index-url|--find-links|@ ", text), name
        pins = re.findall(r"^[a-z0-9_.-]+==\S+.*?(?=^[a-z0-9]|\Z)", text, re.MULTILINE | re.DOTALL)
        assert pins and all("--hash=sha256:" in pin for pin in pins), name


def test_every_requirement_says_why() -> None:
    for name in ("requirements.in", "requirements-dev.in"):
        for line in (ROOT / name).read_text().splitlines():
            if line and not line.startswith(("#", "-")):
                assert "# " in line, f"{name}: {line}"


def test_nothing_third_party_and_nothing_huge_is_committed() -> None:
    for path in tracked():
        assert path.stat().st_size < 600_000, path
        assert not {"vendor", "node_modules", ".venv"} & set(path.parts), path


def test_refusals_speak_two_languages() -> None:
    for code, declared in errors.REGISTRY.items():
        assert re.fullmatch(r"[a-z][a-z0-9_]+", code)
        assert re.search(r"[\u4e00-\u9fff]", declared.zh), code
        assert re.search(r"[A-Za-z]{3}", declared.en) and not re.search(r"[\u4e00-\u9fff]", declared.en), code


def test_events_and_jobs_are_declared_once_and_somebody_takes_them() -> None:
    from jobs.listeners import LISTENERS
    from jobs.tasks import CRON, TASKS

    assert len(set(events.ALL)) == len(events.ALL)
    assert {event for listener in LISTENERS for event in listener.events} <= set(events.ALL)
    assert len({listener.name for listener in LISTENERS}) == len(LISTENERS)
    assert set(TASKS) == set(later.ALL)
    names = [*TASKS, *(cron.name for cron in CRON)]
    assert len(set(names)) == len(names)


def test_settings_are_in_the_example() -> None:
    """Whoever installs it finds every setting in .env.example."""
    example = set(re.findall(r"^#? ?([A-Z][A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    asked = set(re.findall(r'(?:source\.get|number)\("([A-Z_]+)"', (ROOT / "app" / "config.py").read_text()))
    for path in [*(ROOT / "ops").glob("*.py"), ROOT / "gunicorn.conf.py"]:
        asked |= set(
            re.findall(r'environ\.get\("([A-Z_]+)"', path.read_text())
            + re.findall(r"environ\.get\('([A-Z_]+)'", path.read_text())
        )
    assert asked - example - {"PATH"} == set()


def test_every_package_has_its_floor_in_the_import_order() -> None:
    listed = (
        (ROOT / ".importlinter").read_text().partition("root_packages =")[2].partition("include_external")[0].split()
    )
    tools = {"bench", "devkit"}
    there = {path.parent.name for path in ROOT.glob("*/__init__.py")} - tools
    assert there == set(listed)
