"""The game of Countdown: join numbers two at a time until one of the results is the target.

Every value on the way is a whole number from 1 to 200. The order in which operations are listed here is the order in
which the model learns to search, so it is fixed: pairs from left to right, and for each pair sum, difference, product,
quotient.
"""

from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from itertools import combinations
from typing import NamedTuple

LARGEST_VALUE = 200
NO_SOLUTION = "none"
STEP_SEPARATOR = " then "


class Operation(NamedTuple):
    """One step: two values, a sign and what they give."""

    left: int
    sign: str
    right: int
    value: int

    @property
    def name(self) -> str:
        """The operation without its result: `26 + 45`."""
        return f"{self.left} {self.sign} {self.right}"

    def __str__(self) -> str:
        return f"{self.name} = {self.value}"


class Choice(NamedTuple):
    """A first operation and the numbers that are left beside its result."""

    operation: Operation
    others: tuple[int, ...]

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of the game that remains, the new value first."""
        return (self.operation.value, *self.others)


@cache
def operations(first: int, second: int) -> tuple[Operation, ...]:
    """All operations on two values that stay within the game, in canonical order.

    A difference of zero and a division by one are left out: they never shorten a search.
    """
    larger, smaller = max(first, second), min(first, second)
    found: list[Operation] = []
    if first + second <= LARGEST_VALUE:
        found.append(Operation(first, "+", second, first + second))
    if larger > smaller:
        found.append(Operation(larger, "-", smaller, larger - smaller))
    if first * second <= LARGEST_VALUE:
        found.append(Operation(first, "*", second, first * second))
    if smaller > 1 and larger % smaller == 0:
        found.append(Operation(larger, "/", smaller, larger // smaller))
    return tuple(found)


def choices(numbers: Sequence[int]) -> Iterator[Choice]:
    """Every first operation of a game, pairs from left to right."""
    for pair in combinations(range(len(numbers)), 2):
        others = tuple(number for place, number in enumerate(numbers) if place not in pair)
        for operation in operations(*(numbers[place] for place in pair)):
            yield Choice(operation, others)


def choices_with_first(numbers: Sequence[int]) -> list[Choice]:
    """The first operations that use the first number: what the first block of a run tries."""
    every = list(choices(numbers))
    return every[: len(every) - len(choices_without_first(numbers))]


def choices_without_first(numbers: Sequence[int]) -> list[Choice]:
    """The first operations that leave the first number aside: what a second block tries."""
    first, *others = numbers
    return [Choice(choice.operation, (first, *choice.others)) for choice in choices(others)]


@lru_cache(maxsize=400_000)
def reachable(numbers: tuple[int, ...]) -> frozenset[int]:
    """All values that a game with these numbers (sorted) can end on."""
    if len(numbers) == 1:
        return frozenset(numbers)
    values: set[int] = set()
    for choice in choices(numbers):
        values |= reachable(tuple(sorted(choice.numbers)))
    return frozenset(values)


def find_steps(numbers: Sequence[int], target: int) -> list[Operation] | None:
    """The first solution in canonical order, or None."""
    if len(numbers) == 1:
        return [] if numbers[0] == target else None
    for choice in choices(numbers):
        rest = find_steps(choice.numbers, target)
        if rest is not None:
            return [choice.operation, *rest]
    return None


def steps_text(steps: Sequence[Operation]) -> str:
    """A solution as text: `26 - 21 = 5 then 45 / 5 = 9 then 27 - 9 = 18`."""
    return STEP_SEPARATOR.join(map(str, steps))


def solve(numbers: Sequence[int], target: int) -> str:
    """The function behind `@solve`: a solution as text, or `none`."""
    steps = find_steps(numbers, target)
    return NO_SOLUTION if steps is None else steps_text(steps)


def is_solution(text: str, numbers: Sequence[int], target: int) -> bool:
    """Whether the text is a solution: every step is right, uses only values at hand, and the last gives the target."""
    at_hand = list(numbers)
    value = None
    for step in text.strip().split(STEP_SEPARATOR):
        parts = step.split(" ")
        if len(parts) != 5 or parts[3] != "=" or not all(parts[k].isdecimal() for k in (0, 2, 4)):
            return False
        left, right, value = int(parts[0]), int(parts[2]), int(parts[4])
        if (left, parts[1], right, value) not in {*operations(left, right), *operations(right, left)}:
            return False
        for used in (left, right):
            if used not in at_hand:
                return False
            at_hand.remove(used)
        at_hand.append(value)
    return len(at_hand) == 1 and value == target
