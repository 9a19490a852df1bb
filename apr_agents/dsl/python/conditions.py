"""Conditions and checks, for `when`, `until` and `check`."""

from __future__ import annotations

from apr_agents.dsl.parts import CheckSpec
from apr_agents.dsl.python.reference import Reference, Written, written, written_all
from apr_agents.dsl.spec import Above, AllOf, AnyOf, Below, CheckHolds, Condition, Empty, Equals, Matches, Not


def equals(one: Written, other: Written) -> Equals:
    """Whether two values are the same."""
    return Equals((written(one), written(other)))


def above(one: Written, other: Written) -> Above:
    """Whether the first number is greater."""
    return Above((written(one), written(other)))


def below(one: Written, other: Written) -> Below:
    """Whether the first number is less."""
    return Below((written(one), written(other)))


def matches(text: str | Reference, pattern: str) -> Matches:
    """Whether a regular expression is found in a text."""
    return Matches((str(text), pattern))


def empty(value: Reference) -> Empty:
    """Whether a value is null, an empty text, list or mapping, or a list of null alone."""
    return Empty(str(value))


def opposite(condition: Condition) -> Not:
    """Whether a condition does not hold."""
    return Not(condition)


def every(*conditions: Condition) -> AllOf:
    """Whether all of these hold."""
    return AllOf(conditions)


def either(*conditions: Condition) -> AnyOf:
    """Whether one of these holds."""
    return AnyOf(conditions)


def check(name: str, **arguments: Written) -> CheckSpec:
    """A named check of an answer, such as `arithmetic`."""
    return CheckSpec(name, written_all(arguments))


def holds(what: CheckSpec, answer: str | Reference) -> CheckHolds:
    """Whether a check holds of an answer."""
    return CheckHolds(what.name, str(answer), what.arguments)
