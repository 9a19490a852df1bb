"""The Python door of the language: `@workflow` and `@branch`, and a function for each kind of step and condition.

    @workflow(engine="embedded")
    def vote(question: str, samples: int = 5):
        @branch
        def attempt():
            yield generate(question, sampling=SamplingSpec(temperature=0.6))

        answers = yield map(samples, attempt, as_="answers")
        yield select(answers, by="majority")

A decorated function is run once, at its decoration, with references for its inputs: what it yields is the workflow,
the same value that a file gives. Inside it, Python's own `if` and `for` see no values; `when` and `repeat` do.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, overload

from apr_agents.dsl.inputs import Input
from apr_agents.dsl.parts import BudgetSpec, CheckSpec, DialectSpec, JoinSpec, SamplingSpec
from apr_agents.dsl.python.authored import Authored
from apr_agents.dsl.python.conditions import above, below, check, either, empty, equals, every, holds, matches, opposite
from apr_agents.dsl.python.inputs import Integers, Texts, inputs_of
from apr_agents.dsl.python.reference import Reference, written
from apr_agents.dsl.python.steps import call, fork, generate, map, reason, repeat, score, select, when
from apr_agents.dsl.python.tracing import Branch, Callee, Drafted, Traced, trace
from apr_agents.dsl.spec import Workflow
from apr_agents.runner.calls import Function

__all__ = [
    "Authored", "BudgetSpec", "CheckSpec", "DialectSpec", "Drafted", "Input", "Integers", "JoinSpec", "Reference",
    "SamplingSpec", "Texts", "Traced", "above", "below", "branch", "call", "check", "either", "empty", "equals",
    "every", "fork", "generate", "holds", "map", "matches", "opposite", "reason", "repeat", "score", "select",
    "when", "workflow",
]  # fmt: skip

BUDGET = BudgetSpec()


@overload
def workflow(function: Callable[..., Traced], /) -> Authored: ...


@overload
def workflow(
    *,
    name: str | None = None,
    engine: str | None = None,
    dialect: DialectSpec | str | None = None,
    budget: BudgetSpec = BUDGET,
    check: CheckSpec | None = None,
) -> Callable[[Callable[..., Traced]], Authored]: ...


def workflow(
    function: Callable[..., Traced] | None = None,
    /,
    *,
    name: str | None = None,
    engine: str | None = None,
    dialect: DialectSpec | str | None = None,
    budget: BudgetSpec = BUDGET,
    check: CheckSpec | None = None,
) -> Authored | Callable[[Callable[..., Traced]], Authored]:
    """Make a workflow of a function that yields steps; its parameters are the inputs, what it returns is the result.

    `name`: the function's own with `-` for `_` by default. Raises UsageError for a function that is none, and
    WorkflowError for a workflow that a file could not have either.
    """

    def decorate(body: Callable[..., Traced]) -> Authored:
        inputs = inputs_of(body)
        found = trace(body.__name__, body(*(Reference(one) for one in inputs)))
        result = None if found.result is None else written(found.result)  # pyright: ignore[reportArgumentType]
        spec = DialectSpec(dialect) if isinstance(dialect, str) else dialect
        called = name or body.__name__.replace("_", "-")
        value = Workflow(called, found.steps, inputs, engine, spec, budget, result, check)
        return Authored.of(value, found.functions)

    return decorate if function is None else decorate(function)


@overload
def branch(function: Callable[..., Traced], /) -> Branch: ...  # pyright: ignore[reportOverlappingOverload]


@overload
def branch(function: Callable[..., Any], /) -> Callee: ...


def branch(function: Callable[..., Any], /) -> Branch | Callee:
    """A branch of a fork or a map: a function that yields steps, or any other function, which is called as it is."""
    return Branch(function) if inspect.isgeneratorfunction(function) else Callee(Function.of(function))
