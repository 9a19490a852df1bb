"""The types of the model, walked along a path: which fields there are somewhere, and which values are short forms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, cast, get_args, get_origin, get_type_hints

from apr_agents.dsl.places import Path


def fields_at(kind: object, path: Path) -> tuple[str, ...]:
    """The names of the fields of the value at this path below a value of this type."""
    for element in path:
        kind = inner(kind, element)
    found = _dataclass(kind)
    return tuple(one.name for one in fields(found)) if found else ()


def written_out(kind: object, data: object) -> object:
    """The data with each short form as the mapping that it stands for: `threadweaver` as `{name: threadweaver}`."""
    if kind is None or data is None:
        return data
    if isinstance(data, dict):
        entries = cast("dict[str, object]", data)
        return {key: written_out(inner(kind, key), value) for key, value in entries.items()}
    if isinstance(data, list):
        item = inner(kind, 0)
        return [written_out(item, one) for one in cast("list[object]", data)]
    short = getattr(_dataclass(kind), "short", None)
    return data if short is None else {short: data}


def inner(kind: object, element: str | int) -> object:
    """The type of what is at this key or position of a value of this type; None where there is nothing."""
    found = _dataclass(kind)
    if found is not None:
        return _hints(found).get(str(element))
    for member in _members(kind):
        if get_origin(member) is Mapping and isinstance(element, str):
            return get_args(member)[1]
        if get_origin(member) is tuple and isinstance(element, int):
            return get_args(member)[0]
    return None


@cache
def _hints(kind: type[Any]) -> Mapping[str, object]:
    return get_type_hints(kind)


@cache
def _members(kind: object) -> tuple[object, ...]:
    return get_args(kind) if get_origin(kind) not in (Mapping, tuple) and get_args(kind) else (kind,)


@cache
def _dataclass(kind: object) -> type[Any] | None:
    return next((one for one in _members(kind) if isinstance(one, type) and is_dataclass(one)), None)
