"""What a run says while it goes on: each token under the path of its branch; leaving the stream stops the engine."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from typing import Any, cast

import anyio
import pytest
from langchain_core.messages import AIMessageChunk
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import StreamMode

from apr_agents.clock import MonotonicClock
from apr_agents.engines.scripted import Reply, ScriptedEngine
from apr_agents.integrations.langgraph import reasoning_node
from apr_agents.runner import Settings
from tests.integrations.langgraph.graphs import ASKED, Graph, around, by_turn, config
from tests.support.scripts import THREADWEAVER, block, closed

SCRIPT: dict[str, Any] = {
    "": [block("a", "b"), "the end"],
    "1.1": Reply(closed(" w w w w"), token_seconds=1.0),
    "1.2": Reply(closed(" v v v v"), token_seconds=1.0),
}


def _parts(graph: Graph, mode: StreamMode) -> AsyncGenerator[Any]:
    """What a graph streams in this mode, graphs inside included."""
    return cast("AsyncGenerator[Any]", graph.astream(ASKED, config(), stream_mode=mode, subgraphs=True))


@pytest.fixture(params=["top", "inside", "saved"])
def graph(request: pytest.FixtureRequest) -> Graph:
    inner = reasoning_node(lambda: ScriptedEngine(by_turn(SCRIPT), THREADWEAVER), Settings(THREADWEAVER))
    return inner if request.param == "top" else around(inner, InMemorySaver() if request.param == "saved" else None)


async def test_messages_are_tagged_by_branch(graph: Graph) -> None:
    said: list[tuple[str, str]] = []
    async for _, (message, about) in _parts(graph, "messages"):
        if isinstance(message, AIMessageChunk):
            assert f"apr:{about['apr_path']}" in about["tags"]
            said.append((about["apr_path"], message.text))
    assert "".join(text for path, text in said if path == "1.1") == closed(" w w w w")
    assert "".join(text for path, text in said if not path) == block("a", "b") + "the end"
    branches = [path for path, _ in said if path]
    assert branches.index("1.2") < len(branches) - 1 - branches[::-1].index("1.1"), "one arrived behind the other"


async def test_custom_events_are_tagged_by_branch(graph: Graph) -> None:
    events = [event async for _, event in _parts(graph, "custom")]
    kinds = [event["type"] for event in events]
    assert kinds.count("ended") == 2
    assert kinds.index("forked") < kinds.index("ended") < kinds.index("synthesis")
    texts = [event["text"] for event in events if event["type"] == "generated" and event["path"] == "1.2"]
    assert "".join(texts) == closed(" v v v v")
    assert len(texts) > 4
    assert len({event["run_id"] for event in events}) == 1


async def test_a_token_arrives_before_its_branch_ends(graph: Graph) -> None:
    async for _, event in _parts(graph, "custom"):
        assert event["type"] != "ended"
        if event["type"] == "generated" and event["path"] == "1.1":
            return
    pytest.fail("no token of branch 1.1")


@pytest.mark.parametrize("mode", ["messages", "custom"])
async def test_leaving_the_stream_stops_every_branch(mode: StreamMode) -> None:
    script = {**SCRIPT, "1.1": Reply("w " * 500, token_seconds=0.1), "1.2": Reply("v " * 500, token_seconds=0.1)}
    async with ScriptedEngine(by_turn(script), THREADWEAVER, clock=MonotonicClock()) as engine:
        graph = around(reasoning_node(engine, Settings(THREADWEAVER)), InMemorySaver())
        parts = _parts(graph, mode)
        async for _ in parts:
            if engine.open_requests == 2:
                break
        left = time.monotonic()
        await parts.aclose()
        with anyio.fail_after(10):
            while engine.open_requests:  # noqa: ASYNC110  # an engine tells no event
                await anyio.sleep(0.01)
        assert time.monotonic() - left < 1


async def test_cancelling_the_caller_stops_every_branch() -> None:
    script = {**SCRIPT, "1.1": Reply("w " * 500, token_seconds=0.1), "1.2": Reply("v " * 500, token_seconds=0.1)}
    async with ScriptedEngine(by_turn(script), THREADWEAVER, clock=MonotonicClock()) as engine:
        graph = around(reasoning_node(engine, Settings(THREADWEAVER)), InMemorySaver())
        with anyio.move_on_after(0.5) as scope:
            await graph.ainvoke(ASKED, config())
        assert scope.cancelled_caught
        assert engine.open_requests == 0
        assert len(engine.requests) == 3


async def test_nothing_is_told_where_nobody_listens() -> None:
    """Then a chunk costs what it costs in the driver."""
    async with ScriptedEngine(by_turn(SCRIPT), THREADWEAVER) as engine:
        await reasoning_node(engine, Settings(THREADWEAVER)).ainvoke(ASKED)
        assert [request.watched for request in engine.requests] == [False] * 4
