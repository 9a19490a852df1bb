"""Graphs around the node, on engines by script; also what the processes that are killed run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph

from apr_agents.engines.base import Request
from apr_agents.engines.scripted import Reply, Script, ScriptedEngine
from apr_agents.integrations.langgraph import reasoning_node
from apr_agents.integrations.langgraph.functions import Callee
from apr_agents.integrations.langgraph.watched import Saver
from apr_agents.runner import Settings
from apr_agents.runner.settings import request_seed
from tests.support.scripts import THREADWEAVER, block, closed

Graph = CompiledStateGraph[Any, Any, Any, Any]

SCRIPT: dict[str, Any] = {
    "": [block("a", "@six", "b"), "the end"],
    "1.1": closed(" so a"),
    "1.3": closed(" so b"),
}
ASKED = {"messages": [("user", "What is it?")]}


def six() -> int:
    """Six."""
    return 6


def config(thread: str = "1") -> RunnableConfig:
    return {"configurable": {"thread_id": thread}}


def by_turn(script: dict[str, Any]) -> Script:
    """This script for runs that are resumed: a request tells by its seed which of its path's turns it is."""

    def said(request: Request) -> str | Reply:
        replies = script.get(str(request.path), "")
        turns = [replies] if isinstance(replies, (str, Reply)) else replies
        seeds = [request_seed(0, request.path, turn) for turn in range(1, len(turns) + 1)]
        return _rest(turns[seeds.index(request.sampling.seed)], request)

    return said


def _rest(reply: str | Reply, request: Request) -> str | Reply:
    """What is left to say of a block when a run is resumed behind some of its outlines."""
    if isinstance(reply, Reply) or "<Outlines>" not in reply:
        return reply
    said = request.context.text
    return reply[max(end for end in range(len(reply)) if said.endswith(reply[:end])) :]


def node(
    script: Script | None = None,
    settings: Settings | None = None,
    functions: Mapping[str, Callee] | Sequence[Callee] = (six,),
    **given: Any,
) -> Graph:
    """A node on an engine of its own for each run."""
    settings = settings or Settings(THREADWEAVER)
    said = by_turn(SCRIPT) if script is None else script
    return reasoning_node(lambda: ScriptedEngine(said, settings.dialect), settings, functions, **given)


def around(inner: Graph, saver: Saver | None = None) -> Graph:
    """A user's graph with this node in it."""
    built = StateGraph(MessagesState)
    built.add_node("think", inner)
    built.add_edge(START, "think").add_edge("think", END)
    return built.compile(checkpointer=saver)


def answer(state: Mapping[str, Any]) -> AIMessage:
    """The last message of a state."""
    return cast("AIMessage", state["messages"][-1])
