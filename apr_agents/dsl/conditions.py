"""Conditions: what decides between two ways to go on. A condition's first key says which kind it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from annotated_types import Len

from apr_agents.dsl.kinds import FirstKey
from apr_agents.dsl.parts import Data, Name, Pattern, Template, Values, pattern_problem

Pair = tuple[Data, Data]


@dataclass(frozen=True, slots=True)
class Equals:
    """Whether two values are the same."""

    equals: Pair
    """The two values."""


@dataclass(frozen=True, slots=True)
class Above:
    """Whether the first number is greater than the second."""

    above: Pair
    """The two numbers."""


@dataclass(frozen=True, slots=True)
class Below:
    """Whether the first number is less than the second."""

    below: Pair
    """The two numbers."""


@dataclass(frozen=True, slots=True)
class Matches:
    """Whether a regular expression is found in a text."""

    matches: tuple[Template, Pattern]
    """The text, and the expression."""

    def __post_init__(self) -> None:
        """Raises ValueError for what is no regular expression."""
        if problem := pattern_problem(self.matches[1]):
            raise ValueError(problem)


@dataclass(frozen=True, slots=True)
class CheckHolds:
    """Whether a named check holds of an answer."""

    check: Name
    """One of the checks that there are, as in a step's `check`."""
    answer: Template
    """The text that is checked."""
    arguments: Values = field(default_factory=dict[str, Data])
    """What the check takes."""


@dataclass(frozen=True, slots=True)
class Empty:
    """Whether a value is nothing: null, an empty text, list or mapping, or a list of null alone."""

    empty: Template
    """The value: one reference."""


@dataclass(frozen=True, slots=True)
class Not:
    """Whether a condition does not hold."""

    not_: Condition
    """The condition."""


@dataclass(frozen=True, slots=True)
class AllOf:
    """Whether each of these conditions holds."""

    all: Annotated[tuple[Condition, ...], Len(1, 64)]
    """The conditions."""


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Whether one of these conditions holds."""

    any: Annotated[tuple[Condition, ...], Len(1, 64)]
    """The conditions."""


Condition = Annotated[
    Equals | Above | Below | Matches | CheckHolds | Empty | Not | AllOf | AnyOf, FirstKey("condition")
]
"""What may stand behind `when` and `until`."""
