"""One question, one step."""

from __future__ import annotations

from typing import Annotated

from apr_agents.dsl.decorators import Input, SamplingSpec, Traced, generate, reason, workflow

Question = Annotated[str, Input("text", description="What the model is asked.")]


@workflow(engine="embedded")
def adaptive(question: Question) -> Traced:
    """The model decides when to fork."""
    yield reason(question, answer="answer:")


@workflow(engine="embedded")
def sequential(question: Question) -> Traced:
    """One text without a fork."""
    yield generate(question, mode="sequential", sampling=SamplingSpec(max_tokens=2048), answer="answer:")
