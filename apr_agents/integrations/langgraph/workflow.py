"""Workflows on LangGraph: the course that takes a run through its graph, and a node for graphs of the user's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.cache.base import BaseCache
from langgraph.config import get_stream_writer
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
from apr_agents.errors import EngineError
from apr_agents.integrations.langgraph.functions import Callee, functions_of
from apr_agents.integrations.langgraph.running_steps import Running, carrying
from apr_agents.integrations.langgraph.saver import Saver
from apr_agents.integrations.langgraph.steps import steps_graph
from apr_agents.integrations.langgraph.telling import Teller
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
from apr_agents.report.json import to_json
from apr_agents.runner import Budget, Function

_STEPS = 10_000_000
"""Nodes that may run one after the other: the workflow's own bounds end it."""


def through(graph: Graph, config: RunnableConfig | None = None) -> Course:
    """The course that takes a run through the graph of its workflow, in this configuration."""

    async def course(frame: Frame) -> Value:
        running = Running(frame)
        inside = carrying(running, {**(config or {}), "recursion_limit": _STEPS, "max_concurrency": UNBOUNDED})
        running.catch_up(await graph.ainvoke({"way": ""}, inside))
        return running.value

    return course


def workflow_node(
    workflow: Workflow,
    engine: EngineGiven | None = None,
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
    return graph_of(title, made("Workflow", fields, total=False), node, Kept(checkpointer, store, cache))


@dataclass(frozen=True, slots=True)
class _Node:
    """What the node does."""

    workflow: Workflow
    name: str
    engine: EngineGiven
    functions: Mapping[str, Function]
    checks: Mapping[str, Check]
    seed: int
    writes: tuple[str, str]
    allow_exit: bool

    async def __call__(self, state: Mapping[str, Any], config: RunnableConfig, *, blocks: bool) -> dict[str, Any]:
        """One run."""
        if not self.allow_exit:
            refuse_exit(config, "workflow_node")
        given = {name: state[name] for name in self.workflow.inputs if state.get(name) is not None}
        budget, run_id = self.workflow.budget, run_id_of(config)
        concurrency = concurrency_of(config, budget.concurrency or Budget().concurrency)
        teller = Teller(config, get_stream_writer(), run_id, self.name)
        async with watched(config, run_id, blocks) as inside, opened(self.engine) as engine:
            async with stream_workflow(
                replace(self.workflow, budget=replace(budget, concurrency=concurrency)),
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


def _facts(answered: Answered) -> dict[str, Any]:
    """How the run ended, and its account."""
    verdict = answered.verdict
    return {
        "ended": answered.result.ended,
        "detail": answered.result.detail,
        "check": None if verdict is None else {"name": answered.check, "ok": verdict.ok, "detail": verdict.detail},
        "report": to_json(account(answered.result.trace)),
    }
