"""Named checks of an answer, and how a workflow's check is applied. A check reads text; it never runs any."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, cast, get_type_hints

from apr_agents.dsl.arithmetic import arithmetic
from apr_agents.dsl.checked import MAX_ANSWER, Check, Checked
from apr_agents.dsl.naming import listed, suggestion
from apr_agents.dsl.parts import CheckSpec, Data, pattern_problem
from apr_agents.dsl.scope import Scope, reference_type, unknown
from apr_agents.dsl.templates import render, sole_reference, value_of
from apr_agents.dsl.values import Value, as_json, is_list
from apr_agents.errors import UsageError, WorkflowError


def contains(answer: str, *, text: str) -> Checked:
    """Whether the text stands somewhere in the answer."""
    return Checked(text in answer, f"the answer {'has' if text in answer else 'does not have'} {text[:60]!r} in it")


def equals(answer: str, *, text: str) -> Checked:
    """Whether the answer is this text, but for white space around it."""
    if answer.strip() == text.strip():
        return Checked(True, f"the answer is {text[:60]!r}")
    return Checked(False, f"the answer is {answer[:60]!r}; expected {text[:60]!r}")


def matches(answer: str, *, pattern: re.Pattern[str]) -> Checked:
    """Whether the whole answer, but for white space around it, is of this regular expression."""
    if len(answer) > MAX_ANSWER:
        return Checked(False, f"the answer has {len(answer)} characters; expected at most {MAX_ANSWER}")
    found = pattern.fullmatch(answer.strip()) is not None
    return Checked(found, f"the answer {'matches' if found else 'does not match'} {pattern.pattern[:60]!r}")


CHECKS: Final[Mapping[str, Check]] = MappingProxyType(
    {"arithmetic": arithmetic, "contains": contains, "equals": equals, "matches": matches}
)
"""The checks that a workflow may name; a Python caller adds its own as `{**CHECKS, "mine": mine}`."""

_NOUNS: Final[Mapping[object, str]] = MappingProxyType(
    {
        bool: "true or false",
        int: "an integer",
        float: "a number",
        str: "a text",
        tuple[int, ...]: "a list of integers",
        re.Pattern[str]: "a regular expression",
    }
)
_GIVEN: Final = "bool, int, float, str, tuple[int, ...], re.Pattern[str]"
_FITS: Final[Mapping[str, tuple[object, ...]]] = MappingProxyType(
    {
        "integer": (int, float),
        "number": (float,),
        "boolean": (bool,),
        "integers": (tuple[int, ...],),
        "list": (tuple[int, ...],),
        "any": (bool, int, float, tuple[int, ...]),
    }
)


def answer_in(text: str, marker: str | None) -> str | None:
    """What stands behind the last `marker` in the text (all of it without one), stripped; None when that is nothing."""
    if marker:
        _, found, text = text.rpartition(marker)
        if not found:
            return None
    return text.strip() or None


def run_check(
    spec: CheckSpec, answer: str | None, values: Mapping[str, Value], checks: Mapping[str, Check] = CHECKS
) -> Checked:
    """What the named check says of this answer (None: there is none), with the values in its arguments. Raises
    WorkflowError for a value that is not what it takes."""
    if answer is None:
        return Checked(False, "there is no answer")
    check = checks[spec.name]
    wanted = _parameters(spec.name, check)
    return check(answer, **{name: _value(given, wanted[name].type, values) for name, given in spec.arguments.items()})


def misuses(spec: CheckSpec, scope: Scope, checks: Mapping[str, Check]) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong with a workflow's check: where below it, and what. Raises UsageError for a check that is none."""
    check = checks.get(spec.name)
    if check is None:
        near = suggestion(spec.name, checks)
        yield ("name",), f"no check is named {spec.name[:60]!r}{near}; expected one of {listed(checks)}"
        return
    wanted = _parameters(spec.name, check)
    for name, argument in spec.arguments.items():
        if name not in wanted:
            yield ("arguments", name), f"unknown argument{suggestion(name, wanted)}; {spec.name} takes {listed(wanted)}"
        elif what := _misfit(argument, wanted[name].type, scope):
            yield ("arguments", name), what
    for name, one in wanted.items():
        if one.required and name not in spec.arguments:
            yield (), f"the argument `{name}` is missing; {spec.name} needs it, {_NOUNS[one.type]}"


@dataclass(frozen=True, slots=True)
class _Parameter:
    """What a check takes beside the answer."""

    type: object
    required: bool


def _parameters(name: str, check: Check) -> dict[str, _Parameter]:
    types = get_type_hints(check)
    found = [one for one in inspect.signature(check).parameters.values() if one.kind is one.KEYWORD_ONLY]
    for one in found:
        if types.get(one.name) not in _NOUNS:
            raise UsageError(f"check {name}: a file cannot give `{one.name}`; its type must be one of {_GIVEN}")
    return {one.name: _Parameter(types[one.name], one.default is one.empty) for one in found}


def _value(argument: Data, wanted: object, values: Mapping[str, Value]) -> object:
    """The argument with its references filled in, as the check wants it."""
    if not isinstance(argument, str):
        return argument
    if wanted == re.Pattern[str]:
        return re.compile(argument)
    if wanted is str:
        return render(argument, values)
    value = value_of(sole_reference(argument) or "", values)
    found = tuple(value) if is_list(value) else value
    kind = _type_of(cast("Data", found))
    if kind != wanted and (kind, wanted) != (int, float):
        raise WorkflowError((f"`{argument}` is {as_json(value)[:60]}; expected {_NOUNS[wanted]}",))
    return found


def _misfit(argument: Data, wanted: object, scope: Scope) -> str | None:
    """What is wrong with an argument that cannot be what is wanted."""
    expected = f"expected {_NOUNS[wanted]}"
    if not isinstance(argument, str):
        given = _type_of(argument)
        return (
            None if given == wanted or (given, wanted) == (int, float) else f"{json.dumps(argument)[:60]}; {expected}"
        )
    if wanted == re.Pattern[str]:
        return pattern_problem(argument)
    problem = next(unknown(argument, scope), None)
    if problem is not None or wanted is str:
        return problem
    name = sole_reference(argument)
    if name is None:
        return f"the text {argument[:60]!r}; {expected}"
    kind = reference_type(name, scope)
    return None if wanted in _FITS.get(kind, ()) else f"`{argument}` is of type {kind}; {expected}"


def _type_of(argument: Data) -> object:
    if isinstance(argument, (list, tuple)):
        return tuple[int, ...] if all(type(item) is int for item in argument) else list
    return type(argument)
