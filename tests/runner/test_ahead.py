"""Progressive join on virtual time: what is evaluated ahead, when, in whose place; and that it changes nothing else."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apr_agents.accounting import account
from apr_agents.dialects import load_dialect
from apr_agents.engines.base import Chunk, Finish, Request, Usage
from apr_agents.engines.scripted import Reply, ScriptedEngine
from apr_agents.runner import Budget, JoinRule, Outcome, Settings, stream
from apr_agents.runner.ahead import LEAST, PATIENCE
from apr_agents.runner.run import LiveRun
from apr_agents.trace import Edge, Kind, Span, Trace
from tests.support.gates import CountingEngine
from tests.support.replay import RecordingSpawner, ReplayingSpawner
from tests.support.scripts import QUESTION, THREADWEAVER, Ran, block, check, closed, ran

NESTING = replace(THREADWEAVER, nests=True)
CODE = load_dialect("threadweaver-code")
WORDS = 130
"""Of each branch."""
TOKENS = 4 + 2 * WORDS + 1
"""Of a joined branch: its header, words and spaces, and the closing tag."""
AHEAD = JoinRule(ahead=True)


def long(name: str, seconds: float) -> Reply:
    """A branch of enough text to be worth it, which takes so many virtual seconds."""
    return Reply(closed(f" {name}" * WORDS), token_seconds=seconds / (2 * WORDS + 1))


def four(*seconds: float, prefill: float = 0.0) -> dict[str, Any]:
    """A run of four branches that end after these seconds."""
    branches = {f"1.{place}": long("abcd"[place - 1], one) for place, one in enumerate(seconds, 1)}
    return {"": [block("a", "b", "c", "d"), Reply("end", prefill_seconds=prefill)], **branches}


def warmed(done: Ran) -> list[Request]:
    return [request for request in done.engine.requests if request.max_tokens == 0]


def aheads(trace: Trace) -> list[Span]:
    return [span for span in trace.spans if span.kind is Kind.ahead]


def numbers(request: Request) -> str:
    """The branches in a request's context, in their order."""
    return "".join(line[len("<Thread>")] for line in request.context.text.split("\n") if line.startswith("<Thread>"))


# What, when, and under which rule


@dataclass(frozen=True, slots=True)
class Case:
    rule: JoinRule
    ahead: list[tuple[float, str]]
    """The seconds at which something was evaluated ahead, and the branches in it."""
    joined: str
    seconds: tuple[float, ...] = (2, 3, 5, 9)
    """When the branches end."""


def has(letter: str) -> Callable[[Outcome], bool]:
    return lambda outcome: f" {letter} " in outcome.text


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


# The account


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


# It changes nothing else

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
    choices = random.Random(seed)  # noqa: S311
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
