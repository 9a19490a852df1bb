"""Workflows on LangGraph: the course that takes a run through its graph, and a node for graphs of the user's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

from anyio.from_thread import start_blocking_portal
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.cache.base import BaseCache
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.store.base import BaseStore
from typing_extensions import TypedDict

from apr_agents.accounting import account
from apr_agents.dsl.checked import Check
from apr_agents.dsl.checks import CHECKS
from apr_agents.dsl.execute import stream_workflow
from apr_agents.dsl.frame import Frame
from apr_agents.dsl.live import Answered, Course
from apr_agents.dsl.spec import Workflow
from apr_agents.dsl.values import Value
from apr_agents.engines.base import Engine
from apr_agents.errors import EngineError, UsageError
from apr_agents.integrations.langgraph.functions import Callee, functions_of
from apr_agents.integrations.langgraph.node import opened, run_id_of, watched
from apr_agents.integrations.langgraph.running_steps import Running, carrying
from apr_agents.integrations.langgraph.saver import Saver, durability_of, saver_of
from apr_agents.integrations.langgraph.steps import Graph, steps_graph
from apr_agents.integrations.langgraph.telling import Teller
from apr_agents.report.json import to_json
from apr_agents.runner import Budget, Function

_STEPS = 10_000_000
"""Nodes that may run one after the other: the workflow's own bounds end it."""
_UNBOUNDED = 1_000_000
"""A task that waits for its own tasks must not take their place: the run's budget bounds what runs at once."""


def through(graph: Graph, config: RunnableConfig | None = None) -> Course:
    """The course that takes a run through the graph of its workflow, in this configuration."""

    async def course(frame: Frame) -> Value:
        running = Running(frame)
        inside = carrying(running, {**(config or {}), "recursion_limit": _STEPS, "max_concurrency": _UNBOUNDED})
        state = await graph.ainvoke({"values": dict(frame.values)}, inside)
        running.catch_up(state)
        return state.get("value")

    return course


def workflow_node(
    workflow: Workflow,
    engine: Engine | str | Callable[[], Engine] | None = None,
    functions: Mapping[str, Callee] | Sequence[Callee] = (),
    *,
    write: str = "answer",
    report: str = "report",
    name: str | None = None,
    seed: int = 0,
    checks: Mapping[str, Check] = CHECKS,
    allow_exit: bool = False,
    checkpointer: Saver | bool | None = None,
    store: BaseStore | None = None,
    cache: BaseCache[Any] | None = None,
) -> Graph:
    """A compiled graph that runs this workflow: for `graph.add_node("vote", workflow_node(...))`, or as it is.

    It reads the workflow's inputs from the state's keys of their names, and puts what comes out under `write`, and how
    the run ended and its account, as plain JSON values, under `report`.

    `engine`: as of `reasoning_node`; None: the workflow's own, else `embedded`. `functions`: what the workflow may call
    beside those of the language. `allow_exit`, `checkpointer`, `store`, `cache`: as of `reasoning_node`.

    A run whose engine failed raises EngineError, so that the graph's retry policy and a resume go on from there; any
    other end says so in the report.
    """
    title = name or "workflow"
    known = functions_of(functions)
    node = _Node(
        workflow, title, engine or workflow.engine or "embedded", known, checks, seed, (write, report), allow_exit
    )
    fields: dict[str, Any] = dict.fromkeys((*workflow.inputs, write, report), Any)
    made: Any = TypedDict
    built = StateGraph(made("Workflow", fields, total=False))
    built.add_node(title, cast("Any", RunnableLambda(node.block, afunc=node.work, name=title)))
    built.add_edge(START, title).add_edge(title, END)
    return built.compile(checkpointer=cast("Any", checkpointer), store=store, cache=cache, name=title)


@dataclass(frozen=True, slots=True)
class _Node:
    """What the node does, both ways."""

    workflow: Workflow
    name: str
    engine: Engine | str | Callable[[], Engine]
    functions: Mapping[str, Function]
    checks: Mapping[str, Check]
    seed: int
    writes: tuple[str, str]
    allow_exit: bool

    async def work(self, state: Mapping[str, Any], config: RunnableConfig) -> dict[str, Any]:
        """One run, for coroutines."""
        return await self._work(state, config, blocks=False)

    def block(self, state: Mapping[str, Any], config: RunnableConfig) -> dict[str, Any]:
        """One run, for threads: on an event loop of its own."""
        with start_blocking_portal() as portal:
            return portal.call(partial(self._work, state, config, blocks=True))

    async def _work(self, state: Mapping[str, Any], config: RunnableConfig, *, blocks: bool) -> dict[str, Any]:
        if saver_of(config) is not None and durability_of(config) == "exit" and not self.allow_exit:
            raise UsageError(
                "durability='exit' stores nothing until the graph ends: a killed run is lost; use 'async' or 'sync', "
                "or say workflow_node(..., allow_exit=True)"
            )
        given = {name: state[name] for name in self.workflow.inputs if state.get(name) is not None}
        run_id = run_id_of(config)
        teller = Teller(config, get_stream_writer(), run_id, self.name)
        async with watched(config, run_id, blocks) as inside, opened(self.engine) as engine:
            async with stream_workflow(
                _bounded(self.workflow, config.get("max_concurrency")),
                engine,
                given,
                seed=self.seed,
                functions=self.functions,
                checks=self.checks,
                run_id=run_id,
                course=through(steps_graph(self.workflow), inside),
            ) as live:
                async for progress in live:
                    await teller.tell(progress)
            answered = live.answered()
        if answered.result.ended == "failed":
            raise EngineError(answered.result.detail, answered.result.text)
        return dict(zip(self.writes, (answered.value, _facts(answered)), strict=True))


def _bounded(workflow: Workflow, limit: int | None) -> Workflow:
    """The caller's `max_concurrency` bounds requests and calls, nested ones too."""
    given = workflow.budget.concurrency or Budget().concurrency
    if limit is None or limit >= given:
        return workflow
    return replace(workflow, budget=replace(workflow.budget, concurrency=max(1, limit)))


def _facts(answered: Answered) -> dict[str, Any]:
    """How the run ended, and its account."""
    verdict = answered.verdict
    return {
        "ended": answered.result.ended,
        "detail": answered.result.detail,
        "check": None if verdict is None else {"name": answered.check, "ok": verdict.ok, "detail": verdict.detail},
        "report": to_json(account(answered.result.trace)),
    }
