"""Choosing from a list, without a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from apr_agents.dsl.values import Value, as_json, is_blank, is_number


def chosen(
    items: Sequence[Value],
    by: Literal["best", "majority", "first"],
    scores: Sequence[Value],
    count: int,
    *,
    blank: bool,
) -> list[Value]:
    """At most `count` of the items, the best ones first; of equals the earlier one. `blank`: whether nothing may be
    chosen. An item whose score is no number is never the best."""
    places = [place for place, item in enumerate(items) if blank or not is_blank(item)]
    if by == "best":
        numbers = {place: score for place, score in enumerate(scores) if is_number(score)}
        places = sorted((place for place in places if place in numbers), key=lambda place: -numbers[place])
    if by == "majority":
        keys = [_key(items[place]) for place in places]
        often = Counter(keys)
        distinct = [place for position, place in enumerate(places) if keys.index(keys[position]) == position]
        places = sorted(distinct, key=lambda place: -often[_key(items[place])])
    return [items[place] for place in places[:count]]


def _key(value: Value) -> str:
    """The same for values that are the same, but for white space around text."""
    return as_json(value.strip() if isinstance(value, str) else value)
