"""PostgreSQL refuses to run as root, so under root its processes become an ordinary user first.

That user may be unable to walk through the folders above a checkout (`/root` is closed to everybody). Instead of
opening folders that aren't ours, the process keeps one Linux capability: to search and read past permissions.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import sys
from collections.abc import Callable
from pathlib import Path

SERVER_USER = "nobody"
# From linux/prctl.h and linux/capability.h.
_PR_SET_PDEATHSIG, _PR_SET_SECUREBITS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 1, 28, 47, 2
# Without this bit setuid() drops every capability, and access() looks at the user alone.
_SECBIT_NO_SETUID_FIXUP = 1 << 2
_CAP_DAC_READ_SEARCH = 2
_CAPABILITY_VERSION_3 = 0x20080522


def server_ids() -> tuple[int, int] | None:
    """(uid, gid) that a server must run as, or None when this process may run it itself."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam(SERVER_USER)
    return entry.pw_uid, entry.pw_gid


def give(path: Path) -> None:
    """Make a folder belong to the server's user; nothing to do unless we are root."""
    ids = server_ids()
    if ids is not None:
        os.chown(path, *ids)


def before_server() -> Callable[[], None] | None:
    """What a child does between fork and exec to stop being root, or None when it isn't root."""
    ids = server_ids()
    if ids is None:
        return None
    libc = ctypes.CDLL(None, use_errno=True)  # loaded before the fork: the child must not import

    def become() -> None:
        keep = sys.platform == "linux" and libc.prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP, 0, 0, 0) == 0
        os.setgroups([])
        os.setgid(ids[1])
        os.setuid(ids[0])
        if keep:
            _keep_search(libc)

    return become


def _keep_search(libc: ctypes.CDLL) -> None:
    """Keep CAP_DAC_READ_SEARCH over exec. Where the kernel says no, the start reports what can't be read."""
    mask = 1 << _CAP_DAC_READ_SEARCH
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)  # effective, permitted, inheritable; then the upper half
    if libc.capset(header, data) == 0:
        libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_READ_SEARCH, 0, 0)


def before_child(end_with_parent: int) -> Callable[[], None] | None:
    """On Linux a child asks to get the signal `end_with_parent` when its parent dies, even by kill -9."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, end_with_parent, 0, 0, 0)
        if os.getppid() != parent:  # it died between fork and here
            os._exit(1)

    return ask
