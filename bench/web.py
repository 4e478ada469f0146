"""The web processes as in production, for a benchmark."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 30.0


@contextmanager
def served(environ: Mapping[str, str] | None = None) -> Iterator[tuple[str, int]]:
    """gunicorn with the committed settings on a free port; answers its address, ends it afterwards.

    It serves the product with the twin of `bench/twin.py` beside it.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="diandi-bench-") as folder:
        settings = {**os.environ, **(environ or {}), "PORT": str(port), "HOST": "127.0.0.1", "LOG_LEVEL": "INFO"}
        settings["PROMETHEUS_MULTIPROC_DIR"] = folder  # counting costs, and production counts
        with open(Path(folder) / "web.log", "wb") as log:
            command = [sys.executable, "-m", "gunicorn", "bench.twin:create_app()"]
            server = subprocess.Popen(command, cwd=ROOT, env=settings, stdout=log, stderr=log)
        try:
            _await(server, ("127.0.0.1", port), Path(folder) / "web.log")
            yield "127.0.0.1", port
        finally:
            server.terminate()
            server.wait(30)


def _await(server: subprocess.Popen[bytes], address: tuple[str, int], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RuntimeError(f"the web server ended while starting:\n{log.read_text()[-2000:]}")
        try:
            with socket.create_connection(address, timeout=1) as link:
                link.sendall(b"GET /healthz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
                if link.recv(100).startswith(b"HTTP/1.1 200"):
                    return
        except OSError:
            pass
        time.sleep(0.1)
    raise RuntimeError("the web server didn't answer")
