"""What the parts of a workflow say of each other: names, references, and the check's arguments."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from apr_agents.dialects import dialect_names, load_dialect
from apr_agents.dialects.check import contradictions
from apr_agents.dsl.checked import Check
from apr_agents.dsl.checks import misuses
from apr_agents.dsl.naming import listed, suggestion
from apr_agents.dsl.places import Path
from apr_agents.dsl.spec import DialectSpec, Reason, Workflow
from apr_agents.dsl.templates import misreferences

_INPUT = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_FUNCTION = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")

Finding = tuple[Path, str]
"""Where in the workflow, and what is wrong there."""


def inconsistencies(workflow: Workflow, checks: Mapping[str, Check]) -> Iterator[Finding]:
    """All that is wrong with a workflow whose fields are each well formed."""
    for name in workflow.inputs:
        if not _INPUT.fullmatch(name):
            yield ("inputs", name), "not a name; expected letters, digits and `_`, at most 64, no digit first"
    if workflow.dialect is not None:
        for what in _in_dialect(workflow.dialect):
            yield ("dialect",), what
    for position, step in enumerate(workflow.steps):
        if not isinstance(step, Reason):
            continue
        for path, what in _in_step(workflow, step, checks):
            yield ("steps", position, *path), what


def _in_dialect(spec: DialectSpec) -> Iterator[str]:
    names = dialect_names()
    if spec.name not in names:
        yield f"no dialect is named {spec.name!r}{suggestion(spec.name, names)}; expected one of {listed(names)}"
    else:
        yield from contradictions(replace(load_dialect(spec.name), **cast("Any", spec.overrides)))


def _in_step(workflow: Workflow, step: Reason, checks: Mapping[str, Check]) -> Iterator[Finding]:
    for what in misreferences(step.reason, workflow.inputs):
        yield ("reason",), what
    for position, name in enumerate(step.functions):
        if not _FUNCTION.fullmatch(name):
            yield ("functions", position), f"{name!r} is no function's name; expected letters, digits, `_`, `.` and `-`"
        elif name in step.functions[:position]:
            yield ("functions", position), f"`{name}` a second time; expected each function once"
    if step.check is not None:
        for path, what in misuses(step.check, workflow.inputs, checks):
            yield ("check", *path), what
