"""Forks inside forks."""

from __future__ import annotations

from typing import Annotated

from apr_agents.dsl.decorators import (
    BudgetSpec,
    Input,
    Integers,
    JoinSpec,
    Reference,
    Traced,
    above,
    branch,
    call,
    holds,
    map,
    reason,
    repeat,
    select,
    when,
    workflow,
)
from apr_agents.dsl.workflows.game import ANSWER, FOUR_TO_SIX, RIGHT, Four, Target, grades, leaf, promises, question

Size = Annotated[int, Input("integer", min=1, max=32, description="First operations in a part.")]
Width = Annotated[int, Input("integer", min=1, max=16, description="Branches of a fork.")]
FIRST = JoinSpec("first", until="=")


@workflow(engine="embedded", budget=BudgetSpec(branches=64, run_branches=256, depth=3), check=RIGHT)
def graph_of_thoughts(numbers: Four, target: Target, size: Size = 5) -> Traced:
    """Split, aggregate, keep the best, refine."""

    @branch
    def explore(part: Reference) -> Traced:
        solutions = yield map(part, leaf, as_="solutions")
        worth = yield grades(solutions)
        yield select(solutions, by="best", scores=worth)

    @branch
    def keep() -> Traced:
        yield select([kept], by="first")

    @branch
    def turn(turned: Reference) -> Traced:
        again = yield call("rotate", items=turned, as_="turned")
        yield reason(question(again), answer=ANSWER, as_="refined")

    @branch
    def refine() -> Traced:
        yield repeat(turn, most=2, until=holds(RIGHT, Reference("refined")), start={"turned": numbers})

    game = yield call("countdown.start", numbers=numbers, as_="game")
    states = yield call("countdown.moves", state=game, as_="states")
    split = yield call("parts", items=states, size=size, as_="split")
    aggregated = yield map(split, explore, as_="aggregated")
    worth = yield grades(aggregated)
    kept = yield select(aggregated, by="best", scores=worth, as_="kept")
    yield when(holds(RIGHT, kept), keep, refine)


@workflow(engine="embedded", budget=BudgetSpec(branches=64, run_branches=2048, depth=4), check=RIGHT)
def recursive(numbers: Annotated[Integers, FOUR_TO_SIX], target: Target, width: Width = 8) -> Traced:
    """A branch forks again."""

    def split(state: Reference) -> Traced:
        states = yield call("countdown.moves", state=state, as_="states")
        worth = yield promises(states)
        yield select(states, by="best", scores=worth, count=width, as_="chosen")

    def think(state: Reference) -> Traced:
        rest = yield reason(question(state["numbers"]), answer=ANSWER, as_="rest")
        yield call("countdown.whole", state=state, answer=rest)

    @branch
    def inner(inner: Reference) -> Traced:
        yield from think(inner)

    @branch
    def outer(state: Reference) -> Traced:
        def deeper() -> Traced:
            yield from split(state)
            solutions = yield map(Reference("chosen"), inner, join=FIRST, as_="solutions")
            yield select(solutions, by="first")

        def here() -> Traced:
            yield from think(state)

        yield when(above(state["left"], 4), deeper, here)

    game = yield call("countdown.start", numbers=numbers, as_="game")
    yield from split(game)
    solutions = yield map(Reference("chosen"), outer, join=FIRST, as_="solutions")
    yield select(solutions, by="first")
