"""gunicorn's settings: `gunicorn 'wsgi:create_app()'` reads this file by itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

bind = f"{os.environ.get('HOST', '127.0.0.1')}:{os.environ.get('PORT', '8000')}"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "gthread"
threads = int(os.environ.get("WEB_THREADS", "12"))
# Each worker has a listening socket of its own: else one of them sometimes takes all keep-alive connections.
reuse_port = True
keepalive = 30
timeout = 30
graceful_timeout = 25
# A request line holds no codes and no tokens; longer ones are somebody's experiment.
limit_request_line = 4094
limit_request_fields = 60
# A control socket would be shared by all checkouts of one user.
control_socket_disable = True
# The heartbeat file on a slow disk can block a worker.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a folder for gunicorn's own file
# The product writes its own line per request, with an allow list of fields.
accesslog = None
errorlog = "-"
loglevel = "warning"


def on_starting(server: Any) -> None:
    """Files of an earlier run's processes would be read for ever; those of a living worker process stay."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if not folder:
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    for old in Path(folder).glob("*_*.db"):
        if not _alive(old.stem.rpartition("_")[2]):
            old.unlink(missing_ok=True)


def _alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def child_exit(server: Any, worker: Any) -> None:
    """A dead worker's gauges go, its counters stay."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(worker.pid)
