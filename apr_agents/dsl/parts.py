"""The parts that steps and workflows are made of, as an author writes them.

A name that ends in Spec is what an author writes of a value that the driver has; a field left out is the driver's to
choose. The types carry the bounds, each `__post_init__` what fields mean together, and nothing here reads a file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le, Len
from typing_extensions import TypeAliasType

MAX_PATTERN = 200

Name = Annotated[str, Len(1, 100)]
Binding = Annotated[str, Len(1, 64)]
"""The name of a value: letters, digits and `_`, no digit first."""
Template = Annotated[str, Len(1, 262_144)]
"""Text in which `${name}` is the value of that name, `${name.key}` and `${name.0}` are parts of it, `$${` is `${`."""
Pattern = Annotated[str, Len(1, MAX_PATTERN)]
"""A regular expression, as Python reads it."""
Data = TypeAliasType("Data", "bool | int | float | str | tuple[Data, ...] | Mapping[str, Data]")
"""A JSON value; text in it is a template, and text that is one reference is the value itself."""
Values = Annotated[Mapping[str, Data], Len(0, 64)]


@dataclass(frozen=True, slots=True)
class DialectSpec:
    """The dialect that the model writes, and what is different from it here."""

    short: ClassVar[str] = "name"

    name: Name
    """A shipped dialect, such as `threadweaver`."""
    nests: bool | None = None
    """Whether a branch may open a block of its own."""
    truncated: Literal["close", "end"] | None = None
    """A branch that stops without its closing tag: close it and go on, or close it and end the run."""
    max_outlines: Annotated[int, Ge(1), Le(4096)] | None = None
    """The most outlines of one block."""
    teach: Annotated[str, Len(1, 20_000)] | None = None
    """The system prompt that teaches the dialect to a model which was not trained on it."""

    @property
    def overrides(self) -> dict[str, object]:
        """The fields of the dialect that are different here."""
        return {name: value for name, value in _given(self).items() if name != "name"}


@dataclass(frozen=True, slots=True)
class BudgetSpec:
    """The bounds of the run; those left out are the driver's own."""

    branches: Annotated[int, Ge(1), Le(4096)] | None = None
    """Branches of one block."""
    run_branches: Annotated[int, Ge(1), Le(65_536)] | None = None
    """Branches of the whole run, nested ones included."""
    depth: Annotated[int, Ge(1), Le(32)] | None = None
    """Levels of blocks: 1 lets only the run itself fork."""
    concurrency: Annotated[int, Ge(1), Le(4096)] | None = None
    """Engine requests and calls at the same time."""
    tokens: Annotated[int, Ge(1), Le(1_000_000_000)] | None = None
    """Generated tokens of the whole run."""
    seconds: Annotated[float, Gt(0), Le(604_800)] | None = None
    """Wall time of the whole run, at most a week."""
    retries: Annotated[float, Ge(0), Le(1)] | None = None
    """Requests that may be sent again, as a share of the run's requests so far; four always may. 0: none is."""

    @property
    def overrides(self) -> dict[str, object]:
        """The bounds that are given here."""
        return _given(self)


@dataclass(frozen=True, slots=True)
class SamplingSpec:
    """How the next token is chosen, and how many there may be."""

    temperature: Annotated[float, Ge(0), Le(10)] | None = None
    """0 takes the likeliest token always."""
    top_k: Annotated[int, Ge(0), Le(1_000_000)] | None = None
    """How many of the likeliest tokens to choose from; 0: all."""
    top_p: Annotated[float, Gt(0), Le(1)] | None = None
    """Choose from the likeliest tokens that together have this probability."""
    max_tokens: Annotated[int, Ge(1), Le(1_000_000_000)] | None = None
    """The most generated tokens of one request."""

    @property
    def overrides(self) -> dict[str, object]:
        """What is given here."""
        return _given(self)


@dataclass(frozen=True, slots=True)
class JoinSpec:
    """When a block joins."""

    short: ClassVar[str] = "rule"

    rule: Literal["all", "first", "quorum", "deadline"] = "all"
    """Join when all branches ended, when the first or `count` of them succeeded, or after `seconds` at the latest."""
    until: Pattern | None = None
    """For `first` and `quorum`: only a branch counts in whose text this regular expression is found."""
    count: Annotated[int, Ge(1), Le(4096)] | None = None
    """For `quorum`: how many branches have to succeed."""
    seconds: Annotated[float, Gt(0), Le(604_800)] | None = None
    """For `deadline`: how long after its fork a block joins at the latest."""
    fail_fast: bool = False
    """Whether a failed branch ends the run; otherwise its failure is shown to the model like any result."""
    order: Literal["number", "completion"] = "number"
    """The order of the branches in the joined context; models were trained on the order of their numbers."""
    ahead: bool | None = None
    """Whether ended branches are evaluated for the join while the others still decode; by default where that pays."""
    synthesis: Template | None = None
    """For `fork` and `map`: what the model is asked at the join about `${branches}`; its text is the step's value."""

    def __post_init__(self) -> None:
        """Raises ValueError for a rule without what it needs, or with what it does not."""
        for name, rule in (("count", "quorum"), ("seconds", "deadline")):
            if self.rule == rule and getattr(self, name) is None:
                raise ValueError(f"rule `{rule}` without `{name}`; expected `{{rule: {rule}, {name}: ...}}`")
            if self.rule != rule and getattr(self, name) is not None:
                raise ValueError(f"`{name}` with rule `{self.rule}`; expected it with `{rule}` only")
        if self.until is not None:
            if self.rule not in ("first", "quorum"):
                raise ValueError(f"`until` with rule `{self.rule}`; expected it with `first` or `quorum` only")
            if problem := pattern_problem(self.until):
                raise ValueError(f"`until`: {problem}")


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """A named check of the answer."""

    short: ClassVar[str] = "name"

    name: Name
    """One of the checks that there are: `arithmetic`, `contains`, `equals`, `matches`, or the Python caller's own."""
    arguments: Values = field(default_factory=dict[str, Data])
    """What the check takes. An argument that is one reference, `${numbers}`, is the input's value itself."""


def _given(spec: DialectSpec | BudgetSpec | SamplingSpec) -> dict[str, object]:
    """The fields that have a value."""
    values = {one.name: getattr(spec, one.name) for one in fields(spec)}
    return {name: value for name, value in values.items() if value is not None}


def pattern_problem(pattern: str) -> str | None:
    """Why this is not a regular expression that a workflow may have; None when it is."""
    if len(pattern) > MAX_PATTERN:
        return f"a regular expression of {len(pattern)} characters; expected at most {MAX_PATTERN}"
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f"not a regular expression ({error}); expected one as Python reads it"
    return None
