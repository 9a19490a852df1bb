"""Several samples of one question, and a choice among them."""

from __future__ import annotations

from typing import Annotated

from apr_agents.dsl.decorators import (
    BudgetSpec,
    Input,
    Integers,
    SamplingSpec,
    Traced,
    branch,
    generate,
    map,
    select,
    workflow,
)
from apr_agents.dsl.workflows.game import RIGHT, THREE_OR_FOUR, Target, grades, question
from apr_agents.dsl.workflows.single import Question

Samples = Annotated[int, Input("integer", min=1, max=64, description="How many answers are sampled.")]
WARM = SamplingSpec(temperature=0.6, max_tokens=1200)
WIDE = BudgetSpec(branches=64)


@workflow(engine="embedded", budget=WIDE)
def self_consistency(question: Question, samples: Samples = 5) -> Traced:
    """The most frequent answer."""

    @branch
    def attempt() -> Traced:
        yield generate(question, mode="sequential", sampling=WARM, answer="answer:")

    answers = yield map(samples, attempt, as_="answers")
    yield select(answers, by="majority")


@workflow(engine="embedded", budget=WIDE, check=RIGHT)
def best_of_n(numbers: Annotated[Integers, THREE_OR_FOUR], target: Target, samples: Samples = 5) -> Traced:
    """The answer that a verifier scores highest."""

    @branch
    def attempt() -> Traced:
        yield generate(question(numbers), mode="sequential", sampling=WARM, answer="answer:")

    answers = yield map(samples, attempt, as_="answers")
    worth = yield grades(answers)
    yield select(answers, by="best", scores=worth)
