"""The shipped model's game as functions of JSON values: what ready-made workflows let a function do.

Join numbers two at a time with + - * / until the target is left; every value is a whole number from 1 to 200. A state
is what is left to play, and how it came about. A task of yours has functions of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations

from typing_extensions import TypedDict

from apr_agents.dsl.arithmetic import arithmetic, written_steps
from apr_agents.dsl.checked import MAX_ANSWER
from apr_agents.dsl.checks import answer_in

LARGEST = 200

_REACHED = re.compile(r"->((?: [0-9]{1,9})+)")
"""The model lists the values that its last operation can give behind an arrow."""


class State(TypedDict):
    """A game that is left to play."""

    numbers: list[int]
    """What there is, the last result first."""
    left: int
    """How many numbers that are."""
    move: str
    """The operation that led here, such as `26 + 45`; empty at the start."""
    steps: str
    """All operations that led here, with their results, joined by ` then `."""


def start(numbers: list[int]) -> State:
    """The game before its first operation."""
    return State(numbers=numbers, left=len(numbers), move="", steps="")


def moves(state: State, down_to: int = 1) -> list[State]:
    """What one operation makes of a game, each different game once; nothing once only `down_to` numbers are left."""
    if state["left"] <= down_to:
        return []
    numbers = state["numbers"]
    found: dict[tuple[int, ...], State] = {}
    for pair in combinations(range(len(numbers)), 2):
        others = [number for place, number in enumerate(numbers) if place not in pair]
        for operation, value in operations(*(numbers[place] for place in pair)):
            after = _after(state, operation, value, others)
            found.setdefault(tuple(sorted(after["numbers"])), after)
    return list(found.values())


def play(state: State, operation: str) -> State:
    """The game behind an operation that was written as `26 + 45 = 71`. Raises ValueError where it cannot be played."""
    for after in moves(state):
        if operation.strip() == f"{after['move']} = {after['numbers'][0]}":
            return after
    raise ValueError(f"{operation[:60]!r} cannot be played on {' '.join(map(str, state['numbers']))}")


def promise(item: State, target: int) -> float:
    """How near one more operation comes to the target: the sum of 1 / (1 + distance) over all that it can give."""
    values = [value for pair in combinations(item["numbers"], 2) for _, value in operations(*pair)]
    return sum(1 / (1 + abs(value - target)) for value in values)


def whole(state: State, answer: str | None) -> str | None:
    """The solution of the whole game: the steps that led to this state, and the answer to it; null without one."""
    if not answer:
        return None
    return f"{state['steps']} then {answer}" if state["steps"] else answer


def grade(item: str | None, numbers: list[int], target: int) -> float:
    """What an answer is worth: 1 when it is right, half the share of its steps that hold up when not, 0 without one."""
    if not item:
        return 0.0
    if arithmetic(item, numbers=tuple(numbers), target=target).ok:
        return 1.0
    steps = written_steps(item)
    return sum(step is not None and step.falsehood() is None for step in steps) / len(steps) / 2 if steps else 0.0


class Playout(TypedDict):
    """What came of a game that the model played to its end."""

    solution: str | None
    reward: float
    """1 for a solution; when there is none, half of 1 / (1 + distance) for the value nearest to the target."""


def judge(state: State, written: str | None, numbers: list[int], target: int) -> Playout:
    """The reward of all that the model wrote about this state, which ends in `answer:` and steps where it found any."""
    solution = whole(state, answer_in(written or "", "answer:"))
    if grade(solution, numbers, target) == 1.0:
        return Playout(solution=solution, reward=1.0)
    reached = [int(value) for values in _REACHED.findall((written or "")[:MAX_ANSWER]) for value in values.split()]
    return Playout(solution=None, reward=max((0.5 / (1 + abs(value - target)) for value in reached), default=0.0))


def operations(one: int, other: int) -> Iterator[tuple[str, int]]:
    """What two numbers give, as text and value, in the order in which the model was trained to try it."""
    high, low = max(one, other), min(one, other)
    if one + other <= LARGEST:
        yield f"{one} + {other}", one + other
    if high > low:
        yield f"{high} - {low}", high - low
    if one * other <= LARGEST:
        yield f"{one} * {other}", one * other
    if low > 1 and high % low == 0:
        yield f"{high} / {low}", high // low


def _after(state: State, operation: str, value: int, others: list[int]) -> State:
    step = f"{operation} = {value}"
    steps = f"{state['steps']} then {step}" if state["steps"] else step
    return State(numbers=[value, *others], left=len(others) + 1, move=operation, steps=steps)
