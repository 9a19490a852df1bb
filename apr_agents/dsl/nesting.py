"""What steps have inside them, what they give to those behind them, and how deep they fork."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from apr_agents.dsl.steps import Fork, Map, Repeat, Score, Step, When


def inside(step: Step) -> Iterator[Sequence[Step]]:
    """The sequences of steps inside a step."""
    match step:
        case Fork():
            yield from step.fork.values()
        case Map():
            yield step.steps
        case When():
            yield from (step.then, step.else_)
        case Repeat():
            yield step.repeat
        case _:
            pass


def bound(steps: Sequence[Step]) -> Iterator[str]:
    """The names that these steps give to those behind them."""
    for step in steps:
        if step.as_ is not None:
            yield step.as_
        if isinstance(step, Repeat):
            yield from step.start
        if isinstance(step, (When, Repeat)):
            for inner in inside(step):
                yield from bound(inner)


def nesting(steps: Sequence[Step]) -> int:
    """How many levels of blocks these steps fork themselves."""
    return max(map(_levels, steps), default=0)


def _levels(step: Step) -> int:
    forks = isinstance(step, (Fork, Map)) or (isinstance(step, Score) and step.prompt is not None)
    return forks + max(map(nesting, inside(step)), default=0)
