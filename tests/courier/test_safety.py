"""Nothing that a person writes or uploads is seen by others before it has passed; WeChat away means pending."""

from __future__ import annotations

import io
import time
from datetime import timedelta

import pytest
import requests
from PIL import Image

from app import clock, operators
from app.db import transaction
from tests.courier.conftest import Phone, Town, noon
from wechat.sandbox.faults import Fault

TEXT, MEDIA = "/wxa/msg_sec_check", "/wxa/media_check_async"


def picture(form: str = "JPEG", *, size: tuple[int, int] = (900, 600), exif: bool = True) -> bytes:
    """A picture with a place in its metadata."""
    made = Image.new("RGB", size, "green")
    out = io.BytesIO()
    if exif and form == "JPEG":
        data = Image.Exif()
        data[0x010E] = "canary-description"
        data.get_ifd(0x8825)[1] = "N"
        made.save(out, form, exif=data, comment=b"canary-comment")
    else:
        made.save(out, form)
    return out.getvalue()


def add_operators(town: Town) -> None:
    with town.inside(), transaction():
        for handle in ("lin", "wu"):
            operators.add(handle=handle, name=handle, at=clock.now())


def name_of(phone: Phone) -> tuple[str | None, str | None]:
    shown = phone.get("/me")
    return shown["nickname"], shown["nickname_pending"]


def test_a_nickname_is_shown_when_it_has_passed(town: Town) -> None:
    alice = town.phone("alice")
    alice.profile(nickname="小点滴")
    assert name_of(alice) == (None, "小点滴")
    assert town.work() == 1
    assert name_of(alice) == ("小点滴", None)
    alice.profile(nickname="色情")
    assert name_of(alice) == ("小点滴", "色情"), "the old name stays meanwhile"
    town.work()
    assert name_of(alice) == ("小点滴", None)
    told = [one["kind"] for one in alice.get("/notices")["items"]]
    assert told == ["text.refused"]
    kept = town.sql("select state, label, trace_id is not null as traced from text_checks order by id")
    assert [tuple(row) for row in kept] == [("pass", 100, True), ("risky", 20002, True)]
    assert town.box.journal.violations == []


def test_a_doubtful_one_waits_for_a_person(town: Town) -> None:
    alice = town.phone("alice")
    add_operators(town)
    alice.profile(nickname="傻瓜")
    town.work()
    assert name_of(alice) == (None, "傻瓜")
    number = town.sql("select id from text_checks")[0].id
    assert "傻瓜" in town.flask("safety", "list")
    town.flask("safety", "decide", "text", str(number), "pass", "--as", "lin")
    assert name_of(alice) == ("傻瓜", None)
    assert "checked_twice" in town.flask("safety", "decide", "text", str(number), "risky", "--as", "wu", exit_code=1)


def test_a_thought_again_replaces_what_waits(town: Town) -> None:
    alice = town.phone("alice")
    alice.profile(nickname="一")
    alice.profile(nickname="二")
    town.work()
    assert name_of(alice) == ("二", None)
    alice.profile(nickname="三")
    alice.profile(nickname="二")
    town.work()
    assert name_of(alice) == ("二", None), "back to the name that stands: nothing is left to check"


@pytest.mark.parametrize("kind", ["busy", "http500", "html", "rate", "quota", "truncated"])
def test_wechat_away_is_pending_and_comes_again(town: Town, kind: str) -> None:
    alice = town.phone("alice")
    town.box.state.faults.planted.append(Fault(TEXT, kind, times=9))
    alice.profile(nickname="等等")
    town.work()
    assert name_of(alice) == (None, "等等")
    assert town.sweep() == 0, "not at once"
    town.box.state.faults.planted.clear()
    assert town.sweep(noon() + timedelta(days=1)) == 1
    assert name_of(alice) == ("等等", None)


def test_a_wechat_that_hangs_does_not_hold_the_sweep(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    from jobs.wechat import sweep

    people = [town.phone(name) for name in ("alice", "bob", "chen", "erin")]
    town.box.state.faults.planted.append(Fault(TEXT, "delay", times=99, seconds=0.6))
    for number, person in enumerate(people):
        person.profile(nickname=f"滴滴{number}")
    monkeypatch.setattr("jobs.wechat.SWEEP_SECONDS", 1.0)
    with town.inside(), clock.frozen(noon() + timedelta(minutes=10)):
        began = time.monotonic()
        assert 1 <= sweep() < 4
        assert time.monotonic() - began < 3
    town.box.state.faults.planted.clear()
    with town.inside(), clock.frozen(noon() + timedelta(minutes=10)):
        sweep()
    assert town.sql("select 1 from text_checks where state = 'pending'") == []


def test_whoever_was_not_here_lately_is_checked_when_back(town: Town) -> None:
    """61010: WeChat checks only what people write who were here within two hours."""
    alice = town.phone("alice")
    alice.profile(nickname="回来")
    town.box.clock.advance(3 * 3600)
    town.work()
    assert name_of(alice) == (None, "回来")
    assert town.sweep(noon() + timedelta(days=3)) == 0
    alice.sign_in()
    assert town.sweep(clock.now() + timedelta(minutes=1)) == 1
    assert name_of(alice) == ("回来", None)


def test_a_nickname_of_2500_characters_is_refused(town: Town) -> None:
    whole = {"nickname": "长" * 2500, "avatar_url": None, "language": "zh", "show_name": True, "on_boards": True}
    assert town.phone("alice").refused("PUT", "/me", 422, json=whole) == "invalid_field"


def test_an_avatar_is_its_owners_until_it_has_passed(town: Town) -> None:
    alice = town.phone("alice")
    made = alice.upload(picture())
    assert (made["state"], made["width"], alice.get("/me")["avatar_url"]) == ("pending", 512, None)
    bare = made["url"].partition("?")[0]
    assert requests.get(bare, timeout=5).status_code == 404, "nobody sees it"
    mine = requests.get(made["url"], timeout=5)
    assert (mine.status_code, mine.headers["Content-Type"]) == (200, "image/jpeg")
    assert b"canary" not in mine.content and b"Exif" not in mine.content
    forged = made["url"][:-1] + ("1" if made["url"].endswith("0") else "0")
    assert requests.get(forged, timeout=5).status_code == 404
    town.work()  # asked
    town.work()  # the verdict was pushed
    shown = alice.get("/media")["items"][0]
    assert (shown["state"], shown["url"]) == ("pass", bare)
    assert alice.get("/me")["avatar_url"] == bare
    assert requests.get(bare, timeout=5).headers["Cache-Control"].startswith("public")
    alice.profile(avatar_url=bare)
    assert alice.get("/me")["avatar_url"] == bare, "a profile sent back as it was keeps it"
    alice.call("DELETE", f"/media/{made['id']}", 204)
    assert (alice.get("/me")["avatar_url"], requests.get(bare, timeout=5).status_code) == (None, 404)
    from jobs.wechat import purge

    with town.inside():
        purge()
    assert town.sql("select 1 from media") == []


def test_a_verdict_may_come_before_the_answer(town: Town) -> None:
    alice = town.phone("alice")
    town.box.mini.switches.media_event_first = True
    town.box.mini.safety.verdicts["/media/"] = ("risky", 20002)
    alice.upload(picture("PNG"))
    town.work()
    town.work()
    assert alice.get("/media")["items"][0]["state"] == "risky"
    assert alice.get("/me")["avatar_url"] is None
    assert [one["kind"] for one in alice.get("/notices")["items"]] == ["picture.refused"]


def test_a_verdict_that_is_heard_before_the_trace_is_known(town: Town) -> None:
    """The job that works on the event overtakes the one that asks: the verdict waits for its picture."""
    from app import media

    alice = town.phone("alice")
    made = int(alice.upload(picture())["id"])
    with town.inside(), transaction():
        known = media.heard(trace_id="t-1", suggest="pass", label=100, errcode=0, at=clock.now())
    assert known is False
    with town.inside(), transaction():
        media.asked(medium_id=made, trace_id="t-1", at=clock.now())
    assert alice.get("/media")["items"][0]["state"] == "pass"


def test_a_verdict_that_never_comes_is_asked_for_again(town: Town) -> None:
    alice = town.phone("alice")
    town.box.mini.push.url = ""
    alice.upload(picture())
    town.work()
    assert town.sweep(noon() + timedelta(minutes=1)) == 0
    town.box.mini.push.url = f"{town.base}/wechat/push/{town.box.identity.appid}"
    # The signed address must still work by the clock of the server, so the wait is shortened, not the clock moved.
    town.change("update media set look_at = now() - interval '1 second'")
    assert town.sweep(clock.now()) == 1
    town.work()
    assert alice.get("/media")["items"][0]["state"] == "pass"


def test_a_picture_that_wechat_cannot_fetch_goes_to_a_person(town: Town) -> None:
    alice = town.phone("alice")
    add_operators(town)
    made = alice.upload(picture())
    town.change("update media set name = 'gone' || name")  # the address that WeChat is given leads nowhere
    town.work()
    town.work()
    assert town.sweep(noon() + timedelta(hours=1)) == 1
    town.work(noon() + timedelta(hours=1))
    assert alice.get("/media")["items"][0]["state"] == "review"
    town.flask("safety", "decide", "picture", made["id"], "risky", "--as", "lin")
    assert alice.get("/media")["items"][0]["state"] == "risky"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "image_refused"),
        (b"<html><script>alert(1)</script></html>", "image_refused"),
        (b"\xff\xd8\xff\xe0 no picture behind", "image_refused"),
        (b"GIF89a" + b"\x00" * 50, "image_refused"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image_refused"),
        (b"x" * (5 * 1024 * 1024 + 100 * 1024), "image_too_large"),
    ],
)
def test_an_image_that_is_none_is_refused(town: Town, body: bytes, code: str) -> None:
    alice = town.phone("alice")
    status = 413 if code == "image_too_large" else 422
    assert alice.upload(body, status=status)["error"]["code"] == code
    assert town.sql("select 1 from media") == []


def test_a_form_is_read_strictly(town: Town) -> None:
    alice = town.phone("alice")
    assert alice.upload(picture(), purpose="passport", status=422)["error"]["code"] == "invalid_field"
    assert alice.upload(picture(), status=422, more=("y", b"1"))["error"]["code"] == "invalid_field"
    assert alice.refused("POST", "/media", 415, json={"file": "x"}) == "unsupported_type"
    bomb = picture("PNG", size=(7000, 6000), exif=False)
    assert alice.upload(bomb, status=413)["error"]["code"] == "image_too_large"


def test_only_so_many_pictures_wait_at_once_and_none_is_left_behind(town: Town) -> None:
    alice, body = town.phone("alice"), picture("PNG", size=(8, 8))
    for _ in range(10):
        alice.upload(body)
    assert alice.upload(body, status=409)["error"]["code"] == "medium_limit"
    folder = town.app.config["SETTINGS"].media_folder
    assert len([path for path in folder.rglob("*") if path.is_file()]) == 10
