"""Named checks of an answer, and how a workflow's check is applied. A check reads text; it never runs any."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, get_type_hints

from apr_agents.dsl.arithmetic import arithmetic
from apr_agents.dsl.checked import MAX_ANSWER, Check, Checked
from apr_agents.dsl.inputs import Input, Value
from apr_agents.dsl.naming import listed, suggestion
from apr_agents.dsl.spec import Argument, CheckSpec, pattern_problem
from apr_agents.dsl.templates import misreferences, render, sole_reference


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
_FITS: Final[Mapping[str, tuple[object, ...]]] = MappingProxyType(
    {"integer": (int, float), "number": (float,), "integers": (tuple[int, ...],), "text": ()}
)


def answer_in(text: str, marker: str | None) -> str | None:
    """What stands behind the last `marker` in the text (all of it without one), stripped; None when that is nothing."""
    before, found, after = text.rpartition(marker) if marker else ("", "-", text)
    del before
    return (after.strip() or None) if found else None


def run_check(
    spec: CheckSpec, answer: str | None, values: Mapping[str, Value], checks: Mapping[str, Check] = CHECKS
) -> Checked:
    """What the named check says of this answer (None: there is none), with the inputs' values in its arguments."""
    if answer is None:
        return Checked(False, "there is no answer")
    check = checks[spec.name]
    types = get_type_hints(check)
    return check(answer, **{name: _value(given, types[name], values) for name, given in spec.arguments.items()})


def misuses(
    spec: CheckSpec, inputs: Mapping[str, Input], checks: Mapping[str, Check]
) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong with a workflow's check: where below it, and what."""
    check = checks.get(spec.name)
    if check is None:
        near = suggestion(spec.name, checks)
        yield ("name",), f"no check is named {spec.name[:60]!r}{near}; expected one of {listed(checks)}"
        return
    types = get_type_hints(check)
    parameters = [one for one in inspect.signature(check).parameters.values() if one.kind is one.KEYWORD_ONLY]
    names = [one.name for one in parameters]
    for name, argument in spec.arguments.items():
        if name not in names:
            yield ("arguments", name), f"unknown argument{suggestion(name, names)}; {spec.name} takes {listed(names)}"
        elif what := _misfit(argument, types[name], inputs):
            yield ("arguments", name), what
    for one in parameters:
        if one.default is one.empty and one.name not in spec.arguments:
            yield (), f"the argument `{one.name}` is missing; {spec.name} needs it, {_NOUNS[types[one.name]]}"


def _value(argument: Argument, wanted: object, values: Mapping[str, Value]) -> object:
    """The argument with its references filled in, as the check wants it."""
    if not isinstance(argument, str):
        return argument
    if wanted == re.Pattern[str]:
        return re.compile(argument)
    return render(argument, values) if wanted is str else values[sole_reference(argument) or ""]


def _misfit(argument: Argument, wanted: object, inputs: Mapping[str, Input]) -> str | None:
    """What is wrong with an argument that cannot be what is wanted."""
    expected = f"expected {_NOUNS[wanted]}"
    if not isinstance(argument, str):
        given = _type_of(argument)
        return None if given == wanted or (given, wanted) == (int, float) else f"{json.dumps(argument)[:60]}; {expected}"
    if wanted == re.Pattern[str]:
        return pattern_problem(argument)
    problem = next(misreferences(argument, inputs), None)
    if problem is not None or wanted is str:
        return problem
    name = sole_reference(argument)
    if name is None:
        return f"the text {argument[:60]!r}; {expected}"
    kind = inputs[name].type
    return None if wanted in _FITS[kind] else f"`{argument}` is of type {kind}; {expected}"


def _type_of(argument: Argument) -> object:
    return tuple[int, ...] if isinstance(argument, tuple) else type(argument)
