"""Progressive join changes nothing but when its synthesis is evaluated, however the run goes."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apr_agents.accounting import account
from apr_agents.engines.scripted import ScriptedEngine
from apr_agents.runner import JoinRule, Outcome, Settings, stream
from apr_agents.runner.ahead import PATIENCE
from apr_agents.runner.run import LiveRun
from tests.runner.aheads import AHEAD, four, has
from tests.support.gates import CountingEngine
from tests.support.replay import RecordingSpawner, ReplayingSpawner
from tests.support.scripts import QUESTION, THREADWEAVER, Ran, check, ran

_RULES = (
    JoinRule(),
    JoinRule(order="completion"),
    JoinRule("first", has("c")),
    JoinRule("quorum", count=2),
    JoinRule("quorum", count=3, order="completion"),
    JoinRule("deadline", seconds=5),
)
_seconds = st.integers(1, 40).map(lambda ticks: ticks / 4)


@settings(max_examples=60)
@given(st.tuples(_seconds, _seconds, _seconds, _seconds), st.sampled_from(_RULES), st.sampled_from([0.0, 0.003]))
def test_text_outcomes_and_every_other_span_are_the_same(
    ends: tuple[float, ...], rule: JoinRule, prefill: float
) -> None:
    async def both() -> tuple[Ran, Ran]:
        script = four(*ends, prefill=prefill)
        one, other = (ScriptedEngine(script, THREADWEAVER, chunk_tokens=100) for _ in range(2))
        return await ran(one, join=replace(rule, ahead=True)), await ran(other, join=rule)

    done, without = anyio.run(both)
    assert done.result.text == without.result.text
    assert done.result.outcomes == without.result.outcomes
    assert done.result.trace.branches == without.result.trace.branches
    others = [span.id for span in done.result.trace.spans if "ahead" not in span.id]
    assert others == [span.id for span in without.result.trace.spans]
    report, plain = account(done.result.trace), account(without.result.trace)
    assert report.tokens.critical == plain.tokens.critical
    assert report.tokens.generated == plain.tokens.generated
    assert report.reuse == plain.reuse == 1
    assert sum((report.tokens.ahead or 0, report.tokens.join_prefill or 0)) >= (plain.tokens.join_prefill or 0)
    assert report.seconds.residual == pytest.approx(0, abs=1e-9)
    assert done.result.trace.wall <= without.result.trace.wall + max(PATIENCE, prefill * 300)


@pytest.mark.parametrize("rule", _RULES, ids=str)
async def test_a_replayed_run_is_the_same_run(rule: JoinRule) -> None:
    script = {key: said if key == "" else replace(said, token_seconds=0.0) for key, said in four(1, 2, 3, 4).items()}
    spawner = RecordingSpawner()
    first = await ran(script, join=replace(rule, ahead=True), spawner=spawner)
    again = await ran(script, join=replace(rule, ahead=True), spawner=ReplayingSpawner(spawner.record))
    assert again.result.text == first.result.text
    assert again.result.outcomes == first.result.outcomes
    assert spawner.record.started == [f"1.{place}" for place in range(1, 5)]
    for name, stored in spawner.record.outcomes.items():
        assert Outcome.from_json(json.loads(stored)).branch.path == name


@pytest.mark.parametrize("seed", range(300))
async def test_it_can_be_cancelled_at_any_point(seed: int) -> None:
    choices = random.Random(seed)
    scope, point = anyio.CancelScope(), choices.randrange(1, 120)

    def said(count: int) -> None:
        if count == point:
            scope.cancel()

    script = {key: said if key == "" else replace(said, token_seconds=0.0) for key, said in four(1, 2, 3, 4).items()}
    engine = CountingEngine(script, THREADWEAVER, said, choices.choice((3, 10, 100)))
    live: LiveRun | None = None
    with scope:
        async with stream(
            engine, QUESTION, Settings(THREADWEAVER, join=choices.choice((AHEAD, replace(AHEAD, order="completion"))))
        ) as live:
            live.watched = choices.random() < 0.5
            async for _ in live:
                pass
    assert live is not None
    check(live.result(), engine)
