"""A graph of one node in which a run of ours goes on: what the nodes for graphs of the user's have in common."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, cast

from anyio.from_thread import start_blocking_portal
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.cache.base import BaseCache
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.store.base import BaseStore

from apr_agents.engines.base import Engine
from apr_agents.engines.opening import open_engine
from apr_agents.errors import UsageError
from apr_agents.integrations.langgraph.fence import fenced
from apr_agents.integrations.langgraph.saver import Saver, durability_of, saver_of, with_saver
from apr_agents.integrations.langgraph.watched import Watched, unwatched

UNBOUNDED = 1_000_000
"""A task that waits for its own tasks must not take their place: the run's budget bounds what runs at once."""

Graph = CompiledStateGraph[Any, Any, Any, Any]
EngineGiven = Engine | str | Callable[[], Engine]
"""One that is open, or a spec or a function that makes one."""


class Work(Protocol):
    """What the node does with the state that it reads."""

    async def __call__(self, state: Mapping[str, Any], config: RunnableConfig, *, blocks: bool) -> dict[str, Any]:
        """What it writes. `blocks`: it is on an event loop of its own, in a thread that waits for it."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """Where a graph keeps what it has, as of LangGraph's own `compile`."""

    checkpointer: Saver | bool | None
    store: BaseStore | None
    cache: BaseCache[Any] | None


def graph_of(name: str, schema: type, work: Work, kept: Kept) -> Graph:
    """A compiled graph with this work as its one node, for coroutines and for threads."""

    async def for_coroutines(state: Mapping[str, Any], config: RunnableConfig) -> dict[str, Any]:
        return await work(state, config, blocks=False)

    def for_threads(state: Mapping[str, Any], config: RunnableConfig) -> dict[str, Any]:
        with start_blocking_portal() as portal:
            return portal.call(partial(work, state, config, blocks=True))

    built = StateGraph(cast("Any", schema))
    built.add_node(name, cast("Any", RunnableLambda(for_threads, afunc=for_coroutines, name=name)))
    built.add_edge(START, name).add_edge(name, END)
    return built.compile(cast("Any", kept.checkpointer), store=kept.store, cache=kept.cache, name=name)


def refuse_exit(config: RunnableConfig, door: str) -> None:
    """Raises UsageError, which names this door, where a graph with a checkpointer would keep nothing before its end."""
    if saver_of(config) is not None and durability_of(config) == "exit":
        raise UsageError(
            "durability='exit' stores nothing until the graph ends: a killed run is lost; use 'async' or 'sync', "
            f"or say {door}(..., allow_exit=True)"
        )


def run_id_of(config: RunnableConfig) -> str:
    """The run's id: the same when it is resumed, for LangGraph gives the same task the same namespace then."""
    given = config.get("configurable", {})
    exact = f"{given.get('thread_id', '')}\0{given.get('checkpoint_ns', '')}"
    return hashlib.blake2b(exact.encode(), digest_size=8).hexdigest()


def concurrency_of(config: RunnableConfig, budgeted: int) -> int:
    """How many requests and calls may run at the same time, nested ones too: the caller's bound where it is lower."""
    limit = config.get("max_concurrency")
    return budgeted if limit is None else min(budgeted, max(1, limit))


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
async def opened(engine: EngineGiven) -> AsyncGenerator[Engine]:
    """The engine: as it is where it is open, else for as long as the block goes on."""
    if isinstance(engine, str) or callable(engine):
        async with open_engine(engine) if isinstance(engine, str) else engine() as made:
            yield made
    else:
        yield engine
