"""A decorated function: the workflow that it means, and the Python functions that it calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from apr_agents.dsl.python.plain import as_file
from apr_agents.dsl.spec import Workflow
from apr_agents.dsl.yaml import parse_workflow
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
