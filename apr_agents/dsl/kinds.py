"""Values of several kinds, where the first key that names a kind says which one it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, cast, get_args

NO_KIND = "no_kind"
"""What a validator calls data without a key that names a kind."""
NO_COUNT = "no_count"
"""What a validator calls data that is neither a count in its bounds nor text."""

Handler = Callable[[object], Mapping[str, Any]]
"""Gives the schema that a validator makes of a type."""


def key_of(field: str) -> str:
    """The key under which a file has this field: Python's own words are written with `_` behind them in code only."""
    return field.removesuffix("_")


def kind_key(kind: type[Any]) -> str:
    """The key that names this kind: that of its first field."""
    return key_of(fields(kind)[0].name)


def kind_among(kinds: Iterable[type[Any]], data: object) -> type[Any] | None:
    """Of these, the one that the first key of this data which names one of them says; None: no key does."""
    named = {kind_key(kind): kind for kind in kinds}
    keys = cast("Mapping[str, object]", data) if isinstance(data, Mapping) else ()
    return next((named[key] for key in keys if key in named), None)


@dataclass(frozen=True, slots=True)
class FirstKey:
    """Marks a union of such kinds."""

    noun: str
    """What they are kinds of."""

    def __get_pydantic_core_schema__(self, source: object, handler: Handler) -> dict[str, Any]:
        """A union in which one kind is chosen before it is looked at, so that what is wrong is said of that one."""
        kinds = get_args(source)
        choices = handler(source)["choices"]

        def tag(data: object) -> str | None:
            found = kind_among(kinds, data)
            return found and tag_of(found)

        tagged = {tag_of(kind): choice for kind, choice in zip(kinds, choices, strict=True)}
        return {
            "type": "tagged-union",
            "choices": tagged,
            "discriminator": tag,
            "custom_error_type": NO_KIND,
            "custom_error_message": "no kind",
            "custom_error_context": {"noun": self.noun, "kinds": " ".join(map(kind_key, kinds))},
        }


@dataclass(frozen=True, slots=True)
class Count:
    """Marks a union of a number and a text that refers to one, so that what is wrong is said once."""

    most: int

    def __get_pydantic_core_schema__(self, source: object, handler: Handler) -> dict[str, Any]:
        """The union, with one error for all of its members."""
        return {
            **handler(source),
            "custom_error_type": NO_COUNT,
            "custom_error_message": "no count",
            "custom_error_context": {"most": self.most},
        }


def tag_of(kind: type[Any]) -> str:
    """What a validator calls this kind: no key of a file, which holds printable text only."""
    return f"\0{kind.__name__}"


def is_tag(element: str | int) -> bool:
    """Whether a validator's location has the name of a kind here."""
    return isinstance(element, str) and element.startswith("\0")
