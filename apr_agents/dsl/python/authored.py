"""A decorated function: the workflow that it means, and the Python functions that it calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import anyio

from apr_agents.dsl.execute import run_workflow
from apr_agents.dsl.live import Answered
from apr_agents.dsl.python.plain import as_file
from apr_agents.dsl.spec import Workflow
from apr_agents.dsl.yaml import parse_workflow
from apr_agents.engines.base import Engine
from apr_agents.engines.opening import open_engine
from apr_agents.runner.calls import Function


@dataclass(frozen=True, slots=True)
class Authored:
    """A workflow written in Python."""

    workflow: Workflow
    """The same value as its file gives."""
    functions: Mapping[str, Function]
    """The program's own functions that it calls, by name."""

    @classmethod
    def of(cls, workflow: Workflow, functions: Mapping[str, Function]) -> Authored:
        """This workflow, read through the door that files come through. Raises WorkflowError."""
        return cls(parse_workflow(as_file(workflow), f"@workflow {workflow.name}"), functions)

    def file(self) -> str:
        """The workflow as a file that `apr run` takes; its own functions are given to that with `--functions`."""
        return as_file(self.workflow)

    async def run(
        self,
        engine: Engine | str | None = None,
        *,
        seed: int = 0,
        functions: Mapping[str, Function] | None = None,
        **inputs: object,
    ) -> Answered:
        """What came of it for these inputs.

        `engine`: an open one, or as `apr run --engine` names it, opened for this run; None: the workflow's own, else
        `embedded`. `functions`: what it calls beside its own. Inputs that are named like a parameter of this method are
        for `run_workflow`. Raises WorkflowError for inputs that do not fit, UsageError for an engine or a function that
        is missing.
        """
        known = {**self.functions, **(functions or {})}
        if engine is not None and not isinstance(engine, str):
            return await run_workflow(self.workflow, engine, inputs, seed=seed, functions=known)
        async with open_engine(engine or self.workflow.engine or "embedded") as opened:
            return await run_workflow(self.workflow, opened, inputs, seed=seed, functions=known)

    def run_sync(
        self,
        engine: str | None = None,
        *,
        seed: int = 0,
        functions: Mapping[str, Function] | None = None,
        **inputs: object,
    ) -> Answered:
        """The same where no event loop runs."""

        async def alone() -> Answered:
            return await self.run(engine, seed=seed, functions=functions, **inputs)

        return anyio.run(alone)
