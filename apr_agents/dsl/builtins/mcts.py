"""Monte-Carlo tree search over a JSON tree: which leaves to play out next, and what their rewards change.

UCT (Kocsis and Szepesvári, ECML 2006): go down from the root to the child with the greatest
`mean + explore * sqrt(ln(visits of the parent) / visits of the child)`, unvisited children first. Several leaves are
picked for playing out at the same time; each pick counts as a visit without reward while the next is made, the
virtual loss of Chaslot et al. (CG 2008, "Parallel Monte-Carlo Tree Search"). A state without children is closed once
it was played out, a node once all its children are: nothing is played out in vain.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, log, sqrt
from typing import Any

from typing_extensions import TypedDict


class Node(TypedDict):
    """A state in the tree."""

    state: Any
    parent: int | None
    """The place of the parent in the tree's list; null for the root."""
    children: list[int] | None
    """Their places; null while the node is a leaf that may still grow."""
    visits: int
    reward: float
    """The sum of the rewards of all playouts below it."""
    closed: bool
    """Whether there is nothing left to play out below it."""


class Tree(TypedDict):
    """All nodes, the root first, parents before their children."""

    nodes: list[Node]


class Pick(TypedDict):
    """A leaf to be played out."""

    node: int
    state: Any


def plant(state: object) -> Tree:
    """A tree of one leaf."""
    return Tree(nodes=[_leaf(state, None)])


def pick(tree: Tree, count: int = 1, explore: float = 1.41) -> list[Pick]:
    """Up to `count` different open leaves, each by UCT; fewer where there are not so many, none in a closed tree."""
    nodes = _copied(tree)
    picks: list[Pick] = []
    while len(picks) < count and not nodes[0]["closed"]:
        place = _descend(nodes, explore)
        picks.append(Pick(node=place, state=nodes[place]["state"]))
        for above in _up(nodes, place):
            nodes[above]["visits"] += 1
        _close(nodes, place)
    return picks


def back_up(tree: Tree, picks: list[Pick], rewards: list[float | None]) -> Tree:
    """The tree with each playout's reward on its leaf and all nodes above it; null (a playout that failed) is 0."""
    if len(picks) != len(rewards):
        raise ValueError(f"{len(picks)} picks and {len(rewards)} rewards; expected a reward for each pick")
    nodes = _copied(tree)
    for one, reward in zip(picks, rewards, strict=True):
        for place in _up(nodes, one["node"]):
            nodes[place]["visits"] += 1
            nodes[place]["reward"] += reward or 0.0
    return Tree(nodes=nodes)


def grow(tree: Tree, picks: list[Pick], children: list[list[Any] | None]) -> Tree:
    """The tree with these states below the picked leaves; a leaf that gets none is closed."""
    if len(picks) != len(children):
        raise ValueError(f"{len(picks)} picks and {len(children)} lists; expected the children of each pick")
    nodes = _copied(tree)
    for one, states in zip(picks, children, strict=True):
        place = one["node"]
        if nodes[place]["children"] is not None:
            raise ValueError(f"node {place} has children already")
        if not states:
            _close(nodes, place)
            continue
        nodes[place]["children"] = list(range(len(nodes), len(nodes) + len(states)))
        nodes.extend(_leaf(state, place) for state in states)
    return Tree(nodes=nodes)


def uct(node: Node, parent_visits: int, explore: float) -> float:
    """What UCT goes by: infinite for a node without a visit."""
    if not node["visits"]:
        return inf
    return node["reward"] / node["visits"] + explore * sqrt(log(max(parent_visits, 1)) / node["visits"])


def _leaf(state: object, parent: int | None) -> Node:
    return Node(state=state, parent=parent, children=None, visits=0, reward=0.0, closed=False)


def _copied(tree: Tree) -> list[Node]:
    return [node.copy() for node in tree["nodes"]]


def _descend(nodes: list[Node], explore: float) -> int:
    """The place of the leaf that UCT leads to, among nodes that are not closed."""
    place = 0
    while (children := nodes[place]["children"]) is not None:
        visits = nodes[place]["visits"]
        open_ones = [child for child in children if not nodes[child]["closed"]]
        place = max(open_ones, key=lambda child: uct(nodes[child], visits, explore))
    return place


def _up(nodes: list[Node], place: int | None) -> Iterator[int]:
    """This place and all above it, up to the root."""
    while place is not None:
        yield place
        place = nodes[place]["parent"]


def _close(nodes: list[Node], place: int) -> None:
    """Close a leaf, and each node above it that has no open child left."""
    for above in _up(nodes, place):
        children = nodes[above]["children"] or []
        if any(not nodes[child]["closed"] for child in children):
            return
        nodes[above]["closed"] = True
