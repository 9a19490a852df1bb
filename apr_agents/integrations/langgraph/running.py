"""The graph inside the node: one run, whose decoding and branches are tasks of this graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import get_async_callback_manager_for_config
from langgraph.graph import END, START, StateGraph
from langgraph.types import StreamWriter
from typing_extensions import TypedDict

from apr_agents.engines.base import Engine, Message
from apr_agents.errors import EngineError
from apr_agents.integrations.langchain.hearing import tell_trace
from apr_agents.integrations.langgraph.messages import facts_of, message_of
from apr_agents.integrations.langgraph.tasks import Tasks
from apr_agents.integrations.langgraph.telling import Teller
from apr_agents.integrations.langgraph.wrapping import Graph
from apr_agents.runner import RunResult, Settings, stream
from apr_agents.runner.run import LiveRun

ASKED = "__apr_asked"
"""In the configuration, so that no checkpoint has a copy of the question."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run is asked."""

    engine: Engine
    question: tuple[Message, ...]
    settings: Settings
    run_id: str
    name: str
    config: RunnableConfig
    """Of the node around it: its tokens are streamed as that node's."""
    writer: StreamWriter
    """The same node's."""


class _Run(TypedDict, total=False):
    run_id: str
    facts: dict[str, Any]
    """What the message is made from: plain JSON values."""


def run_graph(name: str) -> Graph:
    """The graph of one run."""
    built = StateGraph(cast("Any", _Run))
    built.add_node("run", cast("Any", _run))
    built.add_edge(START, "run").add_edge("run", END)
    return built.compile(name=f"{name}-run")


async def _run(state: _Run, config: RunnableConfig) -> _Run:
    asked = cast("Asked", config.get("configurable", {})[ASKED])
    tasks = Tasks(config)
    await tasks.seal()  # so that whatever is stored from here on hangs on checkpoints that are stored, too
    teller = Teller(asked.config, asked.writer, asked.run_id, asked.name)
    try:
        result = await _told(asked, tasks, teller)
        if result.ended == "failed":
            raise EngineError(result.detail, result.text)
    except BaseException as error:  # a cancellation, too: listeners hear of it
        await teller.fail(error)
        raise
    facts = facts_of(result)
    await teller.finish(message_of(facts, asked.name))
    return {"facts": facts}


async def _told(asked: Asked, tasks: Tasks, teller: Teller) -> RunResult:
    live: LiveRun | None = None
    try:
        async with stream(
            asked.engine, asked.question, asked.settings, spawner=tasks, journal=tasks, run_id=asked.run_id
        ) as live:
            live.watched = teller.heard
            async for progress in live:
                await teller.tell(progress)
        return live.result()
    finally:
        if live is not None:
            around = get_async_callback_manager_for_config(asked.config)
            tell_trace(around.handlers, around.parent_run_id, live.result().trace)
