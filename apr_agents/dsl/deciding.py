"""Conditions: what is wrong with one before it is looked at, and whether it holds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from apr_agents.dsl.checked import Check
from apr_agents.dsl.checks import misuses, run_check
from apr_agents.dsl.conditions import Above, AllOf, AnyOf, Below, CheckHolds, Condition, Empty, Equals, Matches, Not
from apr_agents.dsl.kinds import kind_key
from apr_agents.dsl.parts import CheckSpec, Data
from apr_agents.dsl.places import Finding, Path, at
from apr_agents.dsl.scope import Scope, Type, misfit, unknown
from apr_agents.dsl.templates import fill, render, sole_reference
from apr_agents.dsl.values import Value, as_json, is_blank, is_number
from apr_agents.errors import WorkflowError


def in_condition(path: Path, condition: Condition, scope: Scope, checks: Mapping[str, Check]) -> Iterator[Finding]:
    """What is wrong with a condition that is looked at where these names are known."""
    match condition:
        case Equals(pair):
            yield from _in_pair((*path, "equals"), pair, scope)
        case Above(pair) | Below(pair):
            yield from _in_pair((*path, kind_key(type(condition))), pair, scope, "number")
        case Matches((text, _)):
            yield from at((*path, "matches", 0), unknown(text, scope))
        case CheckHolds():
            yield from _in_check(path, condition, scope, checks)
        case Empty(value):
            if sole_reference(value) is None:
                yield (*path, "empty"), f"the text {value[:60]!r}; expected one reference, such as `${{answers}}`"
            yield from at((*path, "empty"), unknown(value, scope))
        case Not(inner):
            yield from in_condition((*path, "not"), inner, scope, checks)
        case AllOf(many) | AnyOf(many):
            for position, one in enumerate(many):
                yield from in_condition((*path, kind_key(type(condition)), position), one, scope, checks)


def holds(condition: Condition, values: Mapping[str, Value], checks: Mapping[str, Check]) -> bool:
    """Whether a condition holds of these values. Raises WorkflowError where they are not what it takes."""
    match condition:
        case Equals((one, other)):
            return same(fill(one, values), fill(other, values))
        case Above((one, other)):
            return _number(one, values) > _number(other, values)
        case Below((one, other)):
            return _number(one, values) < _number(other, values)
        case Matches((text, pattern)):
            return re.search(pattern, render(text, values)) is not None
        case CheckHolds(name, answer, arguments):
            return run_check(CheckSpec(name, arguments), render(answer, values).strip() or None, values, checks).ok
        case Empty(value):
            return is_blank(fill(value, values))
        case Not(inner):
            return not holds(inner, values, checks)
        case AllOf(many):
            return all(holds(one, values, checks) for one in many)
        case AnyOf(many):
            return any(holds(one, values, checks) for one in many)


def same(one: Value, other: Value) -> bool:
    """Whether two values are the same, as JSON: 1 and 1.0 are, true and 1 are not."""
    if is_number(one) and is_number(other):
        return one == other
    return as_json(one) == as_json(other)


def _in_check(path: Path, condition: CheckHolds, scope: Scope, checks: Mapping[str, Check]) -> Iterator[Finding]:
    yield from at((*path, "answer"), unknown(condition.answer, scope))
    for inner, what in misuses(CheckSpec(condition.check, condition.arguments), scope, checks):
        yield (*path, *(("check",) if inner == ("name",) else inner)), what


def _in_pair(path: Path, pair: tuple[Data, Data], scope: Scope, *wanted: Type) -> Iterator[Finding]:
    for position, value in enumerate(pair):
        yield from at((*path, position), misfit(value, scope, *wanted) if wanted else unknown(value, scope))


def _number(data: Data, values: Mapping[str, Value]) -> float:
    value = fill(data, values)
    if not is_number(value):
        raise WorkflowError((f"{as_json(data)[:60]} is {as_json(value)[:60]}; expected a number",))
    return value
