"""Ports for servers that have to be told theirs before they start."""

from __future__ import annotations

import random
import socket

GIVEN_OUT = range(10_000, 32_768)
"""Below those that systems hand to whoever names none (Linux: 32768 and up, macOS: 49152 and up): of these, an outgoing
connection or another server's inner port may get one before the server that it was found for listens."""


def free_ports(count: int) -> list[int]:
    """Different ports of this machine that nobody listens on now. Raises OSError where there are not so many."""
    found: list[int] = []
    for port in random.sample(GIVEN_OUT, len(GIVEN_OUT)):
        if len(found) == count:
            return found
        if _is_free(port):
            found.append(port)
    raise OSError(f"fewer than {count} free ports from {GIVEN_OUT.start} to {GIVEN_OUT.stop - 1}")


def _is_free(port: int) -> bool:
    """On all addresses: some servers listen on all."""
    with socket.socket() as one:
        try:
            one.bind(("", port))
        except OSError:
            return False
        return True
