"""From a workflow and its inputs to a run: which settings the driver gets, and what is made of its result."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from apr_agents.dialects import Dialect, load_dialect
from apr_agents.dsl.checked import Check, Checked
from apr_agents.dsl.checks import CHECKS, answer_in, run_check
from apr_agents.dsl.inputs import Value
from apr_agents.dsl.spec import DialectSpec, JoinSpec, Reason, Workflow
from apr_agents.dsl.templates import render
from apr_agents.engines.base import Engine, Sampling
from apr_agents.errors import UsageError
from apr_agents.runner import Budget, Function, JoinRule, Outcome, RunResult, Settings


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of a workflow."""

    result: RunResult
    answer: str | None
    """What stands behind the step's answer marker; None when there is nothing."""
    check: str | None
    """The name of the step's check; None when it has none."""
    verdict: Checked | None

    @property
    def ok(self) -> bool:
        """Whether the run ended as it should, and the check, if there is one, holds."""
        return self.result.ok and (self.verdict is None or self.verdict.ok)


def question_of(workflow: Workflow, values: Mapping[str, Value]) -> str:
    """The text that the model is asked."""
    return render(only_step(workflow).reason, values)


def only_step(workflow: Workflow) -> Reason:
    """The one step of a workflow that is one question. Raises UsageError for any other."""
    step = workflow.steps[0]
    if len(workflow.steps) > 1 or not isinstance(step, Reason) or step.outlines is not None or step.items is not None:
        raise UsageError(f"the workflow {workflow.name!r} has steps that cannot be run yet; expected one step `reason`")
    return step


def settings_of(
    workflow: Workflow,
    engine: Engine,
    *,
    mode: Literal["adaptive", "sequential"] = "adaptive",
    seed: int = 0,
    functions: Mapping[str, Function] | None = None,
) -> Settings:
    """The driver's settings for this workflow on an open engine. Raises DialectError, and UsageError for a function
    that the workflow names and the caller does not give."""
    step = only_step(workflow)
    sampling = step.sampling.overrides
    max_tokens = cast("int | None", sampling.pop("max_tokens", None))
    return Settings(
        dialect=_dialect(workflow.dialect, engine),
        mode=mode,
        template_mode=step.mode if mode == "adaptive" else None,
        join=_rule(step.join),
        budget=Budget(**cast("Any", workflow.budget.overrides)),
        sampling=Sampling(**cast("Any", sampling)),
        max_tokens=max_tokens,
        functions=_functions(step.functions, functions or {}),
        seed=seed,
    )


def judge(
    workflow: Workflow, values: Mapping[str, Value], result: RunResult, checks: Mapping[str, Check] = CHECKS
) -> Answered:
    """The answer in this result, and what the workflow's check says of it."""
    step = only_step(workflow)
    answer = answer_in(result.answer, step.answer)
    if step.check is None:
        return Answered(result, answer, None, None)
    return Answered(result, answer, step.check.name, run_check(step.check, answer, values, checks))


def _dialect(spec: DialectSpec | None, engine: Engine) -> Dialect:
    if spec is None:
        return load_dialect(next(iter(engine.info.dialects), "threadweaver"))
    return replace(load_dialect(spec.name), **cast("Any", spec.overrides))


def _rule(spec: JoinSpec) -> JoinRule:
    until = _finds(spec.until) if spec.until is not None else None
    return JoinRule(
        spec.rule, until, spec.count, spec.seconds, fail_fast=spec.fail_fast, order=spec.order, ahead=spec.ahead
    )


def _finds(pattern: str) -> Callable[[Outcome], bool]:
    compiled = re.compile(pattern)
    return lambda outcome: compiled.search(outcome.text) is not None


def _functions(names: tuple[str, ...], given: Mapping[str, Function]) -> dict[str, Function]:
    missing = [name for name in names if name not in given]
    if missing:
        raise UsageError(f"the workflow calls {', '.join(missing)}; give them with `apr run --functions FILE.py`")
    return {name: given[name] for name in names}
