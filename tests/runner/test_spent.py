"""What a part of a run used is read from its spans: each request counts once."""

from __future__ import annotations

import pytest

from apr_agents.engines.scripted import Reply
from apr_agents.runner.spent import requests_of, retries_of, tokens_of
from tests.runner.test_early import PLAN, SCRIPT, Look
from tests.runner.test_replay import NESTING
from tests.support.scripts import Ran, block, closed, ran

BUSY = Reply("", error="busy", again=True)
NESTED = {
    "": [BUSY, block("left", "right"), "end"],
    "1.1": [BUSY, BUSY, closed(" a")],
    "1.2": [block("inner", "other"), closed(" b")],
    "1.2.1.1": closed(" c"),
    "1.2.1.2": closed(" d"),
}


def _used(done: Ran) -> tuple[int, int, int]:
    spans = done.result.trace.spans
    return tokens_of(spans), requests_of(spans), retries_of(spans)


async def test_a_request_that_was_sent_again_counts_once() -> None:
    done = await ran(NESTED, dialect=NESTING)
    tokens, requests, retries = _used(done)
    assert retries == 3
    assert requests == len(done.engine.requests) - retries
    outcomes = done.result.outcomes
    assert [(one.requests, one.retries) for one in outcomes] == [(1, 2), (4, 0)]
    assert sum(one.tokens for one in outcomes) == sum(tokens_of(one.spans) for one in outcomes) < tokens


@pytest.mark.parametrize("seconds", [0, 3])
async def test_a_request_in_stretches_counts_once(seconds: float) -> None:
    """A call that starts while its block is still written cuts the span of the request, not the request."""
    done = await Look(seconds).ran(SCRIPT)
    stretches = [span for span in done.result.trace.spans if span.tokens and span.tokens.continues]
    assert stretches
    assert _used(done)[1:] == (len(done.engine.requests), 0)
    assert PLAN in done.result.text
