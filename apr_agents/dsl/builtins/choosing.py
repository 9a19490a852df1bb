"""Choosing among a list's items: the same choices that the step `select` makes, as plain functions."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from apr_agents.dsl.values import Value, is_blank


def first(items: Sequence[Value], count: int = 1, *, blank: bool = False) -> list[Value]:
    """The first `count` items; null and what is empty are passed over unless `blank`."""
    return [item for item in items if blank or not is_blank(item)][:count]


def majority(items: Sequence[Value], count: int = 1, *, blank: bool = False) -> list[Value]:
    """The `count` items that stand in the list most often, each once; of equals the earlier one.

    Self-consistency's vote (Wang et al., arXiv 2203.11171, section 2), over whole answers.
    """
    kept = first(items, len(items), blank=blank)
    votes = Counter(map(_key, kept))
    once = {_key(item): item for item in reversed(kept)}
    places = {_key(item): place for place, item in reversed(list(enumerate(kept)))}
    ranked = sorted(once, key=lambda key: (-votes[key], places[key]))
    return [once[key] for key in ranked[:count]]


def best(items: Sequence[Value], scores: Sequence[float | None], count: int = 1, *, blank: bool = False) -> list[Value]:
    """The `count` items with the highest scores, the highest first; of equals the earlier one.

    An item without a score (null) is never chosen. Raises ValueError for fewer or more scores than items.
    """
    if len(items) != len(scores):
        raise ValueError(f"{len(items)} items and {len(scores)} scores; expected a score for each item")
    scored = [
        (score, item)
        for item, score in zip(items, scores, strict=True)
        if score is not None and (blank or not is_blank(item))
    ]
    return [item for _, item in sorted(scored, key=lambda pair: -pair[0])[:count]]


def _key(item: Value) -> str:
    """The same text for the same JSON value."""
    return json.dumps(item, sort_keys=True, ensure_ascii=False)
