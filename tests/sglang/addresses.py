"""Where the real servers are that `make test-sglang` starts; a test under the marker `sglang` asks here."""

from __future__ import annotations

import os

import pytest


def address(name: str) -> str:
    """The value of this environment variable. The test fails where the servers were not started."""
    value = os.environ.get(name)
    if not value:
        pytest.fail(f"{name} is not set: tests marked sglang need real servers; run make test-sglang", pytrace=False)
    return value
