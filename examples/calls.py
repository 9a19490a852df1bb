"""Branches that are calls: the model writes `@solve {...}` outlines, and a Python function answers each of them."""

from collections.abc import Iterator
from itertools import combinations

import anyio

from apr_agents import Function, RunResult, Settings, load_dialect, open_engine, run

LARGEST = 200

Step = tuple[int, str, int, int]


def solve(numbers: list[int], target: int) -> str:
    """Whether the target can be reached with all of these numbers, and how."""
    steps = next(solutions(numbers, target), None)
    if steps is None:
        return "none"
    return " then ".join(f"{left} {sign} {right} = {value}" for left, sign, right, value in steps)


def solutions(numbers: list[int], target: int) -> Iterator[list[Step]]:
    """Every way to combine all the numbers, two at a time, that ends in the target."""
    for first, second in combinations(range(len(numbers)), 2):
        rest = [number for place, number in enumerate(numbers) if place not in (first, second)]
        for step in steps_of(numbers[first], numbers[second]):
            if not rest and step[3] == target:
                yield [step]
            for later in solutions([step[3], *rest], target) if rest else ():
                yield [step, *later]


def steps_of(one: int, other: int) -> Iterator[Step]:
    """What two numbers give, as far as the model counts: whole numbers from 1 to 200."""
    high, low = max(one, other), min(one, other)
    if one + other <= LARGEST:
        yield one, "+", other, one + other
    if high > low:
        yield high, "-", low, high - low
    if one * other <= LARGEST:
        yield one, "*", other, one * other
    if low > 1 and high % low == 0:
        yield high, "/", low, high // low


async def main() -> RunResult:
    """Ask the shipped model in its `calls` mode."""
    settings = Settings(load_dialect("threadweaver"), template_mode="calls", functions={"solve": Function.of(solve)})
    async with open_engine("embedded") as engine:
        result = await run(engine, "Numbers: 26 45 27 21 Target: 18", settings)
    for branch in result.trace.branches:
        print(f"{branch.path} {branch.kind} {branch.outcome:<6} {branch.outline}")
    print(result.answer)
    return result


if __name__ == "__main__":
    anyio.run(main)
