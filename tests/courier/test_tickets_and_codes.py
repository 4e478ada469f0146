"""Customer service becomes tickets with answers; codes and links carry opaque tokens that end."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from app import clock, operators
from app.db import transaction
from tests.courier.conftest import SECOND_APP, Town
from wechat.sandbox.faults import Fault

CODE = "/wxa/getwxacodeunlimit"


def hired(town: Town) -> None:
    with town.inside(), transaction():
        operators.add(handle="lin", name="lin", at=clock.now())


def test_a_question_is_answered_in_wechat(town: Town) -> None:
    alice = town.phone("alice")
    hired(town)
    town.wechat("say", user="alice", text="积分没有到账")
    town.wechat("say", user="alice", text="昨天坐的地铁")
    town.work()
    listed = town.flask("tickets", "list")
    assert "昨天坐的地铁" in listed and alice.openid not in town.flask("tickets", "list", "--json")
    number = str(town.sql("select id from tickets")[0].id)
    assert town.flask("tickets", "answer", number, "已为您核实，稍后到账。", "--as", "lin").strip().endswith("sent")
    got = [one["data"]["content"] for one in town.wechat_inbox() if one["kind"] == "service"]
    assert got == ["已为您核实，稍后到账。"]
    assert [row.delivery for row in town.sql("select delivery from ticket_lines order by id")] == [None, None, "sent"]
    town.flask("tickets", "close", number, "--as", "lin")
    assert "state_conflict" in town.flask("tickets", "answer", number, "x", "--as", "lin", exit_code=1)
    town.wechat("say", user="alice", text="还有一个问题")
    town.work()
    assert len(town.sql("select 1 from tickets")) == 2, "after a closed one a new one begins"
    export = alice.get("/me/export")["data"]["tickets"]
    assert [one["mine"] for one in export] == [True, True, False, True]


def test_after_48_hours_the_answer_lies_in_the_applet(town: Town) -> None:
    alice = town.phone("alice")
    hired(town)
    town.wechat("say", user="alice", text="在吗")
    town.work()
    number = str(town.sql("select id from tickets")[0].id)
    town.change("update tickets set last_wrote_at = now() - interval '49 hours'")
    assert "inbox" in town.flask("tickets", "answer", number, "在的", "--as", "lin")
    assert alice.get("/notices")["items"][0]["text"] == "客服回复：在的"
    town.change("update tickets set last_wrote_at = now()")
    town.box.clock.advance(50 * 3600)  # WeChat knows better: its window is closed (45015)
    assert "inbox" in town.flask("tickets", "answer", number, "还在", "--as", "lin")
    assert alice.get("/notices")["items"][0]["text"] == "客服回复：还在"


def test_whoever_never_signed_in_is_answered_in_wechat_or_not_at_all(town: Town) -> None:
    hired(town)
    town.box.user("stranger")
    town.wechat("say", user="stranger", text="怎么加入")
    town.work()
    number = str(town.sql("select id from tickets where person_id is null")[0].id)
    assert "sent" in town.flask("tickets", "answer", number, "扫码即可", "--as", "lin")
    town.change("update tickets set last_wrote_at = now() - interval '49 hours'")
    assert "failed" in town.flask("tickets", "answer", number, "晚了", "--as", "lin", exit_code=1)


def test_a_scanned_code_invites_into_a_program(town: Town, tmp_path: Path) -> None:
    hired(town)
    alice, out = town.phone("alice"), tmp_path / "code.png"
    town.wechat("pages", version="develop", pages=["pages/join/index"])
    words = ("--program", town.world.code, "--uses", "1", "--as", "lin")
    town.flask("wechat", "code", *words, "--out", str(out))
    assert out.read_bytes().startswith(b"\x89PNG")
    scene = town.box.mini.codes.drawn[-1].rpartition("scene=")[2]
    assert len(scene) <= 32 and town.world.code not in scene
    meant = alice.post("/scenes/resolve", {"scene": scene})
    assert (meant["purpose"], meant["payload"]["program"]) == ("invitation", town.world.code)
    joined = {"terms_version": 1, "invitation": meant["payload"]["invitation"]}
    assert alice.post(f"/programs/{town.world.code}/join", joined)["state"] == "active"
    bob = town.phone("bob")
    bob.refused("POST", f"/programs/{town.world.code}/join", 422, json=joined)
    assert scene not in str(town.sql("select payload, token_hash from scenes"))
    town.flask("wechat", "revoke", str(town.sql("select id from scenes")[0].id), "--as", "lin")
    for wrong in (scene, "x" * 24):
        assert bob.refused("POST", "/scenes/resolve", 422, json={"scene": wrong}) == "scene_invalid"
    for _ in range(8):
        bob.refused("POST", "/scenes/resolve", 422, json={"scene": "y" * 24})
    assert bob.refused("POST", "/scenes/resolve", 429, json={"scene": scene}) == "too_many"


def test_the_same_image_is_made_once(town: Town) -> None:
    from courier import codes, find

    town.wechat("pages", version="develop", pages=["pages/join/index"])
    with town.inside():
        app = find(None)
        assert app is not None
        first = codes.code_image(app, page="pages/join/index", scene="abc")
        assert codes.code_image(app, page="pages/join/index", scene="abc") == first
        codes.code_image(app, page="pages/join/index", scene="abc", width=500)
    assert len([one for one in town.box.journal if one.get("path") == CODE]) == 2


def test_a_link_ends_and_wechats_refusals_are_told_plainly(town: Town) -> None:
    hired(town)
    words = ("--program", town.world.code, "--uses", "5", "--as", "lin")
    town.wechat("pages", version="release", pages=["pages/join/index"], released=True)
    made = town.flask("wechat", "link", *words, "--days", "30").strip()
    assert made.startswith("https://")
    told = json.loads(town.flask("wechat", "link-info", made, "--json"))[0]
    ends = datetime.fromisoformat(told["ends"]) - clock.now()
    assert (told["page"], told["query"][:6], ends.days) == ("pages/join/index", "scene=", 29)
    assert "85403" in town.flask("wechat", "link-info", "https://wxaurl.local/none", exit_code=1)
    town.box.state.faults.planted.append(Fault("/wxa/generate_urllink", "errcode", errcode=40002))
    assert "40002" in town.flask("wechat", "link", *words, exit_code=1)
    town.flask("wechat", "assign", "--program", town.world.code, "--app", SECOND_APP, "--as", "lin")
    town.flask("wechat", "assign", "--program", town.world.code, "--app", "wxnone", "--as", "lin", exit_code=2)
    kept = town.sql("select wechat_appid from programs where code = %(code)s", code=town.world.code)
    assert kept[0].wechat_appid == SECOND_APP
