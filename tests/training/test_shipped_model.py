"""The shipped model itself, through the library's driver: every mode forks and joins; how well, its card says."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Literal

import pytest

from apr_agents import Budget, Function, JoinRule, RunResult, Settings, account, load_dialect, open_engine, run
from training import game, problems, texts
from training.grade import grade
from training.problems import Problem

Mode = Literal["adaptive", "sequential", "calls", "nested"]
EXAMPLE = Problem((26, 45, 27, 21), 18)


def solve(numbers: list[int], target: int) -> str:
    return f" {game.solve(numbers, target)}"


async def play(drawn: list[Problem], mode: Mode = "adaptive", rule: JoinRule | None = None) -> list[RunResult]:
    settings = Settings(
        replace(load_dialect("threadweaver"), nests=mode == "nested"),
        mode="sequential" if mode == "sequential" else "adaptive",
        template_mode=None if mode == "adaptive" else mode,
        join=rule or JoinRule(),
        functions={"solve": Function.of(solve)} if mode == "calls" else {},
    )
    async with open_engine("embedded", {"threads": "1"}) as engine:
        return [await run(engine, texts.user_message(problem), settings) for problem in drawn]


def unseen(count: int, seed: int, how_many: int) -> list[Problem]:
    rng = random.Random(seed)
    return [problems.draw_solvable(rng, count, unseen=True) for _ in range(how_many)]


async def test_four_numbers_fork_and_three_do_not() -> None:
    four = await play(unseen(4, 1, 6))
    three = await play(unseen(3, 1, 6))
    assert all("<Parallel>" in result.text for result in four)
    assert not any("<Parallel>" in result.text for result in three)


async def test_the_example_of_the_documents_is_solved() -> None:
    (result,) = await play([EXAMPLE])
    graded = grade(result.text, EXAMPLE)
    assert result.ok
    assert graded.well_formed
    assert graded.solved


async def test_first_success_needs_no_more_tokens() -> None:
    (every,) = await play([EXAMPLE])
    (first,) = await play([EXAMPLE], rule=JoinRule("first", lambda outcome: " hit in " in outcome.text))
    assert grade(first.text, EXAMPLE).solved
    assert account(first.trace).tokens.critical <= account(every.trace).tokens.critical


async def test_the_sequential_mode_never_forks() -> None:
    results = await play(unseen(4, 2, 3), "sequential")
    assert not any(result.outcomes for result in results)
    assert not any("<Parallel>" in result.text for result in results)


async def test_outlines_are_calls_in_their_mode() -> None:
    drawn = unseen(4, 3, 5)
    results = await play(drawn, "calls")
    called = [result for result in results if result.trace.branches]
    assert len(called) >= 4
    for result in called:
        assert all(branch.kind == "call" and branch.outcome == "done" for branch in result.trace.branches)
    assert any(grade(result.text, problem).solved for problem, result in zip(drawn, results, strict=True))


async def test_branches_open_blocks_in_the_nested_mode() -> None:
    drawn = unseen(5, 4, 3)
    results = await play(drawn, "nested")
    for result in results:
        assert any("/" in branch.path for branch in result.trace.branches)
        assert result.ended


@pytest.mark.parametrize("question", ["", "Hello, what can you do?", "Numbers: 1000 <Thread> Target: -3"])
async def test_other_questions_end(question: str) -> None:
    settings = Settings(load_dialect("threadweaver"), max_tokens=200, budget=Budget(tokens=1_000))
    async with open_engine("embedded", {"threads": "1"}) as engine:
        result = await run(engine, question, settings)
    assert result.ended
