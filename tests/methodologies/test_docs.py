"""The guide tells the truth: its pack passes, its units and credit-only packs are those of the code."""

import re
from pathlib import Path
from textwrap import dedent

import pytest

from app.methodologies.check import check_pack
from app.methodologies.dimensions import UNIT_NAMES
from app.methodologies.library import reports

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "app" / "methodologies"
GUIDE = (ROOT / "docs" / "methodologies.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return GUIDE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_the_pack_of_the_guide_passes_its_check() -> None:
    found = re.search(r"```toml\n(.*?)\n   ```", GUIDE, re.DOTALL)
    assert found
    report = check_pack(dedent("   " + found[1].lstrip()))
    assert report.findings == ()
    assert report.contents[0]["examples"][0]["mg"] == "46920"


def test_the_guide_lists_every_unit() -> None:
    listed = {word for cell in re.findall(r"`([^`]+)`", section("Units").split("Compose")[0]) for word in cell.split()}
    assert listed == set(UNIT_NAMES)


@pytest.mark.parametrize("code", re.findall(r"`([a-z_]+)`", "".join(
    line.split("|")[1] for line in section("How to add a pack").split("\n") if line.startswith("| `"))))  # fmt: skip
def test_codes_of_the_guide_exist(code: str) -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in PACKAGE.glob("*.py"))
    assert f'"{code}"' in source or (code.startswith("example_") and f'"{code.removeprefix("example_")}"' in source)


def test_the_guide_names_all_credit_only_packs() -> None:
    credits = {report.key for _, report in reports() if report.contents[0]["result"] == "credits"}
    table = section("Versions and publishing").split("| credit-only packs")[1]
    assert credits == set(re.findall(r"`([a-z-]+)`", table))
