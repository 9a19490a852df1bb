"""A depth-first search kept as one JSON value: the states still open, the most promising first, and what was found.

Tree of Thoughts, algorithm 2 (Yao et al., arXiv 2305.10601, section 3): go deeper into the best child, prune children
that are worth too little, turn back where there is nothing left.
"""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict


class Search(TypedDict):
    """A search that goes on."""

    open: list[Any]
    """States to look at, the next one first."""
    found: Any
    """What the last leaf gave; null while there is nothing."""


def begin(state: object) -> Search:
    """A search that is to look at this state first."""
    return Search(open=[state], found=None)


def deepen(
    search: Search, children: list[Any], worth: list[float | None], least: float = 0.0, breadth: int = 1_000
) -> Search:
    """The first open state replaced by its children: the `breadth` best of those worth at least `least`, best first.

    Raises ValueError for a search without an open state, or where each child does not have its worth.
    """
    if len(children) != len(worth):
        raise ValueError(f"{len(children)} children and {len(worth)} numbers; expected one for each child")
    kept = [(value, child) for value, child in zip(worth, children, strict=True) if value is not None]
    ranked = sorted((pair for pair in kept if pair[0] >= least), key=lambda pair: -pair[0])
    return Search(open=[*(child for _, child in ranked[:breadth]), *_behind_first(search)], found=None)


def turn_back(search: Search, found: object = None) -> Search:
    """The first open state done with; `found` is what it gave. Raises ValueError for a search without an open state."""
    return Search(open=_behind_first(search), found=found)


def _behind_first(search: Search) -> list[Any]:
    if not search["open"]:
        raise ValueError("the search has no open state left")
    return search["open"][1:]
