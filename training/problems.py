"""Draws problems, and keeps one multiset of numbers in twenty for tests only."""

import random
import zlib
from typing import NamedTuple

from .game import choices, operations, reachable

LARGEST_NUMBER = 50
LARGEST_TARGET = 100
HELD_OUT_ONE_IN = 20

# How often a four-number problem is kept in training, by how many of its first operations lead to the target.
# Problems with few ways are rare by nature and teach the most; a little of the unsolvable keeps `none` honest.
KEEP_BY_WAYS = (0.03, 1.0, 1.0, 1.0, 0.25)


class Problem(NamedTuple):
    """The numbers in the order shown to the model, and the target."""

    numbers: tuple[int, ...]
    target: int


def held_out(numbers: tuple[int, ...]) -> bool:
    """Whether this multiset of numbers is kept for tests; the order of the numbers does not matter."""
    return zlib.crc32(bytes(sorted(numbers))) % HELD_OUT_ONE_IN == 0


def draw_numbers(rng: random.Random, count: int, *, unseen: bool = False) -> tuple[int, ...]:
    """Numbers drawn evenly, from the held-out multisets or from the others."""
    while True:
        numbers = tuple(rng.randint(1, LARGEST_NUMBER) for _ in range(count))
        if held_out(numbers) == unseen:
            return numbers


def draw_solvable(rng: random.Random, count: int, *, unseen: bool = False) -> Problem:
    """An even draw of numbers and target among the problems that have a solution: the distribution of the tests."""
    while True:
        numbers = draw_numbers(rng, count, unseen=unseen)
        target = rng.randint(1, LARGEST_TARGET)
        if target in reachable(tuple(sorted(numbers))):
            return Problem(numbers, target)


def draw_four(rng: random.Random) -> Problem:
    """A four-number training problem, in favour of those with one to three good first operations."""
    while True:
        problem = Problem(draw_numbers(rng, 4), rng.randint(1, LARGEST_TARGET))
        if rng.random() < KEEP_BY_WAYS[min(ways(problem), len(KEEP_BY_WAYS) - 1)]:
            return problem


def draw_four_to_join(rng: random.Random) -> Problem:
    """A four-number problem for a join: every other one is of the tests' kind, where several branches hit."""
    return draw_solvable(rng, 4) if rng.random() < 0.5 else draw_four(rng)


def ways(problem: Problem) -> int:
    """How many first operations still lead to the target."""
    return sum(problem.target in reachable(tuple(sorted(choice.numbers))) for choice in choices(problem.numbers))


def draw_three(rng: random.Random) -> Problem:
    """A three-number training problem: half are of the tests' kind, one in twenty has mostly no solution."""
    if rng.random() < 0.5:
        return draw_solvable(rng, 3)
    if rng.random() < 0.1:
        return Problem(draw_numbers(rng, 3), rng.randint(1, LARGEST_TARGET))
    return _draw_by_playing(rng, draw_numbers(rng, 3))


def draw_early_hit(rng: random.Random) -> Problem:
    """A three-number problem solved within the first four lines of its search; the first number may be large."""
    while True:
        numbers = list(draw_numbers(rng, 3))
        if rng.random() < 0.5:
            numbers[0] = rng.randint(1, 2 * LARGEST_TARGET)
            rng.shuffle(numbers)
        openings = list(choices(numbers))[:4]
        if not openings or held_out(tuple(numbers)):
            continue
        opening = rng.choice(openings)
        targets = [step.value for step in operations(*opening.numbers) if step.value <= LARGEST_TARGET]
        if targets:
            return Problem(tuple(numbers), rng.choice(targets))


def _draw_by_playing(rng: random.Random, numbers: tuple[int, ...]) -> Problem:
    """Plays at random until one value is left and takes it as the target, so that every target has a way."""
    while True:
        left = numbers
        while len(left) > 1 and (openings := list(choices(left))):
            left = rng.choice(openings).numbers
        if len(left) == 1 and left[0] <= LARGEST_TARGET:
            return Problem(numbers, left[0])
