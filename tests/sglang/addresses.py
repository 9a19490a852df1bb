"""Where the real servers are that `make test-sglang` starts; a test under the marker `sglang` asks here."""

from __future__ import annotations

import os


def address(name: str) -> str:
    """The value of this environment variable. Raises RuntimeError where the servers were not started."""
    value = os.environ.get(name)
    if not value:
        raise RuntimeError(f"{name} is not set: tests marked sglang need real servers; run `make test-sglang`")
    return value
