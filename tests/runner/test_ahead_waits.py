"""Progressive join on virtual time: in whose place, how long a join waits for it, and what a failure does."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import anyio
import pytest

from apr_agents.accounting import account
from apr_agents.engines.base import Chunk, Finish, Request, Usage
from apr_agents.engines.scripted import Reply, ScriptedEngine
from apr_agents.runner import Budget, JoinRule
from apr_agents.runner.ahead import PATIENCE
from tests.runner.aheads import AHEAD, TOKENS, aheads, four, numbers, warmed
from tests.support.scripts import THREADWEAVER, Ran, block, ran

# Places


@pytest.mark.parametrize(("concurrency", "ahead"), [(1, []), (2, ["12"]), (3, ["12", "123"]), (4, ["12", "123"])])
async def test_it_takes_a_place_that_is_free_and_waits_for_none(concurrency: int, ahead: list[str]) -> None:
    budget = Budget(concurrency=concurrency)
    done = await ran(four(2, 3, 5, 9, prefill=0.01), join=AHEAD, budget=budget)
    without = await ran(four(2, 3, 5, 9, prefill=0.01), budget=budget)
    if concurrency == 4:
        assert [numbers(request) for request in warmed(done)] == ahead
    else:
        assert len(warmed(done)) <= len(ahead)
    assert _paths(done) == _paths(without)


def _paths(done: Ran) -> list[tuple[str, float, float]]:
    return [(span.id, span.start, span.end) for span in done.result.trace.spans if span.path]


# In flight at the join

HELD = 0.4
"""Seconds that evaluating branch 2 and the tags around it takes."""


def _in_flight(ran_for: float) -> dict[str, Any]:
    """Branch 3 ends when evaluating 1 and 2 has been in flight for so long."""
    each = HELD / (1 + TOKENS)
    script = four(1, 2, 2 + ran_for, 0, prefill=each)
    return {**script, "": [block("a", "b", "c"), script[""][1]]}


@pytest.mark.parametrize(
    ("ran_for", "waited", "earlier"),
    [
        (0.0, PATIENCE, -PATIENCE),
        (0.1, PATIENCE, -PATIENCE),
        (0.2, 0.2, 0.2),
        (0.3, 0.1, 0.3),
        (0.39, 0.01, 0.39),
        (0.5, 0.0, HELD),
    ],
)
async def test_a_join_waits_for_what_is_in_flight_as_long_as_that_may_save_time(
    ran_for: float, waited: float, earlier: float
) -> None:
    """`earlier`: than the same run with nothing evaluated ahead, which is as late as one that leaves it in flight."""
    done = await ran(_in_flight(ran_for), join=AHEAD)
    without = await ran(_in_flight(ran_for))
    trace, report = done.result.trace, account(done.result.trace)
    assert done.result.text == without.result.text
    assert without.result.trace.wall - trace.wall == pytest.approx(earlier)
    assert report.ahead_saved_seconds == pytest.approx(earlier)
    assert report.seconds.by_kind.join_wait == pytest.approx(waited)
    assert report.seconds.residual == pytest.approx(0)
    assert [span.outcome for span in aheads(trace)] == ["cancelled" if earlier < 0 else "done"]


class Hangs(ScriptedEngine):
    """Never evaluates anything ahead to its end."""

    async def _chunks(self, request: Request, reply: Reply) -> AsyncGenerator[Chunk]:
        async for chunk in super()._chunks(request, reply):
            if not request.max_tokens:
                await anyio.sleep_forever()
            yield chunk


@pytest.mark.parametrize(("rule", "at"), [(AHEAD, 16), (JoinRule("deadline", seconds=7, ahead=True), 7)])
async def test_a_request_that_hangs_holds_the_join_no_longer_than_it_has_run(rule: JoinRule, at: float) -> None:
    done = await ran(Hangs(four(1, 2, 5, 9), THREADWEAVER), join=rule)
    assert done.result.trace.wall == pytest.approx(at)
    assert [span.outcome for span in aheads(done.result.trace)] == ["cancelled"]
    assert len(warmed(done)) == 1
    assert done.result.ok


# Failures


@pytest.mark.parametrize("kind", ["an error", "text", "no finish", "a fault"])
async def test_a_failure_is_a_note_and_the_last_request_of_its_block(kind: str) -> None:
    class Fails(ScriptedEngine):
        async def _chunks(self, request: Request, reply: Reply) -> AsyncGenerator[Chunk]:
            if request.max_tokens:
                async for chunk in super()._chunks(request, reply):
                    yield chunk
            elif kind == "text":
                yield Chunk("so ", (1,), Finish("length", None, Usage(1, 0, 1)))
            elif kind == "a fault":
                raise KeyError("no such thing")
            elif kind == "an error":
                async for chunk in super()._chunks(request, replace(reply, error="no room")):
                    yield chunk

    done = await ran(Fails(four(2, 3, 5, 9), THREADWEAVER), join=AHEAD)
    said = {
        "an error": "no room",
        "text": "the engine went on past the 0 tokens it was given",
        "no finish": "the engine's stream ended without a finish",
        "a fault": "evaluating ahead failed: KeyError: 'no such thing'",
    }
    assert done.result.ok
    assert done.result.trace.notes == (f"block 1: nothing more is evaluated ahead: {said[kind]}",)
    assert [span.outcome for span in aheads(done.result.trace)] == ["failed"]
    assert done.result.text == (await ran(four(2, 3, 5, 9))).result.text
