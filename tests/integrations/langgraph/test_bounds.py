"""Bounds of a run inside a graph: places, budgets, retries and timeouts; a failed branch is an outcome."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio
import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import RetryPolicy

from apr_agents.clock import MonotonicClock
from apr_agents.engines.base import Chunk, Request
from apr_agents.engines.scripted import Reply, ScriptedEngine
from apr_agents.errors import UsageError
from apr_agents.integrations.langgraph import reasoning_node
from apr_agents.integrations.langgraph.watched import Saver
from apr_agents.runner import Budget, Settings
from tests.integrations.langgraph.graphs import ASKED, Graph, answer, around, by_turn, config
from tests.support.scripts import THREADWEAVER, block, closed

NESTED = replace(THREADWEAVER, nests=True, name="nested")
SCRIPT: dict[str, Any] = {
    "": [block("a", "b", "@wait"), "the end"],
    "1.1": [" then " + block("c", "@wait"), Reply(closed(" so a"), token_seconds=0.1)],
    "1.1/1.1": Reply(closed(" so c"), token_seconds=0.1),
    "1.2": [" then " + block("d", "e"), Reply(closed(" so b"), token_seconds=0.1)],
    "1.2/1.1": Reply(closed(" so d"), token_seconds=0.1),
    "1.2/1.2": Reply(closed(" so e"), token_seconds=0.1),
}


class Busy(ScriptedEngine):
    """Counts what goes on at the same time, calls too."""

    def __init__(self, script: dict[str, Any]) -> None:
        super().__init__(by_turn(script), NESTED)
        self.now = 0
        self.peak = 0

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncGenerator[AsyncIterator[Chunk]]:
        with self.count():
            async with super().stream(request) as chunks:
                yield chunks

    def count(self) -> _Counted:
        return _Counted(self)


class _Counted:
    def __init__(self, engine: Busy) -> None:
        self._engine = engine

    def __enter__(self) -> None:
        self._engine.now += 1
        self._engine.peak = max(self._engine.peak, self._engine.now)

    def __exit__(self, *_: object) -> None:
        self._engine.now -= 1


async def _ran(engine: Busy, settings: Settings, limit: int | None, saver: Saver | None, way: str) -> dict[str, Any]:
    async def wait() -> str:
        with engine.count():
            await engine.clock.sleep_until(engine.clock.now() + 1)
        return "waited"

    graph: Graph = reasoning_node(engine, settings, [wait])
    if way == "inside":
        graph = around(graph, saver)
    given: Any = {**config(), **({"max_concurrency": limit} if limit else {})}
    if way == "custom":
        parts: Any = graph.astream(ASKED, given, stream_mode=["custom", "values"])
        return [state async for mode, state in parts if mode == "values"][-1]
    return await graph.ainvoke(ASKED, given)


@pytest.mark.parametrize("way", ["top", "inside", "custom"])
@pytest.mark.parametrize("limit", [1, 2, None])
async def test_one_limit_over_all_nesting(limit: int | None, way: str) -> None:
    engine = Busy(SCRIPT)
    with anyio.fail_after(30):
        state = await _ran(engine, Settings(NESTED), limit, InMemorySaver(), way)
    assert answer(state).text == "the end"
    assert len(answer(state).response_metadata["report"]["forks"]) == 3
    assert engine.peak == limit if limit else engine.peak > 2


async def test_the_budget_has_a_limit_of_its_own() -> None:
    engine = Busy(SCRIPT)
    state = await _ran(engine, Settings(NESTED, budget=Budget(concurrency=2)), None, None, "top")
    assert answer(state).text == "the end"
    assert engine.peak == 2


async def test_three_failures_are_three_outcomes() -> None:
    def fail(word: str) -> str:
        raise RuntimeError(word)

    script = {"": [block(*(f'@fail {{"word": "{word}"}}' for word in "xyz"), "a"), "the end"], "1.4": closed(" so a")}
    seen: list[str] = []

    def said(request: Request) -> str | Reply:
        seen.append(request.context.text)
        return by_turn(script)(request)  # pyright: ignore[reportCallIssue, reportUnknownVariableType]

    graph = around(
        reasoning_node(lambda: ScriptedEngine(said, THREADWEAVER), Settings(THREADWEAVER), [fail]), InMemorySaver()
    )
    state = await graph.ainvoke(ASKED, config())
    assert answer(state).text == "the end"
    assert all(f"failed: @fail raised RuntimeError: {word}" in seen[-1] for word in "xyz")
    assert " so a" in seen[-1]


async def test_a_call_is_tried_again_and_not_for_ever() -> None:
    tries: list[str] = []

    def shaky(word: str) -> str:
        tries.append(word)
        if len(tries) < 3:
            raise ConnectionError(word)
        return "found"

    async def stuck() -> None:
        await anyio.sleep_forever()

    seen: list[str] = []

    def said(request: Request) -> str:
        seen.append(request.context.text)
        return "the end" if len(seen) > 1 else block('@shaky {"word": "x"}', "@stuck", '@shaky {"word": 1}')

    again = RetryPolicy(initial_interval=0.001, jitter=False, retry_on=ConnectionError)
    engine = ScriptedEngine(said, THREADWEAVER, clock=MonotonicClock())
    node = reasoning_node(engine, Settings(THREADWEAVER), [shaky, stuck], retry_policy=again, timeout=3)
    assert answer(await node.ainvoke(ASKED)).text == "the end"
    assert tries == ["x", "x", "x"]
    assert "1: found</Thread>" in seen[-1]
    assert "@stuck raised TimeoutError: no result within 3 s" in seen[-1]
    assert "word: Input should be a valid string" in seen[-1]


@pytest.mark.parametrize("timeout", [0, -1.0])
def test_a_timeout_that_cannot_be_meant_is_refused(timeout: float) -> None:
    with pytest.raises(UsageError, match="timeout is"):
        reasoning_node("embedded", Settings(THREADWEAVER), timeout=timeout)


async def test_a_request_is_sent_again() -> None:
    script = {"": [block("a"), "the end"], "1.1": [Reply("", error="busy", again=True), closed(" so a")]}
    engine = ScriptedEngine(script, THREADWEAVER)
    state = await around(reasoning_node(engine, Settings(THREADWEAVER)), InMemorySaver()).ainvoke(ASKED, config())
    assert answer(state).text == "the end"
    assert answer(state).response_metadata["report"]["retries"] == 1


async def test_a_branch_that_hangs_ends_at_the_run_s_deadline() -> None:
    script = {
        "": [block("a", "b"), "the end"],
        "1.1": Reply(closed(" so a"), token_seconds=1e6),
        "1.2": closed(" so b"),
    }
    graph = reasoning_node(
        lambda: ScriptedEngine(by_turn(script), THREADWEAVER), Settings(THREADWEAVER, budget=Budget(seconds=5))
    )
    state = await graph.ainvoke(ASKED)
    assert answer(state).response_metadata["ended"] == "seconds"
