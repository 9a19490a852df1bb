"""A function that yields steps is run once, with references in place of values; its steps in order are its meaning."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from apr_agents.dsl.python.reference import Reference, Written, written_all
from apr_agents.dsl.spec import Call, Step
from apr_agents.errors import UsageError
from apr_agents.runner.calls import Function


@dataclass(frozen=True, slots=True)
class Drafted:
    """A step, to be yielded; the function that yields it receives the reference to its value."""

    step: Step
    functions: Mapping[str, Function] = field(default_factory=dict[str, Function])
    """Python functions that the step calls, by name."""


Traced = Generator[Drafted, Reference, Any]
"""What a function that yields steps gives when it is called."""


@dataclass(frozen=True, slots=True)
class Branch:
    """The steps of a branch, of a way to go on or of a round, as a function that yields them."""

    body: Callable[..., Traced]

    def __call__(self, *values: Written) -> Traced:
        """The steps themselves, for `yield from`."""
        return self.body(*values)


@dataclass(frozen=True, slots=True)
class Callee:
    """A Python function that workflows call."""

    function: Function

    def __call__(self, *values: Written, as_: str | None = None, **named: Written) -> Drafted:
        """A step that calls it with these arguments."""
        arguments = inspect.signature(self.function.call).bind_partial(*values, **named).arguments
        return Drafted(Call(self.function.name, written_all(arguments), as_), {self.function.name: self.function})


Body = Branch | Callee | Callable[..., Traced]
"""What a branch can be made of."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What a function turned out to be."""

    steps: tuple[Step, ...]
    functions: Mapping[str, Function]
    result: object
    """What it returned; None also for the value of its last step."""


def trace(name: str, steps: Traced) -> Trace:
    """Run a function that yields steps to its end. Raises UsageError where it yields anything else, or nothing."""
    drafts: list[Drafted] = []
    last, result = Reference(None), None
    try:
        one = next(steps)
        while True:
            _check_drafted(name, one)
            drafts.append(one)
            last = Reference(one.step.as_)
            one = steps.send(last)
    except StopIteration as end:
        result = end.value
    if not drafts:
        raise UsageError(f"{name} yields no step; expected at least one, such as generate(...)")
    functions = {key: value for draft in drafts for key, value in draft.functions.items()}
    return Trace(tuple(draft.step for draft in drafts), functions, None if result == last else result)


def trace_body(body: Body) -> Trace:
    """The steps of a branch; its parameters are names of values.

    Raises UsageError where it returns another value than its last step's, since a branch has no other.
    """
    references = [Reference(name) for name in parameters(body)]
    if isinstance(body, Callee):
        draft = body(*references)
        return Trace((draft.step,), draft.functions, None)
    found = trace(name_of(body), body(*references))
    if found.result is not None:
        raise UsageError(f"{name_of(body)} returns something else than its last step's value; return that, or nothing")
    return found


def parameters(body: Body) -> list[str]:
    """The names of a branch's parameters."""
    return list(inspect.signature(_function(body)).parameters)


def name_of(body: Body) -> str:
    """A branch's name, for messages."""
    return getattr(_function(body), "__name__", "a branch")


def merged(traces: Sequence[Trace]) -> dict[str, Function]:
    """The Python functions of several branches."""
    return {name: function for one in traces for name, function in one.functions.items()}


def _check_drafted(name: str, one: object) -> None:
    if not isinstance(one, Drafted):
        raise UsageError(f"{name} yields {type(one).__name__}; expected a step, such as generate(...)")


def _function(body: Body) -> Callable[..., Any]:
    if isinstance(body, Branch):
        return body.body
    return body.function.call if isinstance(body, Callee) else body
