"""Branches that are known before the model begins with them: a skeleton's points, a fixed number of paths."""

from __future__ import annotations

from typing import Annotated

from apr_agents.dsl.decorators import (
    Input,
    Reference,
    SamplingSpec,
    Traced,
    branch,
    call,
    generate,
    map,
    reason,
    select,
    workflow,
)
from apr_agents.dsl.workflows.game import ANSWER, RIGHT, SHORT, Four, Target, question

MOVE = "([0-9]+ [-+*/] [0-9]+ = [0-9]+);"
Paths = Annotated[int, Input("integer", min=2, max=12, description="How many paths there are.")]


@workflow(engine="embedded", check=RIGHT)
def skeleton_of_thought(numbers: Four, target: Target) -> Traced:
    """A skeleton, then all of its points at the same time."""

    @branch
    def expand(point: Reference) -> Traced:
        after = yield call("countdown.play", state=game, operation=point, as_="after")
        rest = yield generate(question(after["numbers"]), sampling=SHORT, answer=ANSWER, as_="rest")
        yield call("countdown.whole", state=after, answer=rest)

    game = yield call("countdown.start", numbers=numbers, as_="game")
    few = SamplingSpec(max_tokens=80)
    skeleton = yield generate(question(numbers), mode="calls", sampling=few, items=MOVE, as_="skeleton")
    expanded = yield map(skeleton, expand, limit=12, as_="expanded")
    yield select(expanded, by="first")


@workflow(engine="embedded", check=RIGHT)
def parathinker(numbers: Four, target: Target, paths: Paths = 6) -> Traced:
    """A fixed number of paths, then their summary."""
    game = yield call("countdown.start", numbers=numbers, as_="game")
    states = yield call("countdown.moves", state=game, as_="states")
    chosen = yield select(states, by="first", count=paths, as_="chosen")
    openings = yield call("pluck", items=chosen, key="move", as_="openings")
    yield reason(question(numbers), outlines=openings, answer=ANSWER)
