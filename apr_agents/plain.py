"""Frozen dataclasses as plain JSON values, and back, checked field by field."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from apr_agents.errors import ContextError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Json = Mapping[str, Any]
"""Plain JSON values by name."""
T = TypeVar("T")


def to_plain(value: object) -> dict[str, Any]:
    """The fields of this value by name, and of all values inside it."""
    return adapter_of(type(value)).dump_python(value, mode="json")


def from_plain(kind: type[T], data: Json, what: str) -> T:
    """The inverse. Raises ContextError for anything else, as not a stored `what`."""
    from pydantic import ValidationError

    try:
        return adapter_of(kind).validate_python(data)
    except ValidationError as error:
        raise ContextError(f"not a stored {what}: {error!r}") from error


def adapter_of(kind: type[T]) -> TypeAdapter[T]:
    """What pydantic made of this type; made once, where it is first needed."""
    return _adapter(kind)


@cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)
