"""A month's settlement and a project's life on the command line: dry runs change nothing, money needs two."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import text

from app import operators
from app.clock import frozen
from app.db import connection, transaction
from tests import world
from tests.settlement.conftest import DRAWN, redeem, town
from tests.world import AT, World


@pytest.fixture
def here(db_session: Any) -> World:
    with transaction():
        for handle in ("lin", "wu"):
            operators.add(handle=handle, name=handle, at=AT)
    found = town()
    with transaction():
        world.rich(found, found.people[1], 500)
    return found


@pytest.fixture
def flask(app: Any, here: World) -> Any:
    runner = app.test_cli_runner()

    def call(*words: str, exit_code: int = 0) -> str:
        done = runner.invoke(args=list(map(str, words)))
        assert done.exit_code == exit_code, done.output
        return str(done.output)

    return call


def one(query: str) -> Any:
    return connection().execute(text(query)).scalar_one()


def approved(flask: Any, *words: str) -> str:
    """Ask as lin, approve as wu."""
    said = flask(*words, "--as", "lin")
    number = said.split("approval ")[1].split()[0]
    assert "maker_is_checker" in flask("approvals", "approve", number, "--as", "lin", exit_code=1)
    return str(flask("approvals", "approve", number, "--as", "wu"))


def test_a_months_settlement(flask: Any, here: World, tmp_path: Path) -> None:
    redeem(here, AT, ref="a")
    receipt = tmp_path / "receipt.pdf"
    receipt.write_bytes(b"paid")
    program = ("--program", here.code)
    with frozen(DRAWN):
        assert "150" in flask("settlement", "draw", *program, "2026-11", "--dry-run", "--as", "lin")
        assert one("select count(*) from statements") == 0
        flask("settlement", "draw", *program, "2026-11", "--as", "lin")
        number = str(one("select id from statements"))
        flask("settlement", "issue", number, "--as", "lin")
        account = (
            "settlement",
            "account",
            *program,
            "shop",
            "--holder",
            "王",
            "--bank",
            "工行",
            "--number",
            "62220000111122",
        )
        assert "usable from" in approved(flask, *account, "--reason", "new")
        flask("settlement", "tax", *program, "shop", "--title", "小店", "--tax-no", "91510100MA6C12340X", "--as", "lin")
    assert "statement_not_ripe" in flask("settlement", "approve", number, "--as", "lin", exit_code=1)
    with frozen(DRAWN + timedelta(days=8)):
        assert "approved: 150 fen" in approved(flask, "settlement", "approve", number)
        flask("settlement", "batch", *program, "B-1", "--as", "lin")
        flask("settlement", "payout-file", "1", "--out", str(tmp_path / "bank.csv"), "--reason", "pay", "--as", "lin")
        assert "62220000111122" in (tmp_path / "bank.csv").read_text("utf-8-sig")
        line = str(one("select id from payouts"))
        paid = ("settlement", "pay", line, "--reference", "R", "--paid-on", "2026-12-12", "--evidence", str(receipt))
        assert "dry run" in flask(*paid, "--dry-run", "--as", "lin") and one("select state from payouts") == "waiting"
        flask(*paid, "--as", "lin")
        flask("settlement", "invoice", number, "--number", "I-1", "--date", "2026-12-13", "--as", "lin")
        out = str(tmp_path / "s.csv")
        assert "1 lines" in flask("settlement", "export", number, "--out", out, "--as", "lin")
        assert "proves itself" in flask("settlement", "verify", *program)
        assert "True" not in flask("settlement", "sponsor", *program, "bank")
        assert "0 lines" not in flask("settlement", "show", number) and "paid" in flask("settlement", "list", *program)


def test_a_projects_life(flask: Any, here: World, tmp_path: Path) -> None:
    program, receipt, photo = ("--program", here.code), tmp_path / "r.pdf", tmp_path / "p.png"
    receipt.write_bytes(b"paid")
    Image.new("RGB", (30, 30), "green").save(photo)
    opened = (
        "welfare",
        "open",
        *program,
        "forest",
        "--name",
        "林",
        "--target",
        "500",
        "--kind",
        "tree",
        "--over",
        "cap",
    )
    assert "dry run" in flask(*opened, "--dry-run", "--as", "lin")
    flask(*opened, "--as", "lin")
    approved(flask, "welfare", "match", *program, "forest", "--sponsor", "bank", "--percent", "100", "--fen", "900",
             "--reference", "M", "--reason", "x")  # fmt: skip
    flask("welfare", "plan", *program, "forest", "1", "--title", "种下", "--fen", "500", "--as", "lin")
    milestone = str(one("select id from welfare_milestones"))
    shown = ("welfare", "evidence", milestone, str(photo), "--site", "阿拉善", "--taken-on", "2026-11-20")
    flask(*shown, "--as", "lin")
    from app import welfare

    with transaction():
        found = welfare.by_code(here.program_id, "forest")
        gift = welfare.give(person_id=here.people[0], program_id=here.program_id, project_id=found.id, credits=400,
                            client_ref="g", at=AT).gift  # fmt: skip
        assert (gift.fen, gift.matched_fen) == (800, 800)
    approved(
        flask, "welfare", "reach", milestone, "--on", "2026-11-21", "--site", "x", "--payee", "合作社", "--reason", "x"
    )
    approved(flask, "welfare", "pay", milestone, "500", "--reference", "P", "--paid-on", "2026-11-22", "--evidence",
             str(receipt), "--reason", "x")  # fmt: skip
    assert "1 gifts" in approved(flask, "welfare", "fail", *program, "forest", "--reason", "旱")
    assert "1 gifts" in flask("welfare", "return-due")
    assert "fen went back" in approved(flask, "welfare", "match-return", str(one("select id from welfare_matches")),
                                       "--reference", "Z", "--evidence", str(receipt), "--reason", "x")  # fmt: skip
    assert "failed" in flask("welfare", "show", *program, "forest")
    assert "run" in flask("welfare", "event", *program, "run", "--name", "跑", "--held-on", "2026-12-01",
                          "--footprint-kg", "100", "--as", "lin")  # fmt: skip


def test_a_programs_end(flask: Any, here: World, tmp_path: Path) -> None:
    with frozen(AT + timedelta(hours=1)):
        asked = ("programs", "wind-up", here.code, "--window-days", "7", "--reason", "到期")
        assert "can be wound up" in flask(*asked, "--dry-run", "--as", "lin")
        assert "redeem until" in approved(flask, *asked)
        assert "window" in flask("programs", "wind-up-steps", here.code)
    receipt = tmp_path / "r.pdf"
    receipt.write_bytes(b"back")
    with frozen(AT + timedelta(days=20)):
        assert "settled" in flask("programs", "wind-up-steps", here.code)
        (final,) = connection().execute(text("select id from statements")).scalars().all() or (None,)
        flask("settlement", "issue", str(final), "--as", "lin")
    with frozen(AT + timedelta(days=40)):
        approved(flask, "settlement", "approve", str(final))
        back = (
            "programs",
            "return-money",
            "--program",
            here.code,
            "main",
            "--reference",
            "R",
            "--evidence",
            str(receipt),
        )
        assert "10000000 fen" in approved(flask, *back, "--reason", "end")
        assert "closed" in flask("programs", "wind-up-steps", here.code)
        assert "7 files" in flask("programs", "wind-up-export", here.code, "--out", str(tmp_path / "end"))
    assert (tmp_path / "end" / "sponsors.csv").read_text("utf-8-sig").count("10000000") == 2
