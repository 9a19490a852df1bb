"""The spans of a trace as a graph: which chains there are, where the run ended, and the longest chain.

A trace holds every span behind those that it is after, so each question here is one pass without recursion.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from apr_agents.trace import Kind, Span, Trace

Weight = tuple[float, ...]
"""What a span adds to a chain. Chains compare by the first number, equal ones by the next, so that a figure made from
the longest chain is the same whichever of two equally long branches is named first."""


@dataclass(frozen=True, slots=True)
class Graph:
    """Spans by their place in the trace, and the edges between those places."""

    spans: tuple[Span, ...]
    after: tuple[tuple[int, ...], ...]
    """For each span, all that it is after."""
    deciding: tuple[tuple[int, ...], ...]
    """For each span, those from which a chain may come to it: its trigger alone, else all that it is after."""
    last: Mapping[str, int]
    """For each branch path, its last span that is on a path."""
    ends: tuple[int, ...]
    """Where the run ended: its own last span, or the last ones of the branches in which it ended."""


@dataclass(frozen=True, slots=True)
class Chain:
    """The longest chain to the end of a run in one weight."""

    weight: Weight
    to: tuple[Weight, ...]
    """For each span, the longest chain that ends with it."""
    places: frozenset[int]
    """The spans on the chain."""


def graph(trace: Trace) -> Graph:
    """The graph of this trace's spans."""
    places = {span.id: place for place, span in enumerate(trace.spans)}
    after = tuple(tuple(places[edge.span] for edge in span.after) for span in trace.spans)
    deciding = tuple(_deciding(span, trace.spans, places) for span in trace.spans)
    last = {span.path: place for place, span in enumerate(trace.spans) if span.kind is not Kind.ahead}
    return Graph(trace.spans, after, deciding, last, _ends(trace.spans, after, last))


def longest(graph: Graph, weights: Sequence[Weight], nothing: Weight = (0.0,)) -> Chain:
    """The longest chain of dependent spans that leads to the end of the run, where `weights` has one per span.

    `nothing` is the weight of a run without spans.
    """
    to: list[Weight] = []
    came: list[int | None] = []
    for weight, before in zip(weights, graph.deciding, strict=True):
        best = max(before, key=lambda place: to[place], default=None)
        came.append(best)
        to.append(weight if best is None else tuple(map(sum, zip(to[best], weight, strict=True))))
    place = max(graph.ends, key=lambda end: to[end], default=None)
    total = nothing if place is None else to[place]
    chain: set[int] = set()
    while place is not None:
        chain.add(place)
        place = came[place]
    return Chain(total, tuple(to), frozenset(chain))


def wasted(graph: Graph) -> frozenset[int]:
    """The spans on which no end of the run depends: those of losers."""
    used = set(graph.ends)
    for place in range(len(graph.spans) - 1, -1, -1):
        if place in used:
            used.update(graph.after[place])
    return frozenset(range(len(graph.spans))) - used


def _deciding(span: Span, spans: tuple[Span, ...], places: Mapping[str, int]) -> tuple[int, ...]:
    triggers = [edge for edge in span.after if edge.kind == "trigger"]
    return _in_order([places[edge.span] for edge in triggers or span.after], spans)


def _ends(spans: tuple[Span, ...], after: Sequence[tuple[int, ...]], last: Mapping[str, int]) -> tuple[int, ...]:
    """A branch whose last span is a fork never joined: the run ended where that fork's branches ended."""
    if "" not in last:
        return _in_order(set(range(len(spans))) - {place for before in after for place in before}, spans)
    forked: dict[int, list[str]] = {}
    for span, before in zip(spans, after, strict=True):
        if any(edge.kind == "fork" for edge in span.after):
            forked.setdefault(before[0], []).append(span.path)
    ends: list[int] = []
    pending = [""]
    while pending:
        place = last[pending.pop()]
        inner = forked.get(place)
        if inner is None:
            ends.append(place)
        else:
            pending += inner
    return _in_order(ends, spans)


def _in_order(places: Collection[int], spans: tuple[Span, ...]) -> tuple[int, ...]:
    """Siblings by their number, which is not the order of the trace: of equally long chains the first one is taken."""
    return tuple(sorted(places, key=lambda place: (len(spans[place].path), spans[place].path, place)))
