"""Workflows by script: what the model says to each question, and what must hold of every run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from apr_agents.dsl.execute import run_workflow
from apr_agents.dsl.live import Answered
from apr_agents.dsl.yaml import parse_workflow
from apr_agents.engines.base import Request
from apr_agents.engines.scripted import Reply, ScriptedEngine
from apr_agents.runner.calls import Function
from apr_agents.runner.spawner import Spawner
from apr_agents.trace import Span
from tests.support.scripts import THREADWEAVER, check

Says = Mapping[str, str | Reply] | Callable[[str], str | Reply]
"""By question; one that is not there is answered with itself, `said ` before it."""


@dataclass(frozen=True, slots=True)
class Played:
    """A workflow's run by script, and its engine."""

    answered: Answered
    engine: ScriptedEngine

    @property
    def questions(self) -> list[str]:
        """What the model was asked, in the order of arrival."""
        return [question_in(request) for request in self.engine.requests]

    @property
    def branches(self) -> dict[str, str]:
        """How each branch ended, by path."""
        return {branch.path: branch.outcome for branch in self.answered.result.trace.branches}

    @property
    def shape(self) -> list[tuple[object, ...]]:
        """The trace but for its seconds."""
        return [(span.id, span.kind, span.after, span.outcome, span.tokens) for span in self.spans]

    @property
    def spans(self) -> tuple[Span, ...]:
        return self.answered.result.trace.spans


def question_in(request: Request) -> str:
    """The last question of a request."""
    return request.context.text.rstrip("\n").rpartition("\n")[2]


async def play(
    steps: str,
    says: Says | None = None,
    *,
    spawner: Spawner | None = None,
    functions: Mapping[str, Callable[..., Any] | Function] | None = None,
    seed: int = 0,
    **inputs: object,
) -> Played:
    """Run these steps, or this whole file; whatever must hold of every run is checked."""

    def said(request: Request) -> str | Reply:
        question = question_in(request)
        if callable(says):
            return says(question)
        return (says or {}).get(question, f"said {question}")

    given = (functions or {}).items()
    known = {name: call if isinstance(call, Function) else Function(name, call) for name, call in given}
    text = steps if steps.lstrip().startswith("name:") else f"name: a\nsteps: {steps}"
    engine = ScriptedEngine(said, THREADWEAVER)
    workflow = parse_workflow(text, "f", functions=known)
    answered = await run_workflow(workflow, engine, inputs, functions=known, spawner=spawner, seed=seed)
    check(answered.result, engine)
    return Played(answered, engine)
