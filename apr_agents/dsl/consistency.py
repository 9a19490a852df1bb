"""What the parts of a workflow say of each other: names, references and their types, functions, checks, joins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from apr_agents.dialects import dialect_names, load_dialect
from apr_agents.dialects.check import contradictions
from apr_agents.dsl.checked import Check
from apr_agents.dsl.checks import misuses
from apr_agents.dsl.flow import NAME, NO_NAME, Flow
from apr_agents.dsl.functions import registry
from apr_agents.dsl.naming import listed, suggestion
from apr_agents.dsl.nesting import nesting
from apr_agents.dsl.places import Finding
from apr_agents.dsl.scope import Scope, unknown
from apr_agents.dsl.spec import DialectSpec, Workflow
from apr_agents.runner.calls import Function


def inconsistencies(
    workflow: Workflow, checks: Mapping[str, Check], functions: Mapping[str, Function] | None = None
) -> Iterator[Finding]:
    """All that is wrong with a workflow whose fields are each well formed. `functions`: all that may be called; None:
    those of the language are known, and others may come later."""
    for name in workflow.inputs:
        if not NAME.fullmatch(name):
            yield ("inputs", name), NO_NAME
    if workflow.dialect is not None:
        for what in _in_dialect(workflow.dialect):
            yield ("dialect",), what
    known = registry(functions or {})
    scope: Scope = {name: one.type for name, one in workflow.inputs.items() if NAME.fullmatch(name)}
    flow = Flow(checks, known, whole=functions is not None, branches=workflow.budget.branches)
    behind, _ = yield from flow.steps(("steps",), workflow.steps, scope)
    if workflow.result is not None:
        for what in unknown(workflow.result, behind):
            yield ("result",), what
    if workflow.check is not None:
        for path, what in misuses(workflow.check, behind, checks):
            yield ("check", *path), what
    yield from _too_deep(workflow)


def _in_dialect(spec: DialectSpec) -> Iterator[str]:
    names = dialect_names()
    if spec.name not in names:
        yield f"no dialect is named {spec.name!r}{suggestion(spec.name, names)}; expected one of {listed(names)}"
    else:
        yield from contradictions(replace(load_dialect(spec.name), **cast("Any", spec.overrides)))


def _too_deep(workflow: Workflow) -> Iterator[Finding]:
    """Whether the author's own blocks are deeper than the budget lets any block be."""
    depth = nesting(workflow.steps)
    if workflow.budget.depth is not None and depth > workflow.budget.depth:
        yield (
            ("budget", "depth"),
            f"the number {workflow.budget.depth}; expected at least {depth}, as deep as the steps fork",
        )
