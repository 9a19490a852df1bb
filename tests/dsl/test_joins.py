"""Blocks of a workflow by script: their branches run at the same time, join, lose, fail and share a budget."""

from __future__ import annotations

import pytest

from apr_agents.accounting import account
from apr_agents.dsl.values import Value
from tests.dsl.playing import play
from tests.dsl.supplied import BROKEN, late

MINUTE = 60.0


async def test_a_block_s_branches_run_at_the_same_time() -> None:
    played = await play("[{map: 5, steps: [{generate: '${item}'}]}]", lambda _: late("word", MINUTE))
    assert played.answered.result.trace.wall == MINUTE


RACE = {"a": late("one", 3), "b": late("two", 1), "c": late("three", 2)}


@pytest.mark.parametrize(
    ("join", "value", "cancelled", "trigger", "wall"),
    [
        ("all", ["one", "two", "three"], set[str](), None, 3),
        ("first", [None, "two", None], {"1.1", "1.3"}, "1.2", 1),
        ("{rule: first, until: thr}", [None, "two", "three"], {"1.1"}, "1.3", 2),
        ("{rule: quorum, count: 2}", [None, "two", "three"], {"1.1"}, "1.3", 2),
        ("{rule: deadline, seconds: 2.5}", [None, "two", "three"], {"1.1"}, None, 2.5),
    ],
)
async def test_losers_are_cancelled_in_the_engine(
    join: str, value: Value, cancelled: set[str], trigger: str | None, wall: float
) -> None:
    played = await play(f"[{{map: [a, b, c], steps: [{{generate: '${{item}}'}}], join: {join}}}]", RACE)
    assert played.answered.value == value
    assert {path for path, how in played.branches.items() if how == "cancelled"} == cancelled
    (one,) = played.answered.result.trace.blocks
    assert one.trigger == trigger
    assert played.answered.result.trace.wall == wall
    assert all(request.watched for request in played.engine.requests) is (join != "all")


async def test_a_branch_that_fails_is_an_outcome() -> None:
    played = await play("[{fork: {one: [{generate: a}], two: [{generate: b}]}}]", BROKEN)
    assert played.answered.value == {"one": "said a", "two": None}
    (failed,) = [branch for branch in played.answered.result.trace.branches if branch.outcome == "failed"]
    assert failed.detail == "steps[0].fork.two[0]: lost"
    assert played.answered.result.ok


async def test_branches_share_what_is_left_of_the_budget() -> None:
    file = "name: a\nbudget: {tokens: 30}\nsteps: [{map: 2, steps: [{generate: a, as: x}, {generate: b}]}]"
    played = await play(file, lambda _: "word " * 20)
    assert played.answered.result.ended == "failed"
    assert all("share of the run's budget" in branch.detail or "budget of tokens" in branch.detail
               for branch in played.answered.result.trace.branches)  # fmt: skip
    assert account(played.answered.result.trace).tokens.generated == 20


async def test_more_branches_than_a_block_may_have_are_refused() -> None:
    head = "name: a\nbudget: {branches: 2}\ninputs: {count: integer}\n"
    played = await play(head + "steps: [{map: '${count}', steps: [{generate: '${item}'}]}]", count=3)
    assert played.answered.value == ["said 1", "said 2", None]
    assert played.branches == {"1.1": "done", "1.2": "done", "1.3": "refused"}
