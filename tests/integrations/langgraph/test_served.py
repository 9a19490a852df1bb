"""What operators serve with `langgraph dev`: the configuration is a valid one, and its graph answers over HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from langgraph_cli.config import validate_config_file

from tests.support.ports import free_ports

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "integrations" / "langgraph" / "langgraph.json"


def test_the_configuration_is_valid() -> None:
    found: Any = validate_config_file(CONFIG)
    path, name = found["graphs"]["think"]["path"].split(":")
    assert f"\n{name} = " in (CONFIG.parent / path).read_text()


@pytest.fixture
def served(tmp_path: Path) -> Generator[str]:
    """The address of `langgraph dev`."""
    (port,) = free_ports(1)
    # It finds graphs from where it runs, and writes there: a folder of its own, that looks like ours.
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    folder = tmp_path / "integrations" / "langgraph"
    folder.mkdir(parents=True)
    (folder / CONFIG.name).write_text(CONFIG.read_text())
    command = [sys.executable, "-m", "langgraph_cli", "dev"]
    options = ["--port", str(port), "--no-browser", "--no-reload"]
    surroundings = {**os.environ, "LANGSMITH_TRACING": "false", "PYTHONPATH": str(ROOT)}
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, *options], cwd=folder, env=surroundings, stdout=log, stderr=log, start_new_session=True
        )
        yield f"http://127.0.0.1:{port}"
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


@pytest.mark.enable_socket
@pytest.mark.timeout(180)
def test_the_graph_is_served(served: str) -> None:
    deadline = time.monotonic() + 120
    while not _healthy(served):
        assert time.monotonic() < deadline, "langgraph dev does not start"
        time.sleep(0.2)
    question = {"messages": [{"role": "user", "content": "Numbers: 26 45 27 21 Target: 18"}]}
    asked = urllib.request.Request(
        f"{served}/runs/wait",
        json.dumps({"assistant_id": "think", "input": question}).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(asked, timeout=60) as answer:
        state = json.load(answer)
    assert "answer: " in state["messages"][-1]["content"]
    assert state["messages"][-1]["usage_metadata"]["input_token_details"]["cache_read"] > 0


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/ok", timeout=5):
            return True
    except (urllib.error.URLError, ConnectionError):
        return False
