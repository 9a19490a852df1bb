"""What a report tells of requests ahead of a join."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from apr_agents.accounting import account
from apr_agents.engines.base import Chunk, Request
from apr_agents.engines.scripted import Reply, ScriptedEngine
from apr_agents.trace import Edge, Kind
from tests.runner.aheads import AHEAD, TOKENS, aheads, four
from tests.support.scripts import THREADWEAVER, ran


async def test_the_account_of_a_request_ahead() -> None:
    done = await ran(four(2, 3, 5, 9, prefill=0.01), join=AHEAD)
    without = await ran(four(2, 3, 5, 9, prefill=0.01))
    trace, report, plain = done.result.trace, account(done.result.trace), account(without.result.trace)
    first, second = aheads(trace)
    assert (first.id, first.after) == ("#ahead1", (Edge("1.1#1", "then"), Edge("1.2#1", "then")))
    assert (second.id, second.after) == ("#ahead2", (Edge("1.3#1", "then"),))
    assert first.tokens is not None
    assert (first.tokens.generated, first.tokens.cached) == (0, first.tokens.reusable)
    fork, bare = report.forks[0], plain.forks[0]
    assert (bare.ahead, bare.ahead_saved_seconds, plain.ahead_saved_seconds) == (0, 0, 0)
    assert fork.ahead is not None
    assert fork.synthesis_prefill is not None
    assert fork.ahead == report.tokens.ahead == 1 + 2 * TOKENS
    assert fork.ahead + fork.synthesis_prefill == bare.synthesis_prefill
    assert report.reuse == 1
    saved = fork.ahead * 0.01
    assert fork.ahead_saved_seconds == report.ahead_saved_seconds == pytest.approx(saved)
    assert without.result.trace.wall - trace.wall == pytest.approx(saved)
    assert not any(piece.critical for piece in report.timeline if piece.kind is Kind.ahead)
    assert report.seconds.residual == pytest.approx(0)


async def test_a_server_that_forgot_it_saved_nothing() -> None:
    class Forgets(ScriptedEngine):
        async def _chunks(self, request: Request, reply: Reply) -> AsyncGenerator[Chunk]:
            async for chunk in super()._chunks(request, reply):
                if chunk.finish is None or request.path.depth or not request.max_tokens:
                    yield chunk
                else:
                    yield replace(chunk, finish=replace(chunk.finish, usage=replace(chunk.finish.usage, cached=0)))

    report = account((await ran(Forgets(four(2, 3, 5, 9, prefill=0.01), THREADWEAVER), join=AHEAD)).result.trace)
    assert report.forks[0].ahead == report.tokens.ahead != 0
    assert report.ahead_saved_seconds == 0
    assert report.reuse is not None
    assert report.reuse < 1


async def test_an_engine_without_timings_leaves_the_saving_untold() -> None:
    trace = (await ran(four(2, 3, 5, 9), join=AHEAD)).result.trace
    silent = tuple(replace(span, phases=None) if span.kind is Kind.ahead else span for span in trace.spans)
    report = account(replace(trace, spans=silent))
    assert report.ahead_saved_seconds is report.forks[0].ahead_saved_seconds is None
    assert report.missing["ahead_saved_seconds"] == "2 of 2 engine requests do not tell"
