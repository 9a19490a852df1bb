"""The game that the shipped model plays: its operations, its search, and what counts as a solution."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from training import game, problems
from training.problems import Problem

numbers = st.integers(1, 50)
hands = st.lists(numbers, min_size=2, max_size=4).map(tuple)


@given(st.integers(1, 200), st.integers(1, 200))
def test_operations_stay_in_the_game_and_are_right(first: int, second: int) -> None:
    for left, sign, right, value in game.operations(first, second):
        assert 1 <= value <= game.LARGEST_VALUE
        assert {left, right} == {first, second}
        assert value == {"+": left + right, "-": left - right, "*": left * right, "/": left / right}[sign]


@given(hands)
def test_two_blocks_hold_every_first_operation_once(hand: tuple[int, ...]) -> None:
    assert game.choices_with_first(hand) + game.choices_without_first(hand) == list(game.choices(hand))


@given(hands, st.integers(1, 100))
def test_search_agrees_with_reach(hand: tuple[int, ...], target: int) -> None:
    solution = game.solve(hand, target)
    assert (solution != game.NO_SOLUTION) == (target in game.reachable(tuple(sorted(hand))))
    assert solution == game.NO_SOLUTION or game.is_solution(solution, hand, target)


def test_what_is_no_solution() -> None:
    hand, target = (26, 45, 27, 21), 18
    right = "26 - 21 = 5 then 45 / 5 = 9 then 27 - 9 = 18"
    assert game.is_solution(right, hand, target)
    assert not game.is_solution(right, hand, 19)
    assert not game.is_solution(right.replace("45 / 5 = 9", "45 / 5 = 8"), hand, target)
    assert not game.is_solution("45 - 27 = 18", hand, target), "two numbers are left over"
    assert not game.is_solution("26 - 21 = 5 then 45 / 5 = 9 then 9 + 9 = 18", hand, target), "9 is there once"
    assert not game.is_solution("", hand, target)
    assert not game.is_solution("none", hand, target)


@given(hands, st.randoms(use_true_random=False))
def test_the_split_does_not_see_the_order(hand: tuple[int, ...], rng: random.Random) -> None:
    shuffled = list(hand)
    rng.shuffle(shuffled)
    assert problems.held_out(hand) == problems.held_out(tuple(shuffled))


@given(st.integers(3, 4), st.booleans(), st.randoms(use_true_random=False))
def test_test_problems_are_unseen_and_solvable(count: int, unseen: bool, rng: random.Random) -> None:
    drawn: Problem = problems.draw_solvable(rng, count, unseen=unseen)
    assert problems.held_out(drawn.numbers) == unseen
    assert game.solve(*drawn) != game.NO_SOLUTION
