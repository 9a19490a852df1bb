"""The account of a whole agent run whose critical path crosses runs of ours, in nodes and chat models."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.tools import tool

from apr_agents.clock import VirtualClock
from apr_agents.engines.scripted import Reply, ScriptedEngine
from apr_agents.integrations.langchain import AgentAccount, ParallelChatModel, account_run
from apr_agents.integrations.langgraph import reasoning_node
from apr_agents.runner import Settings
from apr_agents.trace import Kind
from tests.integrations.langchain.agents import (
    ASKED,
    Graph,
    Paced,
    State,
    accounted,
    asks,
    checked,
    graph_of,
    idle,
    tool_of,
    tree,
)
from tests.integrations.langchain.speaking import by_request, model_of
from tests.support.scripts import THREADWEAVER, block, closed, slow

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")


def reasoning(clock: VirtualClock, *functions: Any) -> Graph:
    outlines = [f"@{function.name}" for function in functions]
    script = {"": [block("think", *outlines), Reply("so", token_seconds=2)], "1.1": slow("yes", 6)}
    return reasoning_node(lambda: ScriptedEngine(script, THREADWEAVER, clock=clock), Settings(THREADWEAVER), functions)


async def test_the_critical_path_goes_through_a_node_of_ours(clock: VirtualClock) -> None:
    """A node, a run of ours whose tool asks another model and is the slowest, and another node."""
    slowest = tool_of("look", clock, 1, Paced(clock=clock, seconds=7, tokens=100))
    graph = graph_of(asks(clock, (2, 10)), reasoning(clock, slowest), asks(clock, (3, 20)))
    agent = await accounted(graph, clock)
    report = checked(agent)
    assert [(path, name, seconds) for path, name, _, seconds in tree(report)] == [
        ("1.1", "a", 2),
        ("2.1", "b", 12),
        ("2.1/1.1", "reasoning", 12),
        ("2.1/1.1/1.1", "think", 6),
        ("2.1/1.1/1.2", "@look", 8),
        ("2.1/1.1/1.2/1.1", "look", 8),
        ("3.1", "c", 3),
    ]
    assert (report.seconds.wall, report.seconds.critical) == (17, 17)
    by_kind = report.seconds.by_kind
    assert (by_kind.decode, by_kind.tool) == (2 + 7 + 4 + 3, 1)
    (own,) = [fork for fork in report.forks if fork.path == "2.1/1.1"]
    assert (own.rule, own.straggler, own.lead_seconds) == ("all", "2.1/1.1/1.2", 2)
    assert (report.mode, report.dialect, report.engine) == ("adaptive", "threadweaver", "scripted, Paced")
    synthesis = [span for span in agent.trace().spans if span.kind is Kind.synthesis]
    assert [span.path for span in synthesis] == ["2.1/1.1"]


async def test_a_subgraph_that_a_branch_calls_is_inside_that_branch(clock: VirtualClock) -> None:
    inner = graph_of(asks(clock, (1, 3)), asks(clock, (8, 4)), name="inner")

    @tool
    async def deep() -> str:
        """Go deeper."""
        await inner.ainvoke(ASKED)
        return "deep"

    report = checked(await accounted(graph_of(reasoning(clock, deep)), clock))
    found = {path: (name, tokens, seconds) for path, name, tokens, seconds in tree(report)}
    called = "1.1/1.1/1.2"
    assert found[called] == ("@deep", 7, 9)
    assert found[f"{called}/1.1"] == ("deep", 7, 9)
    assert found[f"{called}/1.1/1.1"] == ("a", 3, 1)
    assert found[f"{called}/1.1/2.1"] == ("b", 4, 8)


async def test_a_chat_model_of_ours_is_its_run(clock: VirtualClock) -> None:
    script = {"": [block("think", "@look"), Reply("so", token_seconds=2)], "1.1": slow("yes", 6)}
    async with ScriptedEngine(script, THREADWEAVER, clock=clock) as engine:
        look = tool_of("look", clock, 1, Paced(clock=clock, seconds=7, tokens=100))
        model = ParallelChatModel(engine=engine, settings=Settings(THREADWEAVER)).bind_tools([look])

        async def ask(state: State) -> dict[str, Any]:
            return {"messages": [await model.ainvoke(state["messages"])]}

        report = checked(await accounted(graph_of(asks(clock, (2, 10)), ask), clock))
    assert [(path, name, seconds) for path, name, _, seconds in tree(report)] == [
        ("1.1", "a", 2),
        ("2.1", "b", 12),
        ("2.1/1.1", "think", 6),
        ("2.1/1.2", "@look", 8),
        ("2.1/1.2/1.1", "look", 8),
    ]
    assert report.seconds.critical == 14


async def test_two_runs_in_one_node_are_one_after_another(clock: VirtualClock) -> None:
    said = closed(" x")
    script = {"": [block("a", "b"), " so", block("a", "b"), " so"], "1.1": [said, said], "1.2": [said, said]}
    async with ScriptedEngine(script, THREADWEAVER, clock=clock) as engine:
        model = ParallelChatModel(engine=engine, settings=Settings(THREADWEAVER))

        async def twice(state: State) -> dict[str, Any]:
            return {"messages": [await model.ainvoke("one"), await model.ainvoke("two")]}

        report = checked(await accounted(graph_of(twice), clock))
    assert [(fork.path, fork.number) for fork in report.forks] == [("", 1), ("1.1", 1), ("1.1", 2)]


def test_a_graph_that_is_invoked_in_threads_is_seen_whole() -> None:
    with model_of(by_request) as model:

        def ask(state: State) -> dict[str, Any]:
            return {"messages": [model.invoke(state["messages"])]}

        graph = graph_of(ask, {"x": ask, "y": ask})
        with account_run() as agent:
            state = graph.invoke(ASKED)
    report = checked(agent)
    assert [fork.path for fork in report.forks] == ["", "", "1.1", "2.1", "2.2"]
    told = [message.usage_metadata["output_tokens"] for message in state["messages"][1:]]
    assert report.tokens.generated == sum(told)
    assert report.tokens.critical <= 2 * max(told)


def test_it_is_a_callback_handler_too() -> None:
    agent = AgentAccount()
    with model_of(by_request) as model:
        model.invoke("What is it?", agent.config)
        list(model.stream("What is it?", {"callbacks": [agent]}))
        model.invoke("What is it?")
    report = checked(agent)
    assert [(fork.path, fork.number) for fork in report.forks] == [("", 1), ("", 2)]


async def test_a_clock_of_an_engine_alone_makes_room_for_its_run() -> None:
    """The engine's hours are virtual, the account's seconds are not: no law breaks, and the hours are all there."""
    graph = graph_of(reasoning(VirtualClock()), idle)
    with account_run() as agent:
        await graph.ainvoke(ASKED)
    assert checked(agent).seconds.critical > 8
