"""Cancellation: as a table ordered by events, and at ten thousand seeded points. Nothing stays behind, or is lost."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncGenerator
from dataclasses import replace

import anyio
import anyio.lowlevel
import pytest

from apr_agents.engines.base import Chunk, Request
from apr_agents.engines.scripted import Reply, ScriptedEngine
from apr_agents.runner import Budget, Function, JoinRule, RunResult, Settings, stream
from apr_agents.runner.run import LiveRun
from tests.support.gates import CountingEngine, Gate, GatedEngine
from tests.support.scripts import QUESTION, THREADWEAVER, block, check, closed

NESTING = replace(THREADWEAVER, nests=True)

SCRIPT = {
    "": [f"I split. {block('a', 'b', '@double')}", f"again {block('c', 'd')}", "the end"],
    "1.1": [f" so {block('x', 'y')}", closed(" both")],
    "1.1/1.1": closed(" x is 1"),
    "1.1/1.2": closed(" y is 2"),
    "1.2": closed(" b is 3"),
    "2.1": closed(" c is 4"),
    "2.2": closed(" d is 5"),
}
"""Seven branches of sub-reasoning and calls, two deep, in two blocks."""


async def _leave_at(gate: Gate, functions: dict[str, Function] | None = None) -> RunResult:
    """The result of a run whose caller leaves when it has come to this gate."""
    engine = GatedEngine(SCRIPT, NESTING, gate)
    before = _tasks()
    settings = Settings(NESTING, functions=functions or {"double": Function("double", _six)})
    async with stream(engine, QUESTION, settings) as live:
        live.watched = False
        await engine.reached.wait()
        await _quiet(engine)
    assert _tasks() == before
    result = live.result()
    check(result, engine)
    assert (result.ended, result.detail) == ("cancelled", "the run was left before its end")
    return result


async def _six() -> int:
    return 6


async def _quiet(engine: ScriptedEngine) -> None:
    """Virtual time moves on only when nothing else can happen."""
    await engine.clock.sleep_until(engine.clock.now() + 1)


def _tasks() -> set[asyncio.Task[object]]:
    return asyncio.all_tasks()


@pytest.mark.parametrize(
    ("where", "gate", "text", "branches"),
    [
        ("before the first chunk", Gate("", 1, 0), "", {}),
        ("in the text", Gate("", 1, 3), "I split", {}),
        ("inside the outlines", Gate("", 1, 14), "I split. <Parallel>\n<Outlines>\n<Outline>1: a", {}),
        (
            "before a branch's first chunk",
            Gate("1.2", 1, 0),
            "<Thread>1: so <Parallel>",
            {"1.1": "done", "1.1/1.1": "done", "1.1/1.2": "done", "1.2": "cancelled", "1.3": "done"},
        ),
        (
            "in a branch",
            Gate("1.2", 1, 3),
            "<Thread>3: 6</Thread>\n</Parallel>\n",
            {"1.1": "done", "1.1/1.1": "done", "1.1/1.2": "done", "1.2": "cancelled", "1.3": "done"},
        ),
        (
            "in a nested branch",
            Gate("1.1/1.2", 1, 4),
            "<Thread>2: b is 3</Thread>\n<Thread>3: 6</Thread>\n</Parallel>\n",
            {"1.1": "cancelled", "1.1/1.1": "done", "1.1/1.2": "cancelled", "1.2": "done", "1.3": "done"},
        ),
        (
            "in a nested synthesis",
            Gate("1.1", 2, 1),
            "<Thread>2: b is 3</Thread>\n<Thread>3: 6</Thread>\n</Parallel>\n",
            {"1.1": "cancelled", "1.1/1.1": "done", "1.1/1.2": "done", "1.2": "done", "1.3": "done"},
        ),
        (
            "in the synthesis",
            Gate("", 2, 1),
            "<Thread>3: 6</Thread>\n</Parallel>\nagain",
            {"1.1": "done", "1.1/1.1": "done", "1.1/1.2": "done", "1.2": "done", "1.3": "done"},
        ),
        (
            "in the second block",
            Gate("2.1", 1, 2),
            "<Thread>2: d is 5</Thread>\n</Parallel>\n",
            {f"1.{n}": "done" for n in (1, 2, 3)}
            | {"1.1/1.1": "done", "1.1/1.2": "done", "2.1": "cancelled", "2.2": "done"},
        ),
    ],
)
async def test_a_run_that_is_left_keeps_what_it_has(
    where: str, gate: Gate, text: str, branches: dict[str, str]
) -> None:
    result = await _leave_at(gate)
    assert text in result.text, where
    assert {branch.path: branch.outcome for branch in result.trace.branches} == branches
    assert result.trace.spans[0].outcome == "done"
    cut = [(span.path, span.outcome) for span in result.trace.spans if span.outcome == "cancelled"]
    assert cut == [(gate.path, "cancelled")]


async def test_a_run_that_is_left_in_a_call_joins_its_siblings() -> None:
    calling = anyio.Event()

    async def double() -> None:
        calling.set()
        await anyio.sleep_forever()

    engine = ScriptedEngine(SCRIPT, NESTING)
    settings = Settings(NESTING, functions={"double": Function.of(double)})
    async with stream(engine, QUESTION, settings) as live:
        live.watched = False
        await calling.wait()
        await _quiet(engine)
    result = live.result()
    check(result, engine)
    assert [(one.path, one.outcome) for one in result.trace.branches if one.path.count("/") == 0] == [
        ("1.1", "done"),
        ("1.2", "done"),
        ("1.3", "cancelled"),
    ]
    assert result.text.endswith("<Thread>2: b is 3</Thread>\n</Parallel>\n")


async def test_what_a_cancelled_branch_had_is_in_its_outcome() -> None:
    result = await _leave_at(Gate("1.1", 2, 1))
    (cancelled,) = (outcome for outcome in result.outcomes if not outcome.branch.joined)
    assert cancelled.branch.outcome == "cancelled"
    joined = "\n<Thread>1: x is 1</Thread>\n<Thread>2: y is 2</Thread>\n</Parallel>\n"
    assert cancelled.text == f" so {block('x', 'y')}{joined} "
    assert [branch.path for branch in cancelled.branches] == ["1.1/1.1", "1.1/1.2"]


async def test_a_run_that_is_left_while_losers_clean_up_keeps_the_winner() -> None:
    cleaning, finish = anyio.Event(), anyio.Event()

    async def double() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                cleaning.set()
                await finish.wait()

    engine = ScriptedEngine({**SCRIPT, "": [block("@double", "b"), "never"]}, NESTING)
    functions = {"double": Function.of(double)}
    live: LiveRun | None = None
    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            group.start_soon(_cancel_at, cleaning, scope, finish)
            async with stream(engine, QUESTION, Settings(NESTING, functions=functions, join=JoinRule("first"))) as live:
                live.watched = False
                await anyio.sleep_forever()
    assert live is not None
    result = live.result()
    check(result, engine)
    assert [(branch.path, branch.outcome) for branch in result.trace.branches] == [
        ("1.1", "cancelled"),
        ("1.2", "done"),
    ]
    assert "<Thread>2: b is 3</Thread>" in result.text


async def _cancel_at(reached: anyio.Event, scope: anyio.CancelScope, then: anyio.Event) -> None:
    await reached.wait()
    scope.cancel()
    await anyio.lowlevel.checkpoint()
    then.set()


async def test_a_branch_that_ends_as_the_run_is_cancelled_has_ended() -> None:
    scope = anyio.CancelScope()

    class CancelsAtItsEnd(ScriptedEngine):
        async def _chunks(self, request: Request, reply: Reply) -> AsyncGenerator[Chunk]:
            async for chunk in super()._chunks(request, reply):
                if chunk.finish is not None and request.path.depth:
                    scope.cancel()
                yield chunk

    engine = CancelsAtItsEnd({"": [block("a"), "never"], "1.1": closed(" x")}, NESTING)
    live: LiveRun | None = None
    with scope:
        async with stream(engine, QUESTION, Settings(NESTING)) as live:
            live.watched = False
            await anyio.sleep_forever()
    assert live is not None
    result = live.result()
    check(result, engine)
    (outcome,) = result.outcomes
    assert (outcome.branch.outcome, outcome.branch.joined, outcome.text) == ("done", True, " x</Thread>")
    assert result.ended == "cancelled"


# Ten thousand points

POINTS = 10_000
PORTION = 500

FIVE = {
    "": [block("a", "b", "@double", "d", "e"), "the end"],
    "1.1": [block("x", "y"), closed(" both")],
    "1.1/1.1": closed(" one"),
    "1.1/1.2": closed(" two"),
    "1.2": [block("x", "@double"), closed(" both")],
    "1.2/1.1": closed(" three"),
    "1.4": closed(" four"),
    "1.5": closed(" five and more of it"),
}
RULES = (JoinRule(), JoinRule("first"), JoinRule("quorum", count=3), JoinRule(order="completion"))


@pytest.mark.parametrize("first", range(0, POINTS, PORTION))
async def test_no_point_of_cancellation_leaves_anything_behind(first: int) -> None:
    threads = threading.active_count()
    tasks = _tasks()
    ended: set[str] = set()
    for seed in range(first, first + PORTION):
        ended.add(await _cut(random.Random(seed), whole=seed % 20 == 0))
        assert _tasks() == tasks, seed
    assert threading.active_count() == threads
    assert ended == {"cancelled", "answered"}


async def _cut(choices: random.Random, *, whole: bool) -> str:
    """Run, cut it at a chosen chunk or turn of the event loop, and check what is left; how the run ended.

    `whole`: the trace is stored, read and accounted for too.
    """
    scope = anyio.CancelScope()
    by_chunk, point = choices.random() < 0.5, choices.randrange(1, 60)

    def said(count: int) -> None:
        if by_chunk and count == point:
            scope.cancel()

    engine = CountingEngine(FIVE, NESTING, said, choices.choice((1, 3, 100)))
    settings = Settings(
        NESTING,
        functions={"double": Function("double", _two_turns)},
        join=choices.choice(RULES),
        budget=Budget(concurrency=choices.choice((1, 2, 20))),
    )
    live: LiveRun | None = None
    with scope:
        async with anyio.create_task_group() as group:
            if not by_chunk:
                group.start_soon(_cancel_after, point, scope)
            async with stream(engine, QUESTION, settings) as live:
                live.watched = choices.random() < 0.5
                async for _ in live:
                    pass
            group.cancel_scope.cancel()
    if live is None:
        return "cancelled"
    if whole:
        check(live.result(), engine)
    return _kept(engine, live.result())


async def _two_turns() -> int:
    await anyio.lowlevel.checkpoint()
    return 6


async def _cancel_after(turns: int, scope: anyio.CancelScope) -> None:
    for _ in range(turns):
        await anyio.lowlevel.checkpoint()
    scope.cancel()


def _kept(engine: CountingEngine, result: RunResult) -> str:
    """Check that the result has everything that the engine finished."""
    assert engine.open_requests == 0
    done = {branch.path for branch in result.trace.branches if branch.outcome == "done"}
    assert set(engine.finished) <= done
    texts = {outcome.branch.path: outcome.text for outcome in result.outcomes}
    for path in engine.finished:
        said = FIVE[path]
        assert (said if isinstance(said, str) else said[1]) in texts[path.partition("/")[0]]
    return result.ended
