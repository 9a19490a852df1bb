"""A workflow as a LangGraph graph: a node for each step, edges for order, conditions and repetition only.

A fork or a map with its join is one node, whose branches go through the driver: no edge could wait for a quorum.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Annotated, Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.channels import DeltaChannel
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from apr_agents.dsl.interpret import bind, decided, run_step, started
from apr_agents.dsl.kinds import kind_key
from apr_agents.dsl.places import Path
from apr_agents.dsl.spec import Repeat, Step, When, Workflow
from apr_agents.integrations.langgraph.functions import Bubbled
from apr_agents.integrations.langgraph.running_steps import Running, running_in
from apr_agents.integrations.langgraph.wrapping import Graph

_WHOLE = 1_000
"""Behind how many nodes all of the past is stored once more, so that a resume need not read all that came before."""


def _merged(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {**one, **other}


def _appended(one: Sequence[Any], others: Sequence[Sequence[Any]]) -> list[Any]:
    return [*one, *chain.from_iterable(others)]


class Steps(TypedDict, total=False):
    """What the graph keeps between its nodes: plain JSON values."""

    way: str
    """Where the last condition leads."""
    rounds: Annotated[dict[str, int], _merged]
    """How many rounds each repetition has left."""
    past: Annotated[list[Any], DeltaChannel(_appended, snapshot_frequency=_WHOLE)]
    """What each node gave and recorded, for a process that resumes the run. A checkpoint has no copy of it: LangGraph
    puts it together from what each node wrote."""
    passed: int
    """How many those are, stored beside them: so a checkpointer that loses some is noticed."""


Kept = dict[str, Any]
"""What a node puts into the graph's state."""
Act = Callable[[Running, Steps], Awaitable[Kept]]
"""What a node does."""


@dataclass(frozen=True, slots=True)
class Ends:
    """Where a part of the graph is entered, and which nodes it is left from, by which way."""

    entry: str
    exits: tuple[tuple[str, str | None], ...]
    """None: whichever way."""


def steps_graph(workflow: Workflow) -> Graph:
    """The graph of this workflow; it runs inside a run, which its configuration carries, and is drawn without one."""
    built = _Building(StateGraph(cast("Any", Steps)))
    ends = built.sequence(("steps",), workflow.steps)
    built.graph.add_edge(START, ends.entry)
    built.lead(ends.exits, END)
    built.close()
    return built.graph.compile(name=workflow.name)


class _Building:
    """A graph under construction. Its mutable state is the graph, and the ways that lead out of nodes that decide."""

    def __init__(self, graph: StateGraph[Any, Any, Any, Any]) -> None:
        self.graph = graph
        self._ways: dict[str, dict[str, str]] = {}

    def sequence(self, path: Path, steps: Sequence[Step]) -> Ends:
        """One step after the other."""
        parts = [self._step((*path, position), step) for position, step in enumerate(steps)]
        for one, other in pairwise(parts):
            self.lead(one.exits, other.entry)
        return Ends(parts[0].entry, parts[-1].exits)

    def lead(self, exits: Sequence[tuple[str, str | None]], target: str) -> None:
        """From these nodes to this one."""
        for node, way in exits:
            if way is None:
                self.graph.add_edge(node, target)
            else:
                self._ways.setdefault(node, {})[way] = target

    def close(self) -> None:
        """Every way is known."""
        for node, ways in self._ways.items():
            self.graph.add_conditional_edges(node, _way, cast("Any", ways))

    def _step(self, path: Path, step: Step) -> Ends:
        if isinstance(step, When):
            return self._when(path, step)
        if isinstance(step, Repeat):
            return self._repeat(path, step)

        async def act(running: Running, state: Steps) -> Kept:
            del state
            running.value = await run_step(running.frame, path, step)
            return {}

        name = _name(path, kind_key(type(step)))
        self._node(name, act, step)
        return Ends(name, ((name, None),))

    def _when(self, path: Path, step: When) -> Ends:
        async def act(running: Running, state: Steps) -> Kept:
            del state
            running.value = None
            return {"way": "then" if decided(running.frame, (*path, "when"), step) else "else"}

        name = _name(path, "when")
        self._node(name, act, step)
        exits: list[tuple[str, str | None]] = []
        for way, steps in (("then", step.then), ("else", step.else_)):
            if steps:
                inside = self.sequence((*path, way), steps)
                self.lead([(name, way)], inside.entry)
                exits += inside.exits
            else:
                exits.append((name, way))
        return self._bound(path, step, name, tuple(exits))

    def _repeat(self, path: Path, step: Repeat) -> Ends:
        name, again = _name(path, "repeat"), _name(path, "until")

        async def act(running: Running, state: Steps) -> Kept:
            del state
            running.value = None
            return {"rounds": {name: started(running.frame, path, step)}}

        async def look(running: Running, state: Steps) -> Kept:
            left = state.get("rounds", {})[name] - 1
            over = decided(running.frame, (*path, "until"), step) or left < 1
            return {"rounds": {name: left}, "way": "done" if over else "again"}

        self._node(name, act, step)
        inside = self.sequence((*path, "repeat"), step.repeat)
        self._node(again, look, step)
        self.graph.add_edge(name, inside.entry)
        self.lead(inside.exits, again)
        self.lead([(again, "again")], inside.entry)
        return self._bound(path, step, name, ((again, "done"),))

    def _bound(self, path: Path, step: Step, entry: str, exits: tuple[tuple[str, str | None], ...]) -> Ends:
        """The value of a step with steps inside gets its name in a node behind them."""
        if step.as_ is None:
            return Ends(entry, exits)

        async def act(running: Running, state: Steps) -> Kept:
            del state
            bind(running.frame, step, running.value)
            return {}

        name = _name(path, f"as {step.as_}")
        self._node(name, act, step)
        self.lead(exits, name)
        return Ends(entry, ((name, None),))

    def _node(self, name: str, act: Act, step: Step) -> None:
        async def node(state: Steps, config: RunnableConfig) -> Kept:
            running = running_in(config)
            before = await running.enter(state, step, config)
            try:
                found = await act(running, state)
            except Bubbled as bubbled:  # of a call that is this node's own: LangGraph stops the graph here
                raise bubbled.bubble from bubbled
            return {**found, **running.leave(before)}

        self.graph.add_node(name, cast("Any", node))


async def _way(state: Steps) -> str:
    """Not plain: such a function would run in a thread."""
    return state.get("way", "")


def _name(path: Path, what: str) -> str:
    """Such as `3.1 generate`: positions counted from 1, as people read them."""
    places = [str(one + 1) if isinstance(one, int) else one for one in path if one not in ("steps", "repeat")]
    return f"{'.'.join(places)} {what}"
