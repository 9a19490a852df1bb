"""A workflow made ready to run on an engine: what each of its steps asks for, as the driver's settings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from apr_agents.dialects import Dialect, load_dialect
from apr_agents.dsl.checked import Check
from apr_agents.dsl.checks import CHECKS
from apr_agents.dsl.functions import registry
from apr_agents.dsl.nesting import inside, nesting
from apr_agents.dsl.parts import DialectSpec, JoinSpec, SamplingSpec
from apr_agents.dsl.spec import Workflow
from apr_agents.dsl.steps import Call, Reason, Score, Step
from apr_agents.dsl.values import as_text, from_json
from apr_agents.engines.base import Engine, Sampling
from apr_agents.errors import UsageError
from apr_agents.runner import Budget, Function, JoinRule, Outcome, Settings

Mode = Literal["adaptive", "sequential"]


@dataclass(frozen=True, slots=True)
class Program:
    """A workflow, and all that running it takes beside its inputs."""

    workflow: Workflow
    functions: Mapping[str, Function]
    """All that may be called."""
    checks: Mapping[str, Check]
    settings: Settings
    """Of the run; those of a step differ in what the step says."""

    @classmethod
    def of(
        cls,
        workflow: Workflow,
        engine: Engine,
        *,
        mode: Mode = "adaptive",
        seed: int = 0,
        functions: Mapping[str, Function] | None = None,
        checks: Mapping[str, Check] = CHECKS,
    ) -> Program:
        """This workflow on an open engine. `mode`: `sequential` never lets the model fork.

        Raises DialectError, and UsageError for a function that the workflow names and nobody gives.
        """
        known = registry(functions or {})
        missing = sorted({name for name in _called(workflow.steps) if name not in known})
        if missing:
            raise UsageError(f"the workflow calls {', '.join(missing)}; give them with `apr run --functions FILE.py`")
        given = Budget(**cast("Any", workflow.budget.overrides))
        # The author's own levels leave the model those that it would have without them.
        deeper = 0 if workflow.budget.depth is not None else nesting(workflow.steps)
        budget = replace(given, depth=given.depth + deeper)
        settings = Settings(dialect=_dialect(workflow.dialect, engine), mode=mode, budget=budget, seed=seed)
        return cls(workflow, known, checks, settings)

    @property
    def alone(self) -> bool:
        """Whether the workflow is one question: then its step has no place that would have to be told."""
        (first, *others) = self.workflow.steps
        return isinstance(first, Reason) and not others

    def reasoning(self, step: Reason, outlines: tuple[str, ...]) -> Settings:
        """The settings of a step `reason`. Raises UsageError for outlines that cannot be a block's."""
        return replace(
            self._asking(step.sampling),
            template_mode=step.mode if self.settings.mode == "adaptive" else None,
            outlines=outlines,
            join=rule_of(step.join),
            functions={name: self.functions[name] for name in step.functions},
        )

    def generating(self, mode: str | None, sampling: SamplingSpec) -> Settings:
        """The settings of straight decoding; `mode` is the chat template's."""
        return replace(self._asking(sampling), mode="sequential", template_mode=mode)

    def _asking(self, spec: SamplingSpec) -> Settings:
        sampling = spec.overrides
        max_tokens = cast("int | None", sampling.pop("max_tokens", None))
        return replace(self.settings, sampling=Sampling(**cast("Any", sampling)), max_tokens=max_tokens)


def rule_of(spec: JoinSpec, *, valued: bool = False) -> JoinRule:
    """The driver's join rule. `valued`: whether the branches bring back values, not texts."""
    compiled = re.compile(spec.until) if spec.until is not None else None

    def until(outcome: Outcome) -> bool:
        text = as_text(from_json(outcome.text)) if valued else outcome.text
        return compiled is not None and compiled.search(text) is not None

    return JoinRule(
        spec.rule,
        until if compiled else None,
        spec.count,
        spec.seconds,
        fail_fast=spec.fail_fast,
        order=spec.order,
        ahead=spec.ahead,
    )


def _dialect(spec: DialectSpec | None, engine: Engine) -> Dialect:
    if spec is None:
        return load_dialect(next(iter(engine.info.dialects), "threadweaver"))
    return replace(load_dialect(spec.name), **cast("Any", spec.overrides))


def _called(steps: Sequence[Step]) -> Iterator[str]:
    """The names of all functions that these steps and those inside them name."""
    for step in steps:
        if isinstance(step, Reason):
            yield from step.functions
        elif isinstance(step, Call):
            yield step.call
        elif isinstance(step, Score) and step.by is not None:
            yield step.by
        for inner in inside(step):
            yield from _called(inner)
