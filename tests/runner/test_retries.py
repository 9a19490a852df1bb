"""Requests that are sent again: only where nothing came of them, at most twice, in time and within the run's share."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr_agents.accounting import account
from apr_agents.engines.base import Chunk
from apr_agents.engines.scripted import Reply, ScriptedEngine
from apr_agents.errors import ContextFull, EngineError, RequestRefused, UsageError
from apr_agents.paths import BranchPath
from apr_agents.runner import Budget, JoinRule, Outcome, retries, stream
from apr_agents.runner.budget import FREE_RETRIES, Ledger
from apr_agents.runner.progress import Noted
from apr_agents.runner.settings import Settings
from tests.support.replay import RecordingSpawner, ReplayingSpawner
from tests.support.scripts import QUESTION, THREADWEAVER, Said, UnrulyEngine, block, closed, ran, slow, spans_of

BUSY = Reply("", error="busy", again=True, wait=2.0)


async def test_a_request_that_gave_nothing_is_sent_again_as_it_was() -> None:
    done = await ran({"": [BUSY, BUSY, "hello"]})
    assert (done.result.ended, done.result.text) == ("answered", "hello")
    first, second, third = done.engine.requests
    assert first is second is third
    assert spans_of(done.result.trace, "") == [
        ("client", 0, 0, "done"),
        ("decode", 0, 0, "failed"),
        ("retry", 0, 2, "done"),
        ("decode", 2, 2, "failed"),
        ("retry", 2, 4, "done"),
        ("decode", 4, 4, "done"),
    ]
    assert [[edge.span for edge in span.after] for span in done.result.trace.spans[1:]] == [
        [f"#{number}"] for number in range(1, 6)
    ]
    assert done.result.trace.notes[:2] == ("a request is sent again in 2 s: busy",) * 2
    report = account(done.result.trace)
    assert (report.retries, report.seconds.by_kind.retry, report.seconds.residual) == (2, 4, 0)
    assert report.what_ifs[0].change == "retry"
    assert report.what_ifs[0].seconds == 4


async def test_a_third_failure_is_the_last_one() -> None:
    done = await ran({"": [BUSY] * 4})
    assert (done.result.ended, done.result.detail) == ("failed", "busy; sent 3 times")
    assert len(done.engine.requests) == 1 + retries.MOST


def _half(engine: UnrulyEngine) -> list[Said]:
    return [Chunk("half ", engine.encode("half ", control=True)), EngineError("lost", again=True)]


ONCE: dict[str, Callable[[UnrulyEngine], list[Said]]] = {
    "something was generated": _half,
    "a token without text was generated": lambda engine: [Chunk("", (1,)), EngineError("lost", again=True)],
    "the engine has text that it did not give": lambda engine: [EngineError("lost", "half", again=True)],
    "the engine does not say so": lambda engine: [EngineError("lost")],
    "the server refused for good": lambda engine: [RequestRefused(400, "lost")],
    "the context is full": lambda engine: [ContextFull("lost", again=True)],
    "something else was raised": lambda engine: [KeyError("lost")],
    "nothing at all was said": lambda engine: [],
}


@pytest.mark.parametrize("name", ONCE)
async def test_any_other_failure_is_not_sent_again(name: str) -> None:
    engine = UnrulyEngine(lambda request: ONCE[name](engine))
    done = await ran(engine)
    assert len(engine.requests) == 1
    assert not done.result.ok
    assert account(done.result.trace).retries == 0


async def test_a_place_is_free_while_a_request_waits_to_be_sent_again() -> None:
    script = {"": [block("a", "b"), "end"], "1.1": [BUSY, slow("a", 4)], "1.2": slow("b", 3)}
    done = await ran(script, budget=Budget(concurrency=1))
    assert spans_of(done.result.trace, "1.1") == [
        ("decode", 0, 0, "failed"),
        ("retry", 0, 2, "done"),
        ("queue", 2, 3, "done"),
        ("decode", 3, 7, "done"),
    ]
    assert spans_of(done.result.trace, "1.2") == [("queue", 0, 0, "done"), ("decode", 0, 3, "done")]
    assert [one.branch.outcome for one in done.result.outcomes] == ["done", "done"]


@pytest.mark.parametrize(
    ("join", "budget", "detail"),
    [
        (JoinRule(), Budget(seconds=2), "busy; not sent again: that needs a wait of 2 s, and 2 s are left"),
        (
            JoinRule("deadline", seconds=1.5),
            Budget(),
            "busy; not sent again: that needs a wait of 2 s, and 1.5 s are left",
        ),
        (
            JoinRule("deadline", seconds=9),
            Budget(seconds=1),
            "busy; not sent again: that needs a wait of 2 s, and 1 s are left",
        ),
        (JoinRule(), Budget(retries=0), "busy; not sent again: the run's budget of retries is used up"),
    ],
)
async def test_a_branch_fails_at_once_where_it_cannot_be_sent_again(
    join: JoinRule, budget: Budget, detail: str
) -> None:
    done = await ran({"": [block("a"), "end"], "1.1": [BUSY, closed(" a")]}, join=join, budget=budget)
    assert [(one.branch.outcome, one.branch.detail) for one in done.result.outcomes] == [("failed", detail)]
    assert spans_of(done.result.trace, "1.1") == [("decode", 0, 0, "failed")]
    assert done.result.ok


async def test_a_retry_is_told_to_who_watches() -> None:
    engine = ScriptedEngine({"": [block("a"), "end"], "1.1": [BUSY, closed(" a")]}, THREADWEAVER)
    async with stream(engine, QUESTION, Settings(THREADWEAVER)) as live:
        notes = [progress async for progress in live if isinstance(progress, Noted)]
    assert notes == [Noted("1.1", "a request is sent again in 2 s: busy")]


async def test_what_waits_to_be_sent_again_is_cancelled_with_its_block() -> None:
    script = {"": [block("a", "b"), "end"], "1.1": [BUSY, closed(" a")], "1.2": slow("b", 1)}
    done = await ran(script, join=JoinRule("first"))
    assert spans_of(done.result.trace, "1.1") == [("decode", 0, 0, "failed"), ("retry", 0, 1, "cancelled")]
    assert account(done.result.trace).retries == 0


# The run's share


async def test_the_run_s_first_requests_may_be_sent_again_and_no_more_than_its_share() -> None:
    script = {"": [block(*"abcdef"), "end"], **{f"1.{n}": [BUSY, closed(" x")] for n in range(1, 7)}}
    done = await ran(script)
    outcomes = [(one.branch.outcome, one.branch.detail) for one in done.result.outcomes]
    gone = ("failed", "busy; not sent again: the run's budget of retries is used up")
    assert outcomes == [("done", "")] * FREE_RETRIES + [gone] * 2
    assert account(done.result.trace).retries == FREE_RETRIES


@given(st.floats(0, 1), st.lists(st.booleans(), max_size=60))
def test_a_ledger_grants_no_more_retries_than_its_share(share: float, asks: list[bool]) -> None:
    ledger, requests, sent = Ledger(Budget(retries=share)), 0, 0
    for retry in asks:
        if retry:
            granted = ledger.retry()
            assert granted == (share > 0 and (sent < FREE_RETRIES or sent + 1 <= share * requests))
            sent += granted
        else:
            ledger.settle(ledger.reserve(1), 1)
            requests += 1


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_is_one(share: float) -> None:
    with pytest.raises(UsageError, match="it is a share, from 0 to 1"):
        Budget(retries=share)


async def test_what_replayed_branches_sent_again_is_booked() -> None:
    spawner = RecordingSpawner()
    busy = Reply("", error="busy", again=True, wait=0.0)
    script = {"": [block("a", "b"), busy, "end"], "1.1": [busy, busy, closed(" a")], "1.2": [busy, busy, closed(" b")]}
    first = await ran(script, spawner=spawner)
    again = await ran(script, spawner=ReplayingSpawner(spawner.record))
    assert first.result.detail == "busy; not sent again: the run's budget of retries is used up"
    assert again.result.detail == first.result.detail
    outcome = Outcome.from_json(json.loads(spawner.record.outcomes["1.1"]))
    assert (outcome.requests, outcome.retries) == (1, 2)


# The wait


@given(st.integers(), st.integers(1, 9), st.integers(1, 99), st.integers(1, retries.MOST))
def test_a_wait_doubles_within_its_bounds_and_depends_on_nothing_else(
    seed: int, branch: int, request: int, sent: int
) -> None:
    path, error = BranchPath(((1, branch),)), EngineError("busy", again=True)
    seconds = retries.pause(error, seed, path, request, sent)
    assert 0.125 * 2 ** (sent - 1) <= seconds < 0.375 * 2 ** (sent - 1)
    assert seconds == retries.pause(EngineError("other", again=True), seed, path, request, sent)
    assert retries.pause(EngineError("busy", wait=7.5), seed, path, request, sent) == 7.5


async def test_branches_that_fail_together_do_not_come_back_together() -> None:
    busy = Reply("", error="busy", again=True)
    script = {"": [block("a", "b"), "end"], "1.1": [busy, closed(" a")], "1.2": [busy, closed(" b")]}
    one, same, other = [(await ran(script, seed=seed)).result.trace for seed in (7, 7, 8)]
    waits = [spans_of(one, path)[1][2] for path in ("1.1", "1.2")]
    assert waits[0] != waits[1]
    assert waits == [spans_of(same, path)[1][2] for path in ("1.1", "1.2")]
    assert waits != [spans_of(other, path)[1][2] for path in ("1.1", "1.2")]
