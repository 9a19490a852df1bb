"""What the ready-made workflows over the shipped model's game have in common."""

from __future__ import annotations

from typing import Annotated

from apr_agents.dsl.decorators import (
    Drafted,
    Input,
    Integers,
    Reference,
    SamplingSpec,
    Traced,
    branch,
    call,
    check,
    generate,
    score,
)

ABOUT_NUMBERS = "What to calculate with."
ABOUT_TARGET = "What to reach."

THREE_OR_FOUR = Input("integers", length=(3, 4), min=1, max=50, description=ABOUT_NUMBERS)
FOUR = Input("integers", length=4, min=1, max=50, description=ABOUT_NUMBERS)
FOUR_OR_FIVE = Input("integers", length=(4, 5), min=1, max=50, description=ABOUT_NUMBERS)
FOUR_TO_SIX = Input("integers", length=(4, 6), min=1, max=50, description=ABOUT_NUMBERS)

Four = Annotated[Integers, FOUR]
Target = Annotated[int, Input("integer", min=1, max=100, description=ABOUT_TARGET)]

GOAL = {"numbers": Reference("numbers"), "target": Reference("target")}
RIGHT = check("arithmetic", **GOAL)
"""Whether the result is a solution."""
ANSWER = "answer:"
SHORT = SamplingSpec(max_tokens=400)
"""Three numbers take half of that at most; a model that loses its place would go on to the end of its window."""


def question(numbers: object) -> str:
    """What the model is asked about these numbers."""
    return f"Numbers: {numbers} Target: {Reference('target')}"


@branch
def leaf(state: Reference) -> Traced:
    """The model plays a state, and its answer becomes one to the whole game."""
    rest = yield generate(question(state["numbers"]), sampling=SHORT, answer=ANSWER, as_="rest")
    yield call("countdown.whole", state=state, answer=rest)


def promises(states: Reference) -> Drafted:
    """How much each state promises, by a function."""
    return score(states, by="countdown.promise", arguments={"target": GOAL["target"]}, as_="worth")


def grades(answers: Reference) -> Drafted:
    """What each answer is worth, by a function."""
    return score(answers, by="countdown.grade", arguments=GOAL, as_="grades")
