"""Progressive join on virtual time: what is evaluated ahead, when, and under which rule."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from apr_agents.dialects import load_dialect
from apr_agents.engines.scripted import Reply, ScriptedEngine
from apr_agents.runner import JoinRule
from apr_agents.runner.ahead import LEAST
from tests.runner.aheads import AHEAD, TOKENS, aheads, four, has, long, numbers, warmed
from tests.support.scripts import THREADWEAVER, block, closed, ran

NESTING = replace(THREADWEAVER, nests=True)
CODE = load_dialect("threadweaver-code")


@dataclass(frozen=True, slots=True)
class Case:
    rule: JoinRule
    ahead: list[tuple[float, str]]
    """The seconds at which something was evaluated ahead, and the branches in it."""
    joined: str
    seconds: tuple[float, ...] = (2, 3, 5, 9)
    """When the branches end."""


CASES = {
    "all, in order": Case(AHEAD, [(3, "12"), (5, "123")], "1234"),
    "all, the first one is the slowest": Case(AHEAD, [], "1234", (9, 2, 3, 5)),
    "all, one in the middle is late": Case(AHEAD, [(6, "123")], "1234", (2, 6, 3, 9)),
    "by completion": Case(replace(AHEAD, order="completion"), [(3, "23"), (5, "234")], "2341", (9, 2, 3, 5)),
    "fail fast": Case(replace(AHEAD, fail_fast=True), [], "1234"),
    "first that holds": Case(JoinRule("first", has("d"), ahead=True), [(3, "12"), (5, "123")], "1234"),
    "first that holds, early": Case(JoinRule("first", has("c"), ahead=True), [(3, "12")], "123"),
    "first of all": Case(JoinRule("first", ahead=True), [], "1"),
    "quorum": Case(JoinRule("quorum", count=3, ahead=True), [(3, "12")], "123"),
    "quorum, a number is missing": Case(JoinRule("quorum", count=3, ahead=True), [], "234", (9, 2, 3, 5)),
    "quorum, by completion": Case(
        JoinRule("quorum", count=3, order="completion", ahead=True), [(3, "23")], "234", (9, 2, 3, 5)
    ),
    "deadline": Case(JoinRule("deadline", seconds=7, ahead=True), [(3, "12"), (5, "123")], "123"),
    "off": Case(replace(AHEAD, ahead=False), [], "1234"),
    "left to the engine": Case(replace(AHEAD, ahead=None), [], "1234"),
}


@pytest.mark.parametrize("name", CASES)
async def test_each_rule_evaluates_ahead_what_stays(name: str) -> None:
    case = CASES[name]
    done = await ran(four(*case.seconds), join=case.rule)
    requests = warmed(done)
    found = [
        (pytest.approx(span.start), numbers(one)) for span, one in zip(aheads(done.result.trace), requests, strict=True)
    ]
    assert found == case.ahead
    assert "".join(one.branch.number for one in done.result.outcomes if one.branch.joined) == case.joined
    joined = next(request for request in reversed(done.engine.requests) if request.max_tokens)
    for request in requests:
        assert joined.context.ids[: request.context.tokens] == request.context.ids
        assert (request.stops, request.watched, str(request.path)) == ((), False, "")


@pytest.mark.parametrize("warms", [True, False])
@pytest.mark.parametrize("pays", [True, False])
@pytest.mark.parametrize("asked", [True, False, None])
async def test_who_says_whether_it_is_done(warms: bool, pays: bool, asked: bool | None) -> None:
    engine = ScriptedEngine(four(2, 3, 5, 9), THREADWEAVER, warms=warms, ahead=pays)
    done = await ran(engine, join=JoinRule(ahead=asked))
    assert bool(warmed(done)) == (warms and (pays if asked is None else asked))


async def test_too_little_is_not_worth_a_request() -> None:
    def script(words: int) -> dict[str, Any]:
        # Branch 2 is a header of four tokens, a space and a word each, and the tag; branch 1 is there but for its tag.
        return {**four(2, 3, 5, 9), "1.2": Reply(closed(" b" * words), token_seconds=0.1), "1.3": long("c", 60)}

    few = (LEAST - 1 - 1 - 4 - 1) // 2
    assert not warmed(await ran(script(few), join=AHEAD))
    assert warmed(await ran(script(few + 1), join=AHEAD))


async def test_what_ends_meanwhile_is_evaluated_behind_it_and_nothing_twice() -> None:
    each = 1 / (1 + TOKENS)
    done = await ran(four(2, 3, 3.5, 9, prefill=each), join=AHEAD)
    assert [numbers(request) for request in warmed(done)] == ["12", "123"]
    first, second = aheads(done.result.trace)
    assert (first.start, first.end, second.start) == (pytest.approx(3), pytest.approx(4), pytest.approx(4))
    assert second.tokens is not None
    assert second.tokens.prompt - (second.tokens.cached or 0) == TOKENS


async def test_a_block_inside_a_branch_is_evaluated_ahead_too() -> None:
    inner = {"1.1/1.1": long("x", 1), "1.1/1.2": long("y", 2), "1.1/1.3": long("z", 5)}
    script = {
        "": [block("a", "b"), "end"],
        "1.1": [block("x", "y", "z"), closed(" both")],
        "1.2": long("b", 9),
        **inner,
    }
    done = await ran(script, dialect=NESTING, join=AHEAD)
    assert [(span.path, span.id, span.start) for span in aheads(done.result.trace)] == [
        ("1.1", "1.1#ahead1", pytest.approx(2))
    ]
    assert [str(request.path) for request in warmed(done)] == ["1.1"]


async def test_nothing_is_evaluated_for_a_synthesis_that_never_comes() -> None:
    script = {
        "": [block("a", "b", "c", dialect=CODE), "never"],
        "1.1": " cut" * 40,
        "1.2": long("b", 3),
        "1.3": long("c", 9),
    }
    done = await ran(script, dialect=CODE, join=AHEAD)
    assert done.result.ended == "truncated"
    assert not warmed(done)
    done = await ran(ScriptedEngine(four(2, 3, 5, 9), THREADWEAVER, window=150), join=AHEAD)
    assert done.result.ended == "context"
    assert all(request.context.tokens < 150 for request in warmed(done))
