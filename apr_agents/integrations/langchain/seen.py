"""What LangChain tells of an agent run, as values: its nodes, tools and model calls, each inside the one around it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal
from uuid import UUID

from apr_agents.trace import Tokens, Trace

IN_RUN = "apr_call_run"
"""In the metadata of what a branch of a run calls: the id of that run."""
IN_BRANCH = "apr_call_path"
"""And the path of that branch."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When something was told."""

    rank: int
    """Its place among all that was told."""
    seconds: float
    """On the account's clock."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The trace of a run of ours."""

    trace: Trace
    at: Moment
    """When it had just ended."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One run of LangChain's: a chain, a node of a graph, a tool or a model call."""

    id: UUID
    parent: UUID | None
    name: str
    kind: Literal["chain", "node", "tool", "model"]
    begun: Moment
    ended: Moment
    outcome: Literal["done", "failed", "cancelled"]
    detail: str = ""
    """Why, for every outcome but `done`."""
    interrupted: bool = False
    """It waits for a person."""
    step: int | None = None
    """Of a node, the superstep of its graph."""
    called_by: tuple[str, str] | None = None
    """The id of the run and the path of the branch that called it."""
    task: str | None = None
    """The LangGraph node or task that it belongs to, by name."""
    tokens: Tokens | None = None
    """Of a model call, where it tells them."""
    heard: Heard | None = None
    """The run of ours that it is."""
    inside: tuple[Seen, ...] = ()
    """By when they began."""
    calls: tuple[tuple[str, Seen], ...] = ()
    """What the branches of the run that was heard called, each with the branch's path."""


def forest(seen: Sequence[Seen]) -> tuple[Seen, ...]:
    """These runs, given in the order in which they began, each inside the one around it. Chains in which nothing
    happens are left out, and so is what goes on in a run of ours but for what its branches called."""
    return _Forest(seen).grown(None)


class _Forest:
    """Runs by where they belong. Nothing in it changes once it is made."""

    def __init__(self, seen: Sequence[Seen]) -> None:
        known = {one.id: one for one in seen}
        runs = {one.heard.trace.run_id for one in seen if one.heard}
        self._inside: dict[UUID | None, list[Seen]] = defaultdict(list)
        self._called: dict[str, list[Seen]] = defaultdict(list)
        for one in seen:
            parent = known.get(one.parent) if one.parent else None
            if one.called_by is None or one.called_by[0] not in runs:
                self._inside[parent.id if parent else None].append(one)
            elif parent and parent.called_by == one.called_by:
                self._inside[parent.id].append(one)
            else:
                self._called[one.called_by[0]].append(one)

    def grown(self, parent: UUID | None) -> tuple[Seen, ...]:
        """What is inside, whole."""
        whole = map(self._whole, self._inside[parent])
        return tuple(one for one in whole if one.kind != "chain" or one.inside or one.heard)

    def _whole(self, one: Seen) -> Seen:
        if one.heard is None:
            return replace(one, inside=self.grown(one.id))
        trace = one.heard.trace
        told = [(found.called_by[1], found) for found in self._called[trace.run_id] if found.called_by]
        paths = {branch.path for branch in trace.branches if branch.kind == "call"}
        calls = [*told, *((str(found.task), found) for found in self._tasks(one.id, paths))]
        return replace(one, calls=tuple((path, self._whole(found)) for path, found in calls))

    def _tasks(self, parent: UUID, paths: set[str]) -> Iterator[Seen]:
        """The tasks in which branches of a durable run called something: they are named by the branch's path."""
        for one in self._inside[parent]:
            if one.task in paths:
                yield one
            else:
                yield from self._tasks(one.id, paths)


def together(runs: Sequence[Seen]) -> Iterator[tuple[Seen, ...]]:
    """These siblings in groups, one after another: nodes of one superstep, or what was under way together."""
    group: list[Seen] = []
    ended = 0
    for one in runs:
        if group and one.begun.rank > ended and (one.step is None or one.step != group[-1].step):
            yield tuple(group)
            group = []
        group.append(one)
        ended = max(ended, one.ended.rank)
    if group:
        yield tuple(group)


def waited_for(one: Seen, earlier: Sequence[Seen]) -> Iterator[int]:
    """Of these earlier ones, by their places, the last that had ended when this one began."""
    ended = [(place, other) for place, other in enumerate(earlier) if other.ended.rank < one.begun.rank]
    latest = max((other.begun.rank for _, other in ended), default=0)
    return (place for place, other in ended if other.ended.rank > latest)
