"""Deadlines: each request has the earliest of those around it, and whoever set one ends what is under it, in time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

import anyio
import pytest

from apr_agents.engines.base import Chunk, Request
from apr_agents.engines.scripted import Reply, ScriptedEngine
from apr_agents.errors import EngineError, StreamFault
from apr_agents.runner import Budget, JoinRule, Settings, run, stream
from tests.support.scripts import QUESTION, THREADWEAVER, block, closed, ran, slow, spans_of

NESTING = replace(THREADWEAVER, nests=True)

NESTED = {
    "": [Reply(block("a", "b"), token_seconds=0.1), "end"],
    "1.1": [Reply(block("x"), token_seconds=0.1), closed(" both")],
    "1.1/1.1": slow("x", 1),
    "1.2": slow("b", 2),
}
"""The run's block forks after 1.9 s, the one inside it later, so that its own deadline is later too."""


@pytest.mark.parametrize(
    ("rule", "seconds", "expected"),
    [
        (JoinRule(), 60, {"": 60, "1.1": 60, "1.1/1.1": 60, "1.2": 60}),
        (JoinRule("deadline", seconds=9), 60, {"": 60, "1.1": 10.9, "1.1/1.1": 10.9, "1.2": 10.9}),
        (JoinRule("deadline", seconds=90), 60, {"": 60, "1.1": 60, "1.1/1.1": 60, "1.2": 60}),
    ],
)
async def test_a_request_has_the_earliest_deadline_around_it(
    rule: JoinRule, seconds: float, expected: dict[str, float]
) -> None:
    done = await ran(NESTED, dialect=NESTING, join=rule, budget=Budget(seconds=seconds))
    found: dict[str, float] = {}
    for request in done.engine.requests:
        assert request.deadline is not None
        assert found.setdefault(str(request.path), request.deadline) == request.deadline
    assert found == pytest.approx(expected)


class KeepsDeadlines(ScriptedEngine):
    """Gives a request up when its deadline has come, or a little before."""

    def __init__(self, script: dict[str, object], early: float, error: Callable[[], EngineError]) -> None:
        super().__init__(script, NESTING)  # pyright: ignore[reportArgumentType]
        self._early = early
        self._error = error

    def stream(self, request: Request) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        return self._until(request)

    @asynccontextmanager
    async def _until(self, request: Request) -> AsyncGenerator[AsyncIterator[Chunk]]:
        async with super().stream(request) as chunks:
            yield self._cut(request, chunks)

    async def _cut(self, request: Request, chunks: AsyncIterator[Chunk]) -> AsyncGenerator[Chunk]:
        if str(request.path) == self.endless:
            assert request.deadline is not None
            await self.clock.sleep_until(request.deadline - self._early)
            raise self._error()
        async for chunk in chunks:
            yield chunk

    endless = ""
    """The branch that never says anything."""


ERRORS: dict[str, Callable[[], EngineError]] = {
    "timeout": lambda: StreamFault("timeout", "the deadline passed", "", again=True),
    "its own": lambda: EngineError("too late"),
}


@pytest.mark.parametrize("early", [0.0, 0.02])
@pytest.mark.parametrize("error", ERRORS)
async def test_an_engine_that_gives_up_at_the_run_s_deadline_ends_it_as_any_other(error: str, early: float) -> None:
    engine = KeepsDeadlines({"": ["never"]}, early, ERRORS[error])
    done = await ran(engine, dialect=NESTING, budget=Budget(seconds=9))
    assert (done.result.ended, done.result.detail) == ("seconds", "the run's budget of 9 seconds is used up")
    assert done.result.trace.wall == 9
    assert spans_of(done.result.trace, "")[-1] == ("decode", 0, 9, "cancelled")


@pytest.mark.parametrize("early", [0.0, 0.02])
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("fail_fast", [False, True])
async def test_a_branch_that_its_engine_gives_up_at_the_block_s_deadline_is_a_loser(
    error: str, early: float, fail_fast: bool
) -> None:
    engine = KeepsDeadlines({"": [block("a", "b"), "end"], "1.1": slow("a", 1)}, early, ERRORS[error])
    engine.endless = "1.2"
    done = await ran(engine, dialect=NESTING, join=JoinRule("deadline", seconds=4, fail_fast=fail_fast))
    assert [(one.path, one.outcome) for one in done.result.trace.branches] == [("1.1", "done"), ("1.2", "cancelled")]
    assert (done.result.ended, done.result.trace.wall) == ("answered", 4)


async def test_an_engine_that_fails_long_before_the_deadline_has_failed() -> None:
    engine = KeepsDeadlines({"": ["never"]}, 1.0, ERRORS["its own"])
    done = await ran(engine, dialect=NESTING, budget=Budget(seconds=9))
    assert (done.result.ended, done.result.detail) == ("failed", "too late")


class SlowToClose(ScriptedEngine):
    """Takes 50 ms to let go of a stream, whatever happens."""

    def stream(self, request: Request) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        return self._held(request)

    @asynccontextmanager
    async def _held(self, request: Request) -> AsyncGenerator[AsyncIterator[Chunk]]:
        async with super().stream(request) as chunks:
            try:
                yield chunks
            finally:
                with anyio.CancelScope(shield=True):
                    await self.clock.sleep_until(self.clock.now() + 0.05)


async def test_a_run_ends_at_its_deadline_however_many_streams_are_slow_to_close() -> None:
    endless = Reply(" word" * 1000, token_seconds=1)
    script = {
        "": [block(*"abcdefgh"), "never"],
        "1.1": [block("x", "y"), "never"],
        **{f"1.1/1.{n}": endless for n in (1, 2)},
        **{f"1.{n}": endless for n in range(2, 9)},
    }
    engine = SlowToClose(script, NESTING)
    result = await run(engine, QUESTION, Settings(NESTING, budget=Budget(seconds=9)))
    assert result.ended == "seconds"
    assert 9 <= result.trace.wall <= 9.05 + 1e-9
    assert len([branch for branch in result.trace.branches if branch.outcome == "cancelled"]) == 10
    assert engine.open_requests == 0


async def test_a_block_ends_at_its_deadline_however_many_streams_are_slow_to_close() -> None:
    endless = Reply(" word" * 1000, token_seconds=1)
    script = {"": [block(*"abcdefgh"), "end"], **{f"1.{n}": endless for n in range(1, 9)}}
    result = await run(SlowToClose(script, NESTING), QUESTION, Settings(NESTING, join=JoinRule("deadline", seconds=4)))
    synthesis = next(span for span in result.trace.spans if span.kind == "synthesis")
    # The run's own first stream closes in 50 ms before the fork, the branches' all at once in 50 ms more.
    assert synthesis.start == pytest.approx(4.1)


# Which requests are watched


WATCHED = [
    (JoinRule(), {"": False, "1.1": False, "1.1/1.1": False, "1.2": False}),
    (JoinRule(fail_fast=True), {"": False, "1.1": True, "1.1/1.1": True, "1.2": True}),
    (JoinRule("first"), {"": False, "1.1": True, "1.1/1.1": True, "1.2": True}),
    (JoinRule("quorum", count=2), {"": False, "1.1": True, "1.1/1.1": True, "1.2": True}),
    (JoinRule("deadline", seconds=99), {"": False, "1.1": True, "1.1/1.1": True, "1.2": True}),
]


@pytest.mark.parametrize(("rule", "expected"), WATCHED, ids=[str(rule) for rule, _ in WATCHED])
async def test_a_request_that_nobody_watches_and_no_sibling_can_cancel_says_so(
    rule: JoinRule, expected: dict[str, bool]
) -> None:
    done = await ran(NESTED, dialect=NESTING, join=rule)
    assert {str(request.path): request.watched for request in done.engine.requests} == expected


async def test_every_request_of_a_run_that_is_watched_is() -> None:
    engine = ScriptedEngine(NESTED, NESTING)
    async with stream(engine, QUESTION, Settings(NESTING)) as live:
        async for _ in live:
            pass
    assert all(request.watched for request in engine.requests)
