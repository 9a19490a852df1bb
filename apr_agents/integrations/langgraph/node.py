"""A LangGraph node that reasons: its model's blocks fork, run and join inside a graph of the user's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from langchain_core.runnables import RunnableConfig
from langgraph.cache.base import BaseCache
from langgraph.config import get_stream_writer
from langgraph.graph.message import add_messages
from langgraph.store.base import BaseStore
from langgraph.types import RetryPolicy
from typing_extensions import TypedDict

from apr_agents.integrations.langgraph.functions import Callee, functions_of
from apr_agents.integrations.langgraph.messages import message_of, question_of
from apr_agents.integrations.langgraph.policy import Policy
from apr_agents.integrations.langgraph.running import ASKED, Asked, run_graph
from apr_agents.integrations.langgraph.saver import Saver
from apr_agents.integrations.langgraph.wrapping import (
    UNBOUNDED,
    EngineGiven,
    Graph,
    Kept,
    concurrency_of,
    graph_of,
    opened,
    refuse_exit,
    run_id_of,
    watched,
)
from apr_agents.runner import Settings


def reasoning_node(
    engine: EngineGiven,
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
    return graph_of(name, _schema(read, write), node, Kept(checkpointer, store, cache))


@dataclass(frozen=True, slots=True)
class _Node:
    """What the node does."""

    engine: EngineGiven
    settings: Settings
    read: str
    write: str
    name: str
    allow_exit: bool
    inner: Graph

    async def __call__(self, state: Mapping[str, Any], config: RunnableConfig, *, blocks: bool) -> dict[str, Any]:
        """One run."""
        if not self.allow_exit:
            refuse_exit(config, "reasoning_node")
        question = question_of(state.get(self.read), self.read)
        run_id, budget, around = run_id_of(config), self.settings.budget, config
        budget = replace(budget, concurrency=concurrency_of(config, budget.concurrency))
        settings = replace(self.settings, budget=budget)
        async with watched(config, run_id, blocks) as config, opened(self.engine) as engine:
            asked = Asked(engine, question, settings, run_id, self.name, around, get_stream_writer())
            inside: RunnableConfig = {
                **config,
                "max_concurrency": UNBOUNDED,
                "configurable": {**config.get("configurable", {}), ASKED: asked},
            }
            facts = (await self.inner.ainvoke({"run_id": run_id}, inside))["facts"]
        message = message_of(facts, self.name)
        return {self.write: [message] if self.write == self.read else message}


def _schema(read: str, write: str) -> type:
    """A state of these keys: messages where the answer is appended."""
    fields: dict[str, Any] = {read: Any, write: Any}
    if read == write:
        fields[read] = Annotated[list[Any], add_messages]
    made: Any = TypedDict
    return made("Reasoning", fields)
