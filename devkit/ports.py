"""A free TCP port on 127.0.0.1, kept for us until we end."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass

HOST = "127.0.0.1"
TRIES = 200


class PortTaken(Exception):
    """The port that was asked for is in use."""


@dataclass(frozen=True)
class Reserved:
    """A port and the sign that it is ours."""

    number: int
    sign: socket.socket


def reserve(first: int, *, exactly: bool = False) -> Reserved:
    """The first free port from `first` on. Raises PortTaken when `exactly` that one is wanted and it is in use.

    gunicorn binds with SO_REUSEPORT, so two checkouts could share one port without an error. Two guards against that:
    the trial bind is made without the flag and fails while anybody listens; and a UDP socket on the same number, which
    can have one owner only, is the sign for others who start at this moment. The kernel drops it when we die.
    """
    for number in range(first, first + (1 if exactly else TRIES)):
        sign = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sign.bind((HOST, number))
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # past connections in TIME_WAIT don't count
                trial.bind((HOST, number))
            return Reserved(number, sign)
        except OSError as error:
            sign.close()
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
    raise PortTaken(f"port {first} is in use" if exactly else f"no free port from {first} to {first + TRIES - 1}")
