"""Lists of JSON values taken apart and put together."""

from __future__ import annotations

from itertools import chain
from typing import Any, cast


def flatten(items: list[Any]) -> list[Any]:
    """The items of the lists in this list, one level deep; null is left out, other items stay as they are."""
    lists = (cast("list[Any]", item) if isinstance(item, list) else [item] for item in items if item is not None)
    return list(chain.from_iterable(lists))


def parts(items: list[Any], size: int) -> list[list[Any]]:
    """The items in their order, in lists of `size`; the last may be shorter."""
    if size < 1:
        raise ValueError(f"size is {size}; expected at least 1")
    return [items[start : start + size] for start in range(0, len(items), size)]


def pluck(items: list[Any], key: str) -> list[Any]:
    """What each mapping in the list has at this key; null for what is no mapping or has no such key."""
    return [cast("dict[str, Any]", item).get(key) if isinstance(item, dict) else None for item in items]


def rotate(items: list[Any], by: int = 1) -> list[Any]:
    """The items with the first `by` of them moved behind the others."""
    by = by % len(items) if items else 0
    return [*items[by:], *items[:by]]
