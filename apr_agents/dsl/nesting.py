"""What steps give to those behind them, and how deep they fork."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from apr_agents.dsl.steps import Fork, Map, Repeat, Score, Step, When


def bound(steps: Sequence[Step]) -> Iterator[str]:
    """The names that these steps give to those behind them."""
    for step in steps:
        if step.as_ is not None:
            yield step.as_
        if isinstance(step, When):
            yield from bound((*step.then, *step.else_))
        elif isinstance(step, Repeat):
            yield from step.start
            yield from bound(step.repeat)


def nesting(steps: Sequence[Step]) -> int:
    """How many levels of blocks these steps fork themselves."""
    return max(map(_levels, steps), default=0)


def _levels(step: Step) -> int:
    match step:
        case Fork():
            return 1 + max(map(nesting, step.fork.values()))
        case Map():
            return 1 + nesting(step.steps)
        case Score():
            return int(step.prompt is not None)
        case When():
            return max(nesting(step.then), nesting(step.else_))
        case Repeat():
            return nesting(step.repeat)
        case _:
            return 0
