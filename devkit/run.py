"""`dev.py run`: from nothing to a running product with a demo in it, and back to nothing on Ctrl-C."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import IO

from devkit import ROOT, VAR
from devkit.commands import FLASK, given, only_run, using
from devkit.ports import HOST, PortTaken, Reserved, reserve
from devkit.servers import Servers, ServersError, tail
from devkit.supervisor import Child, ChildFailed, Supervisor

READY_SECONDS = 60.0
DEMO = VAR / "demo"
WECHAT = DEMO / "wechat"
TEMPLATES = "record=local-record,credits=local-credits,order=local-order,daily=local-daily,account=local-account"


def run(arguments: list[str]) -> int:
    """Start everything, print the addresses, watch until a signal. Exit 0 after a signal, 1 after a failure."""
    options = _options(arguments)
    started = time.monotonic()
    servers = None if given() else Servers("demo")
    DEMO.mkdir(parents=True, exist_ok=True)
    with only_run() as guard:
        supervisor = Supervisor(DEMO / "children.json")
        supervisor.end_leftovers()
        try:
            supervisor.listen()
            web = reserve(options.port or 8000, exactly=bool(options.port))
            wechat, *pay = (reserve(9101), reserve(9111), reserve(9121))
            with using(servers):
                try:
                    _bring_up(supervisor, servers, web, [wechat, *pay], guard)
                    _say(web, wechat, time.monotonic() - started)
                    supervisor.watch()
                finally:
                    supervisor.stop()
        except (ChildFailed, PortTaken) as failure:
            print(f"dev.py run: {failure}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\nended; the demo's data stays in var/demo (`make reset` forgets it)", file=sys.stderr)
        finally:
            (VAR / "env").unlink(missing_ok=True)
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dev.py run", description="Start everything with a demo in it.")
    parser.add_argument("--port", type=int, help="exactly this port (default: 8000 or the next free one)")
    return parser.parse_args(arguments)


def _bring_up(sup: Supervisor, servers: Servers | None, web: Reserved, wechat: list[Reserved], guard: IO[str]) -> None:
    """Settings, local WeChat, migrations, demo, web processes, worker; returns when /readyz says so."""
    address = f"http://{HOST}:{web.number}"
    environ = _environ(servers, address, [f"http://{HOST}:{port.number}" for port in wechat])
    _write_env(environ)
    guard.truncate(0)
    guard.write(address)
    guard.flush()
    python = sys.executable
    ports = zip(("--port", "--pay-port", "--backup-port"), wechat, strict=True)
    sandbox = [python, "-m", "wechat.sandbox", "--state", str(WECHAT)]
    sandbox += [word for name, port in ports for word in (name, str(port.number))]
    sandbox += ["--push-url", f"{address}/wechat/push/{{appid}}"]
    sup.start(Child("wechat", sandbox, environ, DEMO / "wechat.log"))
    _step("migrations", ["db", "upgrade"], environ)
    _step("demo", ["demo", "seed"], environ)
    gunicorn = [python, "-m", "gunicorn", "wsgi:create_app()"]
    sup.start(Child("web", gunicorn, environ, DEMO / "web.log"))
    sup.start(Child("worker", [*FLASK, "worker"], environ, DEMO / "worker.log"))
    _await_ready(sup, address)


def _environ(servers: Servers | None, address: str, wechat: list[str]) -> dict[str, str]:
    metrics = DEMO / "metrics"
    metrics.mkdir(exist_ok=True)
    for old in metrics.glob("*.db"):
        old.unlink(missing_ok=True)
    return {
        **({} if servers is None else servers.environ()),
        "DIANDI_ENV": os.environ.get("DIANDI_ENV", "development"),
        **{name: os.environ.get(name, value) for name, value in _wechat(address, *wechat).items()},
        "PUBLIC_BASE_URL": os.environ.get("PUBLIC_BASE_URL", address),
        "WECHAT_TEMPLATES": os.environ.get("WECHAT_TEMPLATES", TEMPLATES),
        "MEDIA_FOLDER": os.environ.get("MEDIA_FOLDER", str(DEMO / "media")),
        "HOST": HOST,
        "PORT": address.rpartition(":")[2],
        "PROMETHEUS_MULTIPROC_DIR": str(metrics),
    }


def _wechat(address: str, api: str, pay: str, backup: str) -> dict[str, str]:
    """The settings that make the local WeChat ours: its keys are made at the first start, by a process of their own."""
    init = [sys.executable, "-m", "wechat.sandbox", "init", "--state", str(WECHAT)]
    if subprocess.run(init, cwd=ROOT).returncode != 0:
        raise ServersError("the local WeChat could not make its keys (see above)")
    lines = (line.partition("=") for line in (WECHAT / "application.env").read_text().splitlines())
    addresses = {"WECHAT_API_BASE": api, "WECHAT_PAY_BASE": pay, "WECHAT_PAY_BACKUP": backup}
    return {**{name: value for name, _, value in lines}, **addresses, "WECHAT_PAY_NOTIFY_BASE": address}


def _write_env(environ: dict[str, str]) -> None:
    """For `flask ...` in a second terminal; see app/config.py."""
    draft = VAR / "env.new"
    draft.touch(mode=0o600)
    text = "".join(f"{key}={value}\n" for key, value in environ.items() if key != "PROMETHEUS_MULTIPROC_DIR")
    draft.write_text(f"# written by `dev.py run`, gone when it ends\n{text}")
    draft.replace(VAR / "env")


def _step(name: str, words: list[str], environ: dict[str, str]) -> None:
    """One command of the product on the way up."""
    log = DEMO / f"{name}.log"
    with open(log, "wb") as out:
        done = subprocess.run([*FLASK, *words], cwd=ROOT, env={**os.environ, **environ}, stdout=out, stderr=out)
    if done.returncode != 0:
        raise ServersError(f"`flask {' '.join(words)}` failed; the end of {log}:\n{tail(log)}")


def _await_ready(sup: Supervisor, address: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    said = "no answer yet"
    while time.monotonic() < deadline:
        sup.check()
        try:
            with urllib.request.urlopen(f"{address}/readyz", timeout=5) as answer:
                if answer.status == 200:
                    return
        except urllib.error.HTTPError as error:
            said = error.read(2000).decode(errors="replace")
        except OSError as error:
            said = str(error)
        time.sleep(0.1)
    raise ChildFailed(f"{address}/readyz isn't content after {READY_SECONDS:.0f} s: {said}\n{tail(DEMO / 'web.log')}")


def _say(web: Reserved, wechat: Reserved, seconds: float) -> None:
    address = f"http://{HOST}:{web.number}"
    print(f"\nDiandi 点滴 is ready after {seconds:.1f} s (Ctrl-C ends it)\n")
    pages = (("mini-program API", "/api/v1"), ("public pages", "/public"), ("API docs", "/docs"), ("health", "/readyz"))
    for what, path in pages:
        print(f"  {what:18} {address}{path}")
    print(f"  {'local WeChat':18} http://{HOST}:{wechat.number}")
    print(f"  {'logs':18} {DEMO.relative_to(ROOT)}/*.log\n")
    shown = subprocess.run([*FLASK, "demo", "logins"], cwd=ROOT, capture_output=True, text=True)
    print(shown.stdout, flush=True)
