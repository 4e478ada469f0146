"""A mini-program that lives: the application served over HTTP, a local WeChat that is asked and that pushes, a worker
that the test moves by hand. Commits are real; the database is cloned anew afterwards."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from werkzeug.serving import make_server

from app import clock, config
from app.db import db, run, transaction
from courier import clients as courier_apps
from jobs.tasks import TASKS
from tests import world
from tests.wechat.sandboxes import keys
from tests.world import World
from wechat.sandbox.box import Sandbox

TEMPLATES = {"record": "T-record", "credits": "T-credits", "order": "T-order", "account": "T-account"}
SECOND_APP = "wxlocal000000000002"


def noon() -> datetime:
    """A time at which nobody in Shanghai sleeps, and never a past one: an address signed then must work now. Noon, or
    in a minute in the afternoon, or tomorrow's noon in the evening."""
    at = clock.now()
    today = clock.day_start(clock.business_day(at)) + timedelta(hours=12)
    if at <= today:
        return today
    return at + timedelta(minutes=1) if at < today + timedelta(hours=9) else today + timedelta(days=1)


@dataclass
class Phone:
    """One device of a user of the local WeChat, signed in."""

    town: Town
    user: str
    token: str = ""
    person_id: int = 0

    def call(self, method: str, path: str, status: int = 200, **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        answer = requests.request(method, f"{self.town.base}/api/v1{path}", headers=headers, timeout=20, **more)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    def get(self, path: str, status: int = 200) -> Any:
        return self.call("GET", path, status)

    def post(self, path: str, body: Any, status: int = 200) -> Any:
        return self.call("POST", path, status, json=body)

    def put(self, path: str, body: Any, status: int = 200) -> Any:
        return self.call("PUT", path, status, json=body)

    def refused(self, method: str, path: str, status: int, **more: Any) -> str:
        return str(self.call(method, path, status, **more)["error"]["code"])

    def upload(self, body: bytes, purpose: str = "avatar", status: int = 201, **files: Any) -> Any:
        sent = {"file": ("x.bin", body, "image/jpeg"), **files}
        return self.call("POST", "/media", status, files=sent, data={"purpose": purpose})

    def profile(self, **changes: Any) -> Any:
        whole = {"nickname": None, "avatar_url": None, "language": "zh", "show_name": True, "on_boards": True}
        return self.put("/me", {**whole, **changes})

    def sign_in(self, app: str | None = None, **changes: Any) -> Any:
        code = self.town.box.apps[app or self.town.box.identity.appid].state.new_code(self.user)
        self.token = ""
        body = {"code": code, "device": "test", "of_age": True, "app": app, **changes}
        answer = self.post("/sign-in", body)
        self.token, self.person_id = answer["token"], int(answer["person_id"])
        return answer

    @property
    def openid(self) -> str:
        return self.town.box.user(self.user).openid


@dataclass
class Town:
    """What a test acts on."""

    app: Any
    box: Sandbox
    base: str
    world: World
    phones: dict[str, Phone] = field(default_factory=dict)

    def phone(self, user: str) -> Phone:
        """Somebody who has signed in and belongs to no program."""
        self.box.user(user)
        made = Phone(self, user)
        made.sign_in()
        return made

    def member(self, user: str) -> Phone:
        """Somebody who has signed in, joined and agreed to everything."""
        from app import programs

        made = self.phone(user)
        with self.inside(), transaction():
            world.join(programs.by_code(self.world.code), person_id=made.person_id, at=clock.now())
        return made

    def wechat(self, call: str, **body: Any) -> Any:
        """Move the local WeChat."""
        answer = requests.post(f"{self.box.api_base}/_sandbox/{call}", json=body, timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def wechat_inbox(self) -> list[dict[str, Any]]:
        """What people see in WeChat, the newest first."""
        found: list[dict[str, Any]] = requests.get(f"{self.box.api_base}/_sandbox/inbox", timeout=10).json()["messages"]
        return found

    @contextmanager
    def inside(self) -> Iterator[None]:
        with self.app.app_context():
            try:
                yield
            finally:
                db.session.remove()

    def work(self, at: datetime | None = None) -> int:
        """Everything that is queued for now, as the worker does it; answers how many jobs ran."""
        assert self.box.agenda.quiet()
        done = 0
        with self.inside(), clock.frozen(at or noon()):
            while True:
                with transaction():
                    rows = run(
                        "delete from procrastinate_jobs where id = (select min(id) from procrastinate_jobs"
                        " where status = 'todo' and (scheduled_at is null or scheduled_at <= %(at)s))"
                        " returning task_name, args",
                        {"at": clock.now()},
                    )
                if not rows:
                    return done
                TASKS[rows[0].task_name](**rows[0].args)
                done += 1

    def sweep(self, at: datetime | None = None) -> int:
        from jobs.wechat import sweep

        with self.inside(), clock.frozen(at or noon()):
            return sweep()

    def sql(self, query: str, **values: Any) -> list[Any]:
        with self.inside():
            return run(query, values)

    def change(self, query: str, **values: Any) -> None:
        with self.inside(), transaction():
            run(query, values)

    def flask(self, *words: str, exit_code: int = 0) -> str:
        done = self.app.test_cli_runner().invoke(args=list(words))
        assert done.exit_code == exit_code, done.output
        return str(done.output)


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(keys()[0]) as running:
        running.mini.switches.media_seconds = 0.0
        yield running


@pytest.fixture
def town(clean_db: Any, box: Sandbox, slot: Any, tmp_path: Path) -> Iterator[Town]:
    """A city program, the application wired to the local WeChat as by settings."""
    from wechat.login import Login

    server = make_server("127.0.0.1", 0, clean_db, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    base = f"http://127.0.0.1:{server.server_port}"
    settings = config.load(
        {
            "DIANDI_ENV": "test",
            "DATABASE_URL": slot.database_url,
            "REDIS_URL": slot.redis_url,
            **box.environ(keys()[1], tmp_path, base),
            "PUBLIC_BASE_URL": base,
            "WECHAT_ENV_VERSION": "develop",
            "WECHAT_TEMPLATES": ",".join(f"{name}={found}" for name, found in TEMPLATES.items()),
            "WECHAT_MORE_APPS": SECOND_APP,
            f"WECHAT_SECRET_{SECOND_APP}": "second-secret",
            "MEDIA_FOLDER": str(tmp_path / "media"),
        }
    )
    box.add_app(SECOND_APP, "second-secret")
    box.mini.push.url = f"{base}/wechat/push/{box.identity.appid}"
    before = {name: clean_db.extensions[name] for name in (courier_apps.EXTENSION, "wechat_login")}
    old_settings, clean_db.config["SETTINGS"] = clean_db.config["SETTINGS"], settings
    clean_db.extensions[courier_apps.EXTENSION] = courier_apps.make(settings)
    main = settings.apps[0]
    clean_db.extensions["wechat_login"] = Login(appid=main.appid, secret=main.secret, base=settings.wechat_api_base)
    with clean_db.app_context():
        with transaction():
            made = world.build(people=0, at=clock.now())
        db.session.remove()
    try:
        yield Town(clean_db, box, base, made)
    finally:
        clean_db.extensions.update(before)
        clean_db.config["SETTINGS"] = old_settings
        box.agenda.stop()
        server.shutdown()
        thread.join(10)
        server.server_close()


def until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something that other threads do."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it didn't come"
        time.sleep(0.02)
