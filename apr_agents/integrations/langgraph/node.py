"""A LangGraph node that reasons: its model's blocks fork, run and join inside a graph of the user's."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, cast

from anyio.from_thread import start_blocking_portal
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.cache.base import BaseCache
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.graph.state import CompiledStateGraph
from langgraph.store.base import BaseStore
from langgraph.types import RetryPolicy
from typing_extensions import TypedDict

from apr_agents.engines.base import Engine
from apr_agents.engines.opening import open_engine
from apr_agents.errors import UsageError
from apr_agents.integrations.langgraph.fence import fenced
from apr_agents.integrations.langgraph.functions import Callee, functions_of
from apr_agents.integrations.langgraph.messages import message_of, question_of
from apr_agents.integrations.langgraph.policy import Policy
from apr_agents.integrations.langgraph.running import ASKED, Asked, run_graph
from apr_agents.integrations.langgraph.saver import Saver, durability_of, saver_of, with_saver
from apr_agents.integrations.langgraph.watched import Watched, unwatched
from apr_agents.runner import Settings

_UNBOUNDED = 1_000_000
"""A task that waits for its own tasks must not take their place: the run's budget bounds what runs at once."""

Graph = CompiledStateGraph[Any, Any, Any, Any]


def reasoning_node(
    engine: Engine | str | Callable[[], Engine],
    settings: Settings,
    functions: Mapping[str, Callee] | Sequence[Callee] = (),
    *,
    read: str = "messages",
    write: str | None = None,
    name: str = "reasoning",
    retry_policy: RetryPolicy | None = None,
    timeout: float | None = None,
    allow_exit: bool = False,
    checkpointer: Saver | bool | None = None,
    store: BaseStore | None = None,
    cache: BaseCache[Any] | None = None,
) -> Graph:
    """A compiled graph for `graph.add_node("think", reasoning_node(...))`, or to be invoked as it is.

    It reads `state[read]`, one text or messages, and appends one `AIMessage` to it, or puts it under the key `write`:
    the answer, with `usage_metadata` of all its requests and, in `response_metadata`, `ended` and the whole `report`.

    `engine`: one that is open, which its owner closes; or a spec such as `"embedded"`, or a function that makes one:
    opened for each run, and closed behind it. An open engine serves the event loop that opened it, so `invoke` and
    `stream` need one of the others.
    `functions`: what outlines may call beside those of the settings: tools, functions, coroutines, compiled graphs.
    `name`: of the node inside, and of the message.
    `retry_policy`, `timeout`: of each call of a function: which failures are tried again, and seconds for one try.
    Requests are sent again by the settings' budget; `JoinRule("deadline", seconds=...)` bounds a whole block.
    `allow_exit`: whether `durability="exit"` is accepted, under which a killed run begins anew.
    `checkpointer`, `store`, `cache`: as in LangGraph's own `compile`; as a node it takes those of the graph around it.

    A run whose engine failed raises EngineError, so that the graph's retry policy and a resume ask again from there;
    any other end, such as a used-up budget, is a message that says so in `ended`.
    """
    write = write or read
    policy = Policy(retry_policy, timeout)
    known = {**functions_of(settings.functions), **functions_of(functions)}
    both = {name: policy.around(function) for name, function in known.items()}
    inner = run_graph(name)
    node = _Node(engine, replace(settings, functions=both), read, write, name, allow_exit, inner)
    built = StateGraph(cast("Any", _schema(read, write)))
    built.add_node(name, cast("Any", RunnableLambda(node.block, afunc=node.think, name=name)))
    built.add_edge(START, name).add_edge(name, END)
    return built.compile(checkpointer=cast("Any", checkpointer), store=store, cache=cache, name=name)


@dataclass(frozen=True, slots=True)
class _Node:
    """What the node does, both ways."""

    engine: Engine | str | Callable[[], Engine]
    settings: Settings
    read: str
    write: str
    name: str
    allow_exit: bool
    inner: Graph

    async def think(self, state: Mapping[str, Any], config: RunnableConfig) -> dict[str, Any]:
        """One run, for coroutines."""
        return await self._think(state, config, blocks=False)

    def block(self, state: Mapping[str, Any], config: RunnableConfig) -> dict[str, Any]:
        """One run, for threads: on an event loop of its own."""
        with start_blocking_portal() as portal:
            return portal.call(partial(self._think, state, config, blocks=True))

    async def _think(self, state: Mapping[str, Any], config: RunnableConfig, *, blocks: bool) -> dict[str, Any]:
        if saver_of(config) is not None and durability_of(config) == "exit" and not self.allow_exit:
            raise UsageError(
                "durability='exit' stores nothing until the graph ends: a killed run is lost; use 'async' or 'sync', "
                "or say reasoning_node(..., allow_exit=True)"
            )
        question = question_of(state.get(self.read), self.read)
        settings, run_id = _bounded(self.settings, config.get("max_concurrency")), run_id_of(config)
        around = config
        async with watched(config, run_id, blocks) as config, opened(self.engine) as engine:
            asked = Asked(engine, question, settings, run_id, self.name, around, get_stream_writer())
            inside: RunnableConfig = {
                **config,
                "max_concurrency": _UNBOUNDED,
                "configurable": {**config.get("configurable", {}), ASKED: asked},
            }
            facts = (await self.inner.ainvoke({"run_id": run_id}, inside))["facts"]
        message = message_of(facts, self.name)
        return {self.write: [message] if self.write == self.read else message}


def run_id_of(config: RunnableConfig) -> str:
    """The run's id: the same when it is resumed, for LangGraph gives the same task the same namespace then."""
    given = config.get("configurable", {})
    exact = f"{given.get('thread_id', '')}\0{given.get('checkpoint_ns', '')}"
    return hashlib.blake2b(exact.encode(), digest_size=8).hexdigest()


def _bounded(settings: Settings, limit: int | None) -> Settings:
    """The caller's `max_concurrency` bounds requests and calls, nested ones too."""
    if limit is None or limit >= settings.budget.concurrency:
        return settings
    return replace(settings, budget=replace(settings.budget, concurrency=max(1, limit)))


def _schema(read: str, write: str) -> type:
    """A state of these keys: messages where the answer is appended."""
    fields: dict[str, Any] = {read: Any, write: Any}
    if read == write:
        fields[read] = Annotated[list[Any], add_messages]
    made: Any = TypedDict
    return made("Reasoning", fields)


@asynccontextmanager
async def watched(config: RunnableConfig, run_id: str, blocks: bool) -> AsyncGenerator[RunnableConfig]:
    """The configuration for the graph inside, whose checkpointer is watched and fenced; as it is without one."""
    saver = saver_of(config)
    if saver is None:
        yield config
        return
    async with fenced(unwatched(saver), run_id) as check:
        yield with_saver(config, Watched(saver, check=check, blocks=blocks, durability=durability_of(config)))


@asynccontextmanager
async def opened(engine: Engine | str | Callable[[], Engine]) -> AsyncGenerator[Engine]:
    """The engine: as it is where it is open, else for as long as the block goes on."""
    if isinstance(engine, str) or callable(engine):
        async with open_engine(engine) if isinstance(engine, str) else engine() as made:
            yield made
    else:
        yield engine
