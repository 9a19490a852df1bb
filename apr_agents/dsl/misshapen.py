"""What a validator says of plain data, in the words of an author: which place, what is there, what was expected."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from apr_agents.dsl.kinds import NO_COUNT, NO_KIND, is_tag, kind_key
from apr_agents.dsl.naming import listed, suggestion
from apr_agents.dsl.places import Finding, Path
from apr_agents.dsl.shapes import fields_at, kinds_at
from apr_agents.dsl.spec import Workflow

_EXPECTED = {
    "string_type": "text",
    "int_type": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "dataclass_type": "a mapping",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "string_too_short": "a text of at least {min_length} characters",
    "string_too_long": "a text of at most {max_length} characters",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
    "missing": "a longer list",
    "literal_error": "{expected}",
    NO_COUNT: "an integer from 1 to {most}, or a reference",
}


@dataclass(frozen=True, slots=True)
class _Fault:
    """One thing that the validator says."""

    path: Path
    what: str
    """What is there."""
    expected: str
    """Joined with `or` where members of a union each expected something else."""
    outer: bool
    """Whether it says nothing new beside a fault further inside."""


def misshapen(errors: Iterable[Mapping[str, Any]], data: object, known: Collection[Path]) -> list[Finding]:
    """The findings behind these pydantic errors about a workflow, but for those at places that are `known` already."""
    faults = [_fault(error, data) for error in errors]
    expected: dict[tuple[Path, str], list[str]] = {}
    for one in faults:
        inside = any(one.path == other.path[: len(one.path)] and one.path != other.path for other in faults)
        if one.path not in known and not (one.outer and inside):
            expected.setdefault((one.path, one.what), []).append(one.expected)
    return [(path, f"{what}; expected {' or '.join(dict.fromkeys(many))}") for (path, what), many in expected.items()]


def _fault(error: Mapping[str, Any], data: object) -> _Fault:
    # below the field of the model that holds the workflow, and without the names of kinds
    loc: Path = tuple(one for one in error["loc"][1:] if not is_tag(one))
    kind: str = error["type"]
    path, value = _follow(data, loc)
    if kind == "unexpected_keyword_argument":
        there_are = fields_at(Workflow, data, path[:-1])
        key = str(path[-1])
        if key in map(kind_key, kinds_at(Workflow, data, path[:-1])):
            return _Fault(
                path, f"a second kind beside `{there_are[0]}`", "one kind, each in a mapping of its own", outer=False
            )
        return _Fault(path, f"unknown key{suggestion(key, there_are)}", f"one of {listed(there_are)}", outer=False)
    if kind == "missing" and isinstance(loc[-1], str):
        return _Fault(path, f"`{loc[-1]}` is missing", "that key", outer=False)
    if kind == "value_error":
        what, _, expected = str(error["ctx"]["error"]).partition("; expected ")  # as the model's own errors say it
        return _Fault(path, what, expected, outer=False)
    if kind == NO_KIND:
        return _kindless(path, value, **error["ctx"])
    if kind in ("too_short", "too_long") and isinstance(value, dict):
        return _crowded(path, cast("dict[str, object]", value), **error["ctx"])
    bounds = {name: _plain(bound) for name, bound in error.get("ctx", {}).items()}
    wanted = _EXPECTED[kind].format(**bounds)
    what = _there_is(value)
    if kind == "literal_error" and isinstance(value, str):
        what += suggestion(value, re.findall(r"'([^']*)'", wanted))
    return _Fault(path, what, wanted, outer=kind == "too_short" or path != loc)


def _crowded(path: Path, value: Mapping[str, object], **bounds: object) -> _Fault:
    """What is wrong with a mapping of too few or too many keys."""
    least, most = bounds.get("min_length"), bounds.get("max_length")
    wanted = f"at least {least}" if most is None else f"at most {most}"
    return _Fault(path, f"a mapping of {len(value)}", wanted, outer=False)


def _kindless(path: Path, value: object, noun: str, kinds: str) -> _Fault:
    """What is wrong with a step, or a condition, without a kind."""
    names = kinds.split()
    if isinstance(value, dict) and value:
        first = str(next(iter(cast("dict[object, object]", value))))
        what = f"no kind of {noun}{suggestion(first, names)}"
        return _Fault((*path, first), what, f"one of {listed(names)}", outer=False)
    return _Fault(
        path, _there_is(cast("object", value)), f"a {noun}, whose first key is one of {listed(names)}", outer=False
    )


def _follow(data: object, loc: Path) -> tuple[Path, object]:
    """The part of a location that is in the file, and what is there: pydantic adds the names of a union's members."""
    path: Path = ()
    for element in loc:
        if isinstance(data, dict) and element in data:
            data = cast("dict[str | int, object]", data)[element]
        elif isinstance(data, list) and isinstance(element, int) and element < len(cast("list[object]", data)):
            data = cast("list[object]", data)[element]
        else:
            continue
        path = (*path, element)
    return path, cast("object", data)


def _plain(bound: object) -> object:
    """A bound as a file has it: 604800 for 604800.0."""
    return int(bound) if isinstance(bound, float) and bound.is_integer() else bound


def _there_is(value: object) -> str:
    """Such as `the text 'no'`."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text {value!r}" if len(value) <= 60 else f"a text of {len(value)} characters"
    return f"a list of {len(cast('list[object]', value))}" if isinstance(value, list) else "a mapping"
