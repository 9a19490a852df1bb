"""Joins as the edges tell them: which branches each waited for, and which of those held it up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from apr_agents.accounting.graph import Chain, Graph
from apr_agents.trace import Kind, Span

BlockKey = tuple[str, int]
"""The path of the branch that wrote a block, and the block's number in it."""


@dataclass(frozen=True, slots=True)
class Join:
    """What the join of one block waited for."""

    last: Mapping[str, int]
    """For each joined branch, by path and in order, its last span."""
    ends: Mapping[str, float]
    """For each joined branch, when that span ended."""
    trigger: str | None
    deadline: int | None
    """The span that waited for the deadline."""
    straggler: str | None
    """The branch that it waited for; None where it waited for its deadline."""
    moment: float
    """When the last thing that it waited for had ended."""

    def others(self, path: str | None) -> tuple[int, ...]:
        """What it waited for beside this branch; beside its deadline for None."""
        waits = () if self.deadline is None or path is None else (self.deadline,)
        return (*(place for other, place in self.last.items() if other != path), *waits)


def joins(graph: Graph, in_tokens: Chain, in_seconds: Chain) -> dict[BlockKey, Join]:
    """The join of each block that joined at least one branch; the chains are the longest ones."""
    found: dict[BlockKey, Join] = {}
    for span, before in zip(graph.spans, graph.after, strict=True):
        if any(edge.kind in ("join", "trigger") for edge in span.after):
            join = _join(graph, span, before, (in_tokens, in_seconds))
            found[block_of(next(iter(join.last)))] = join
    return found


def block_of(path: str) -> BlockKey:
    """The block that this branch belongs to."""
    parent, _, step = path.rpartition("/")
    return parent, int(step.partition(".")[0])


def place_in_block(path: str) -> int:
    """The place of this branch among those of its block."""
    return int(path.rpartition(".")[2])


def _join(graph: Graph, span: Span, before: tuple[int, ...], chains: tuple[Chain, Chain]) -> Join:
    last: dict[str, int] = {}
    trigger, deadline = None, None
    for edge, place in zip(span.after, before, strict=True):
        if edge.kind in ("join", "trigger"):
            path = member(span.path, graph.spans[place].path)
            last[path] = place
            trigger = path if edge.kind == "trigger" else trigger
        elif graph.spans[place].kind is Kind.wait:
            deadline = place
    last = {path: last[path] for path in sorted(last, key=place_in_block)}
    ends = {path: graph.spans[place].end for path, place in last.items()}
    # Of branches that ended at the same moment the longest chain decides, so that names do not.
    slowest = trigger or max(last, key=lambda path: (ends[path], *(chain.to[last[path]] for chain in chains)))
    waited = trigger is None and deadline is not None and graph.spans[deadline].end > ends[slowest]
    moment = graph.spans[deadline].end if waited and deadline is not None else ends[slowest]
    return Join(last, ends, trigger, deadline, None if waited else slowest, moment)


def member(path: str, inside: str) -> str:
    """Of the branches that this path wrote, the one that is or holds the branch `inside`."""
    end = inside.find("/", len(path) + 1 if path else 0)
    return inside if end < 0 else inside[:end]
