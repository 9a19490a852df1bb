"""The one model of a workflow: what an author may say, as values; the text under each field describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from annotated_types import Len

from apr_agents.dsl.conditions import Above, AllOf, AnyOf, Below, CheckHolds, Condition, Empty, Equals, Matches, Not
from apr_agents.dsl.inputs import Input
from apr_agents.dsl.parts import (
    Binding,
    BudgetSpec,
    CheckSpec,
    Data,
    DialectSpec,
    JoinSpec,
    Name,
    Pattern,
    SamplingSpec,
    Template,
    Values,
    pattern_problem,
)
from apr_agents.dsl.steps import (
    Call,
    Fork,
    Generate,
    Map,
    Reason,
    Repeat,
    Score,
    Select,
    Step,
    Steps,
    When,
)

__all__ = [
    "Above", "AllOf", "AnyOf", "Below", "Binding", "BudgetSpec", "Call", "CheckHolds",
    "CheckSpec", "Condition", "Data", "DialectSpec", "Empty", "Equals", "Fork", "Generate", "Input", "JoinSpec",
    "Map", "Matches", "Name", "Not", "Pattern", "Reason", "Repeat", "SamplingSpec", "Score", "Select", "Step",
    "Steps", "Template", "Values", "When", "Workflow", "pattern_problem",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Workflow:
    """Steps in which a model reasons and may fork; what they take from the caller, and the bounds of their run."""

    name: Name
    """What it is called in reports."""
    steps: Steps
    """What is done, in this order."""
    inputs: Annotated[Mapping[str, Input], Len(0, 64)] = field(default_factory=dict[str, Input])
    """What the caller gives, by name, at most 64; a bare type stands for `{type: ...}`."""
    engine: Name | None = None
    """What generates, such as `embedded`; the caller may choose another."""
    dialect: DialectSpec | None = None
    """The dialect that the model writes; a bare name stands for `{name: ...}`. Without it, the engine's own."""
    budget: BudgetSpec = BudgetSpec()
    """The bounds of the run, over all its steps."""
    result: Data | None = None
    """What comes out, such as `${best}`; without it the value of the last step."""
    check: CheckSpec | None = None
    """A check of what comes out, as text."""
