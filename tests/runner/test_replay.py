"""The seam of the spawner: names and order are the same in every run, and outcomes are plain JSON."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest

from apr_agents.engines.scripted import Reply, ScriptedEngine
from apr_agents.errors import ContextError
from apr_agents.runner import Budget, Function, JoinRule, Outcome
from apr_agents.trace import Span
from tests.support.replay import Record, RecordingSpawner, ReplayingSpawner
from tests.support.scripts import THREADWEAVER, block, closed, ran

NESTING = replace(THREADWEAVER, nests=True)

SCRIPT = {
    "": [block("a", "b", "@six", "@bad", "e"), f"again {block('f')}", "the end"],
    "1.1": [f" so {block('x', 'y')}", closed(" both")],
    "1.1/1.1": closed(" x is 1"),
    "1.1/1.2": closed(" y is 2"),
    "1.2": Reply(" half of b", error="lost"),
    "1.5": " cut",
    "2.1": closed(" f is 7"),
}
FUNCTIONS = {"six": Function("six", lambda: 6), "bad": Function("bad", lambda: 1 / 0)}


async def _record(**settings: Any) -> tuple[Any, Record]:
    spawner = RecordingSpawner()
    done = await ran(SCRIPT, dialect=NESTING, functions=FUNCTIONS, spawner=spawner, **settings)
    return done, spawner.record


async def _replay(record: Record, **settings: Any) -> tuple[Any, Record]:
    spawner = ReplayingSpawner(record)
    done = await ran(SCRIPT, dialect=NESTING, functions=FUNCTIONS, spawner=spawner, **settings)
    return done, spawner.record


def _spans(spans: tuple[Span, ...]) -> list[Span]:
    """These spans, but for what another engine's cache held."""
    return [replace(span, tokens=span.tokens and replace(span.tokens, cached=None)) for span in spans]


@pytest.mark.parametrize("rule", [JoinRule(), JoinRule(order="completion"), JoinRule("quorum", count=3)], ids=str)
async def test_a_replayed_run_is_the_same_run(rule: JoinRule) -> None:
    first, record = await _record(join=rule)
    again, replayed = await _replay(record, join=rule)
    assert again.result.text == first.result.text
    assert again.result.outcomes == first.result.outcomes
    assert _spans(again.result.trace.spans) == _spans(first.result.trace.spans)
    assert again.result.trace.branches == first.result.trace.branches
    assert again.result.trace.blocks == first.result.trace.blocks
    assert again.result.trace.response == first.result.trace.response
    top = [name for name in record.started if "/" not in name]
    assert [name for name in replayed.started if "/" not in name] == top
    assert {str(request.path) for request in again.engine.requests} == {""}


async def test_names_and_order_are_the_same_in_every_run() -> None:
    _, first = await _record()
    _, second = await _record()
    assert first.started == second.started == ["1.3", "1.4", "1.1", "1.2", "1.5", "1.1/1.1", "1.1/1.2", "2.1"]
    assert first.outcomes == second.outcomes


@pytest.mark.parametrize("seed", range(20))
async def test_a_run_resumed_with_any_part_of_its_outcomes_is_the_same_run(seed: int) -> None:
    first, record = await _record()
    choices, kept = random.Random(seed), Record()
    kept.ended = record.ended
    kept.outcomes = {name: stored for name, stored in record.outcomes.items() if choices.random() < 0.5}
    again, _ = await _replay(kept)
    assert again.result.text == first.result.text
    assert again.result.trace.branches == first.result.trace.branches
    assert [(one.branch, one.text) for one in again.result.outcomes] == [
        (one.branch, one.text) for one in first.result.outcomes
    ]


async def test_what_replayed_branches_used_is_booked() -> None:
    budget = Budget(run_branches=7, tokens=400)
    first, record = await _record(budget=budget)
    again, _ = await _replay(record, budget=budget)
    assert first.result.ended == again.result.ended == "run_branches"
    assert again.result.trace.branches == first.result.trace.branches
    assert [branch.outcome for branch in again.result.trace.branches][-1] == "refused"
    limits = [[r.max_tokens for r in done.engine.requests if not r.path.depth] for done in (first, again)]
    assert limits[0] == limits[1]


async def test_outcomes_are_plain_json() -> None:
    _, record = await _record()
    for name, stored in record.outcomes.items():
        data = json.loads(stored)
        outcome = Outcome.from_json(data)
        assert outcome.branch.path == name
        assert json.dumps(outcome.to_json()) == stored


GONE = object()


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("segments", 0, "text"), "forged"),
        (("segments", 0, "ids"), [1, 2, 3]),
        (("segments", 0, "origin"), "header"),
        (("segments", 0, "digest"), "0" * 32),
        (("segments", 0, "digest"), GONE),
        (("segments",), None),
        (("branch",), "1.1"),
        (("text",), GONE),
        (("branch", "outcome"), "unheard-of"),
        (("spans", 0, "kind"), "unheard-of"),
    ],
)
async def test_an_altered_outcome_is_refused(where: tuple[str | int, ...], value: object) -> None:
    _, record = await _record()
    data = json.loads(record.outcomes["1.1"])
    inner: Any = data
    for key in where[:-1]:
        inner = inner[key]
    if value is GONE:
        del inner[where[-1]]
    else:
        inner[where[-1]] = value
    with pytest.raises(ContextError):
        Outcome.from_json(data)


async def test_a_branch_that_generated_nothing_is_replayed_too() -> None:
    spawner = RecordingSpawner()
    script = {"": [block("a"), "end"], "1.1": Reply("", error="no server")}
    first = await ran(script, spawner=spawner)
    again = await ran(ScriptedEngine(script, THREADWEAVER), spawner=ReplayingSpawner(spawner.record))
    assert again.result.text == first.result.text
    assert _spans(again.result.trace.spans) == _spans(first.result.trace.spans)
