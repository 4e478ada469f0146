"""``python -m wechat.sandbox --port 8001``: run the local WeChat until it is told to end."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading

from wechat.sandbox.server import Server
from wechat.sandbox.state import State


def main() -> int:
    """0 after a signal, 2 when it must not start here."""
    parser = argparse.ArgumentParser(prog="python -m wechat.sandbox", description="A local WeChat, on loopback only.")
    parser.add_argument("--port", type=int, default=8001)
    port: int = parser.parse_args().port
    appid = os.environ.get("WECHAT_APPID", "wxlocal000000000001")
    secret = os.environ.get("WECHAT_SECRET", "local-wechat-secret")
    if os.environ.get("DIANDI_ENV") == "production":
        sys.stderr.write("wechat.sandbox: never in production (DIANDI_ENV=production)\n")
        return 2
    if not appid.startswith("wxlocal"):
        sys.stderr.write("wechat.sandbox: WECHAT_APPID names a real mini-program; it must begin with wxlocal here\n")
        return 2
    server = Server(port, State(appid, secret))
    for number in (signal.SIGTERM, signal.SIGINT):
        # shutdown() waits for the loop, which runs in this thread
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown, daemon=True).start())
    sys.stderr.write(f"local WeChat on http://127.0.0.1:{server.server_address[1]}\n")
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
