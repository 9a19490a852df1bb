"""What is known of values before anything runs: which names there are at a place, and of which types they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, cast

from apr_agents.dsl.parts import Data
from apr_agents.dsl.templates import Reference, misreferences, pieces, sole_reference

Type = Literal["text", "integer", "number", "boolean", "integers", "texts", "list", "mapping", "any", "numbers"]
"""The type of a value, as far as it is known; `any` where it is not. `numbers` is only asked for."""

Scope = Mapping[str, Type]
"""The names at a place."""

_ITEMS: Mapping[Type, Type] = {"integers": "integer", "texts": "text", "list": "any", "any": "any"}
_FITS: Mapping[Type, frozenset[Type]] = {
    "integer": frozenset(["integer"]),
    "number": frozenset(["number", "integer"]),
    "list": frozenset(["list", "integers", "texts"]),
    "texts": frozenset(["texts", "list"]),
    "numbers": frozenset(["integers", "list"]),
    "text": frozenset(["text"]),
    "boolean": frozenset(["boolean"]),
    "mapping": frozenset(["mapping"]),
}
_NOUNS: Mapping[Type, str] = {
    "integer": "an integer",
    "number": "a number",
    "list": "a list",
    "texts": "a list of texts",
    "numbers": "a list of numbers",
    "text": "a text",
    "boolean": "true or false",
    "mapping": "a mapping",
}


def item_of(kind: Type) -> Type:
    """The type of a list's items."""
    return _ITEMS.get(kind, "any")


def common(*kinds: Type) -> Type:
    """The type of a value that is one of these."""
    first, *others = kinds
    return first if all(one == first for one in others) else "any"


def reference_type(reference: str, scope: Scope) -> Type:
    """The type of what a reference names; its name must be known."""
    name, *keys = reference.split(".")
    kind = scope[name]
    for key in keys:
        kind = _ITEMS[kind] if key.isdecimal() and kind in _ITEMS else "any"
    return kind


def type_of(data: Data, scope: Scope) -> Type:
    """The type of a value whose references are known names."""
    if isinstance(data, bool):
        return "boolean"
    if isinstance(data, int):
        return "integer"
    if isinstance(data, float):
        return "number"
    if isinstance(data, str):
        name = sole_reference(data)
        return "text" if name is None else reference_type(name, scope)
    return "mapping" if isinstance(data, Mapping) else _list_type(cast("Sequence[Data]", data), scope)


def _list_type(items: Sequence[Data], scope: Scope) -> Type:
    kinds = {type_of(item, scope) for item in items}
    return "integers" if kinds == {"integer"} else "texts" if kinds == {"text"} else "list"


def unknown(data: Data, scope: Scope) -> Iterator[str]:
    """What is wrong with each reference in a value."""
    if isinstance(data, str):
        yield from misreferences(data, scope)
        for piece in pieces(data):
            if isinstance(piece, Reference) and piece.root in scope and (problem := _partless(str(piece.name), scope)):
                yield problem
    elif isinstance(data, Mapping):
        for one in data.values():
            yield from unknown(one, scope)
    elif isinstance(data, (list, tuple)):
        for one in cast("Sequence[Data]", data):
            yield from unknown(one, scope)


def _partless(reference: str, scope: Scope) -> str | None:
    name, *keys = reference.split(".")
    kind = scope[name]
    for key in keys:
        if not key:
            return f"`${{{reference[:60]}}}`: a part without a name; expected one behind each dot"
        if kind in ("text", "integer", "number", "boolean"):
            what = f"`{name[:60]}` is of type {kind}, and has no part `{key[:60]}`"
            return f"`${{{reference[:60]}}}`: {what}; expected `${{{name[:60]}}}`"
        if kind in ("integers", "texts", "list") and not key.isdecimal():
            return f"`${{{reference[:60]}}}`: a list has no part `{key[:60]}`; expected a position, counted from 0"
        name, kind = f"{name}.{key}", _ITEMS.get(kind, "any")
    return None


def misfit(data: Data, scope: Scope, *wanted: Type) -> Iterator[str]:
    """What is wrong with a value that must be of one of these types, also its references."""
    problems = list(unknown(data, scope))
    yield from problems
    if problems:
        return
    kind = type_of(data, scope)
    if kind == "any" or any(kind in _FITS[one] for one in wanted):
        return
    there_is = f"`{data[:60]}` is of type {kind}" if isinstance(data, str) and sole_reference(data) else _shown(data)
    yield f"{there_is}; expected {' or '.join(_NOUNS[one] for one in wanted)}"


def _shown(data: Data) -> str:
    if isinstance(data, str):
        return f"the text {data[:60]!r}"
    if isinstance(data, bool):
        return str(data).lower()
    if isinstance(data, (int, float)):
        return f"the number {data}"
    return "a mapping" if isinstance(data, Mapping) else f"a list of {len(cast('Sequence[Data]', data))}"
