"""The types of the model, walked along a path: which fields there are somewhere, and which values are short forms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Annotated, Any, cast, get_args, get_origin, get_type_hints

from apr_agents.dsl.kinds import key_of, kind_among
from apr_agents.dsl.places import Path


def fields_at(kind: object, data: object, path: Path) -> tuple[str, ...]:
    """The keys of the value at this path below `data`, a value of this type."""
    for element in path:
        kind, data = inner(kind, data, element), _at(data, element)
    found = _chosen(kind, data)
    return tuple(key_of(one.name) for one in fields(found)) if found else ()


def kinds_at(kind: object, data: object, path: Path) -> tuple[type[Any], ...]:
    """The classes of which the value at this path below `data`, a value of this type, could be."""
    for element in path:
        kind, data = inner(kind, data, element), _at(data, element)
    return kinds_of(kind)


def written_out(kind: object, data: object) -> object:
    """The data with each short form as the mapping that it stands for: `threadweaver` as `{name: threadweaver}`."""
    if kind is None or data is None:
        return data
    if isinstance(data, dict):
        entries = cast("dict[str, object]", data)
        return {key: written_out(inner(kind, entries, key), value) for key, value in entries.items()}
    if isinstance(data, list):
        items = cast("list[object]", data)
        return [written_out(inner(kind, items, 0), one) for one in items]
    short = getattr(_chosen(kind, data), "short", None)
    return data if short is None else {short: data}


def kinds_of(kind: object) -> tuple[type[Any], ...]:
    """The classes of which a value of this type can be."""
    return tuple(one for one in _members(kind) if isinstance(one, type) and is_dataclass(one))


def inner(kind: object, data: object, element: str | int) -> object:
    """The type of what is at this key or position of `data`, a value of this type; None where there is nothing."""
    found = _chosen(kind, data)
    if found is not None:
        return _hints(found).get(str(element))
    for member in _members(kind):
        if get_origin(member) is Mapping and isinstance(element, str):
            return get_args(member)[1]
        if get_origin(member) is tuple and isinstance(element, int):
            return get_args(member)[0]
    return None


def _chosen(kind: object, data: object) -> type[Any] | None:
    """The class of this data."""
    kinds = kinds_of(kind)
    return kind_among(kinds, data) if len(kinds) > 1 else next(iter(kinds), None)


def _at(data: object, element: str | int) -> object:
    if isinstance(data, dict):
        return cast("dict[str | int, object]", data).get(element)
    items = cast("list[object]", data) if isinstance(data, list) else []
    return items[element] if isinstance(element, int) and element < len(items) else None


@cache
def _hints(kind: type[Any]) -> Mapping[str, object]:
    """The types of its fields, by their keys."""
    return {key_of(name): hint for name, hint in get_type_hints(kind).items()}


@cache
def _members(kind: object) -> tuple[object, ...]:
    if get_origin(kind) is Annotated:
        return _members(get_args(kind)[0])
    return get_args(kind) if get_origin(kind) not in (Mapping, tuple) and get_args(kind) else (kind,)
