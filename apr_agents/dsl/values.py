"""Values while a workflow runs: JSON values, their parts, and how they stand in a text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TypeGuard

from typing_extensions import TypeAliasType

Value = TypeAliasType("Value", "bool | int | float | str | Sequence[Value] | Mapping[str, Value] | None")
"""A JSON value; lists are lists or tuples."""


def as_text(value: Value) -> str:
    """A value as it stands in a prompt: numbers joined by a space, texts one on each line without those that are
    null, null as nothing, and all else that is no text as JSON."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, (str, int, float)):
        return str(value)
    if is_list(value):
        if all(is_number(item) for item in value):
            return " ".join(map(str, value))
        if all(item is None or isinstance(item, str) for item in value):
            return "\n".join(item for item in value if isinstance(item, str))
    return as_json(value)


def as_json(value: Value) -> str:
    """A value as JSON text."""
    return json.dumps(value, ensure_ascii=False)


def part_of(value: Value, key: str) -> Value:
    """What a mapping has at this key, or a list at this position, from 0. Raises KeyError with what is wrong."""
    if isinstance(value, Mapping):
        if key in value:
            return value[key]
        raise KeyError(f"the mapping has no `{key[:60]}`")
    if is_list(value) and key.isdecimal():
        if int(key) < len(value):
            return value[int(key)]
        raise KeyError(f"the list has {len(value)} items, and {key[:18]} counts from 0")
    kind = "the list" if is_list(value) else "null" if value is None else "the value"
    raise KeyError(f"{kind} has no `{key[:60]}`")


def is_list(value: object) -> TypeGuard[Sequence[Value]]:
    """Whether it is a list; text is none."""
    return isinstance(value, (list, tuple))


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether it is a number; true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_blank(value: Value) -> bool:
    """Whether it is nothing: null, empty text, an empty list or mapping, or a list of null alone."""
    if is_list(value):
        return all(item is None for item in value)
    return value is None or value in ("", {})


def from_json(text: str) -> Value:
    """The inverse of `as_json`."""
    return json.loads(text)
