"""Join rules as a table on virtual time: who is joined, when, what let it happen, and what became of the others."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from apr_agents.engines.base import Request
from apr_agents.engines.scripted import Reply
from apr_agents.errors import UsageError
from apr_agents.runner import Budget, JoinRule, Outcome
from tests.support.scripts import THREADWEAVER, ScriptedEngine, block, ran, slow, spans_of

NESTING = replace(THREADWEAVER, nests=True)

SCRIPT = {
    "": [block("a", "b", "c", "d"), "end"],
    "1.1": slow("one", 6),
    "1.2": slow("two", 2),
    "1.3": Reply("half a word", error="lost", token_seconds=1),
    "1.4": slow("four", 4),
}
"""The branches end in the order 2, 4, 3 (which fails after 5 s), 1."""


@dataclass(frozen=True, slots=True)
class Case:
    rule: JoinRule
    joined: str
    """The numbers of the joined branches, in the order of the context."""
    at: float
    """Seconds after the fork."""
    trigger: str | None
    cancelled: str = ""
    """The numbers of the losers."""
    ended: str = "answered"


def has(text: str) -> Callable[[Outcome], bool]:
    return lambda outcome: text in outcome.text


CASES = {
    "all": Case(JoinRule(), "1234", 6, None),
    "all, by completion": Case(JoinRule(order="completion"), "2431", 6, None),
    "all, fail fast": Case(JoinRule(fail_fast=True), "234", 5, "1.3", "1", "branch_failed"),
    "first": Case(JoinRule("first"), "2", 2, "1.2", "134"),
    "first, a failure is no success": Case(JoinRule("first", has("half")), "1234", 6, None),
    "first that holds": Case(JoinRule("first", has("four")), "24", 4, "1.4", "13"),
    "first that holds, by completion": Case(JoinRule("first", has("o"), order="completion"), "2", 2, "1.2", "134"),
    "first, none holds": Case(JoinRule("first", has("five"), order="completion"), "2431", 6, None),
    "quorum": Case(JoinRule("quorum", count=2), "24", 4, "1.4", "13"),
    "quorum of those that hold": Case(JoinRule("quorum", has("o"), count=2), "24", 4, "1.4", "13"),
    "quorum of all that succeed": Case(JoinRule("quorum", count=3), "1234", 6, "1.1"),
    "quorum out of reach": Case(JoinRule("quorum", count=9), "1234", 6, None),
    "quorum, fail fast": Case(JoinRule("quorum", count=3, fail_fast=True), "234", 5, "1.3", "1", "branch_failed"),
    "quorum before the failure": Case(JoinRule("quorum", count=2, fail_fast=True), "24", 4, "1.4", "13"),
    "deadline": Case(JoinRule("deadline", seconds=4.5), "24", 4.5, None, "13"),
    "deadline at once": Case(JoinRule("deadline", seconds=0.5), "", 0.5, None, "1234"),
    "deadline after all": Case(JoinRule("deadline", seconds=100), "1234", 6, None),
    "deadline, fail fast": Case(
        JoinRule("deadline", seconds=5.5, fail_fast=True), "234", 5, "1.3", "1", "branch_failed"
    ),
    "deadline, by completion": Case(JoinRule("deadline", seconds=5.5, order="completion"), "243", 5.5, None, "1"),
}


@pytest.mark.parametrize("name", CASES)
async def test_each_rule_joins_whom_it_should_when_it_should(name: str) -> None:
    case = CASES[name]
    done = await ran(SCRIPT, join=case.rule)
    result, trace = done.result, done.result.trace
    assert result.ended == case.ended
    assert "".join(one.branch.number for one in result.outcomes if one.branch.joined) == case.joined
    assert sorted(one.branch.number for one in result.outcomes if not one.branch.joined) == list(case.cancelled)
    assert [one.trigger for one in trace.blocks] == [case.trigger]
    assert [one.rule for one in trace.blocks] == [str(case.rule)]
    lost = [branch for branch in trace.branches if branch.outcome == "cancelled"]
    assert "".join(branch.number for branch in lost) == case.cancelled
    assert not any(branch.joined for branch in lost)
    assert {span.path for span in trace.spans if span.outcome == "cancelled"} == {branch.path for branch in lost}
    join = [span for span in trace.spans if span.path == "" and span.kind == "client"][-1]
    assert (join.start, join.end) == (case.at, case.at)
    assert result.text.endswith("end") == (case.ended == "answered")
    assert re.findall("<Thread>([0-9]):", result.text) == list(case.joined)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.cancelled])
async def test_losers_are_cancelled_in_the_engine_before_the_run_goes_on(name: str) -> None:
    open_at: list[int] = []

    class Watched(ScriptedEngine):
        def _reply(self, request: Request) -> Reply:
            open_at.append(self.open_requests)
            return super()._reply(request)

    done = await ran(Watched(SCRIPT, THREADWEAVER), join=CASES[name].rule)
    assert open_at[:5] == [1, 1, 2, 3, 4]
    assert open_at[5:] == ([1] if done.result.ok else [])


async def test_what_a_loser_wrote_is_in_the_account() -> None:
    done = await ran(SCRIPT, join=JoinRule("first", has("four")))
    tokens = {span.path: span.tokens.generated for span in done.result.trace.spans if span.path and span.tokens}
    assert tokens == {"1.1": 1, "1.2": 2, "1.3": 4, "1.4": 2}


async def test_a_join_names_what_it_waited_for() -> None:
    first = (await ran(SCRIPT, join=JoinRule("first", has("four")))).result.trace
    join = next(span for span in first.spans if span.id == "#3")
    assert [(edge.span, edge.kind) for edge in join.after] == [("1.2#1", "join"), ("1.4#1", "trigger")]
    late = (await ran(SCRIPT, join=JoinRule("deadline", seconds=4.5))).result.trace
    assert spans_of(late, "")[2:] == [
        ("wait", 0.0, 4.5, "done"),
        ("client", 4.5, 4.5, "done"),
        ("synthesis", 4.5, 4.5, "done"),
    ]
    wait, join = (span for span in late.spans if span.id in ("#3", "#4"))
    assert [(edge.span, edge.kind) for edge in wait.after] == [("#2", "then")]
    assert [(e.span, e.kind) for e in join.after] == [("1.2#1", "join"), ("1.4#1", "join"), ("#3", "then")]


async def test_two_that_end_at_the_same_moment_are_both_kept() -> None:
    script = {"": [block("a", "b", "c"), "end"], "1.1": slow("one", 2), "1.2": slow("two", 2), "1.3": slow("three", 3)}
    for rule in (JoinRule("first"), JoinRule("quorum", count=1), JoinRule("deadline", seconds=2)):
        done = await ran(script, join=rule)
        kept = [outcome.branch.number for outcome in done.result.outcomes if outcome.branch.joined]
        assert kept == ["1", "2"], rule


async def test_a_predicate_that_raises_ends_the_run_with_everything_that_finished() -> None:
    def until(outcome: Outcome) -> bool:
        raise LookupError(f"no answer in {outcome.branch.path}")

    done = await ran(SCRIPT, join=JoinRule("first", until))
    assert done.result.ended == "failed"
    assert done.result.detail == "the join rule's predicate raised LookupError: no answer in 1.2"
    assert [(one.branch.path, one.text) for one in done.result.outcomes] == [
        ("1.2", "two</Thread>"),
        ("1.1", ""),
        ("1.3", "half "),
        ("1.4", "four"),
    ]


async def test_a_predicate_is_asked_once_of_each_branch_that_succeeded() -> None:
    asked: list[str] = []

    def until(outcome: Outcome) -> bool:
        asked.append(outcome.branch.path)
        return False

    await ran(SCRIPT, join=JoinRule("quorum", until, count=2))
    assert asked == ["1.2", "1.4", "1.1"]


async def test_a_rule_holds_in_nested_blocks_too() -> None:
    script = {
        "": [block("a", "b"), "end"],
        "1.1": [block("x", "y"), slow("inner", 1)],
        "1.1/1.1": slow("x", 5),
        "1.1/1.2": slow("y", 1),
        "1.2": slow("b", 4),
    }
    done = await ran(script, dialect=NESTING, join=JoinRule("first"))
    assert [(branch.path, branch.outcome) for branch in done.result.trace.branches] == [
        ("1.1", "done"),
        ("1.1/1.1", "cancelled"),
        ("1.1/1.2", "done"),
        ("1.2", "cancelled"),
    ]
    assert done.result.trace.wall == 2


async def test_a_failure_in_a_nested_block_under_fail_fast_fails_its_branch_and_the_run() -> None:
    script = {
        "": [block("a", "b"), "end"],
        "1.1": [block("x"), "never"],
        "1.1/1.1": Reply(" x", error="lost"),
        "1.2": slow("b", 4),
    }
    done = await ran(script, dialect=NESTING, join=JoinRule(fail_fast=True))
    assert done.result.ended == "branch_failed"
    assert done.result.detail == "branch 1.1 failed: branch 1.1/1.1 failed: lost"
    assert done.result.outcomes[0].text.endswith("<Thread>1: x</Thread>\n</Parallel>\n</Thread>")


async def test_waiting_for_a_place_counts_against_a_deadline() -> None:
    script = {"": [block("a", "b"), "end"], "1.1": slow("a", 4), "1.2": slow("b", 4)}
    done = await ran(script, join=JoinRule("deadline", seconds=5), budget=Budget(concurrency=1))
    assert [branch.outcome for branch in done.result.trace.branches] == ["done", "cancelled"]
    assert spans_of(done.result.trace, "1.2") == [("queue", 0.0, 4.0, "done"), ("decode", 4.0, 5.0, "cancelled")]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"kind": "quorum"}, "needs a count of at least 1"),
        ({"kind": "quorum", "count": 0}, "needs a count of at least 1"),
        ({"kind": "all", "count": 2}, "needs a count of at least 1"),
        ({"kind": "deadline"}, "needs seconds above 0"),
        ({"kind": "deadline", "seconds": 0.0}, "needs seconds above 0"),
        ({"kind": "first", "seconds": 1.0}, "needs seconds above 0"),
        ({"kind": "all", "until": bool}, "waits for no particular outcome"),
        ({"kind": "deadline", "seconds": 1.0, "until": bool}, "waits for no particular outcome"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        JoinRule(**rule)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (JoinRule(), "all"),
        (JoinRule("first", fail_fast=True), "first, fail fast"),
        (JoinRule("quorum", count=3), "quorum of 3"),
        (JoinRule("deadline", seconds=0.5), "deadline of 0.5 s"),
    ],
)
def test_a_rule_reads_as_it_is_said(rule: JoinRule, text: str) -> None:
    assert str(rule) == text
