"""The account of a whole agent run: its critical path crosses nodes, tools, subgraphs and parallel chains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from click.testing import CliRunner
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Send
from typing_extensions import TypedDict

from apr_agents.cli import main
from apr_agents.clock import VirtualClock
from apr_agents.integrations.langchain import account_run
from tests.integrations.langchain.agents import (
    ASKED,
    CACHED,
    PROMPT,
    Paced,
    State,
    accounted,
    asks,
    calls,
    checked,
    graph_of,
    idle,
    rules,
    tool_of,
    tree,
)

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")


async def test_nodes_one_after_another_are_all_critical(clock: VirtualClock) -> None:
    report = checked(await accounted(graph_of(asks(clock, (2, 10)), asks(clock, (3, 20), (1, 5))), clock))
    assert tree(report) == [("1.1", "a", 10, 2), ("2.1", "b", 25, 4)]
    assert rules(report) == ["superstep", "superstep"]
    assert (report.tokens.generated, report.tokens.critical) == (35, 35)
    assert (report.tokens.prompt, report.tokens.cached) == (3 * PROMPT, 3 * CACHED)
    assert (report.seconds.wall, report.seconds.critical, report.seconds.by_kind.decode) == (6, 6, 6)
    assert (report.engine, report.mode, report.ended) == ("Paced", "sequential", "answered")


async def test_nodes_side_by_side_wait_for_the_slowest(clock: VirtualClock) -> None:
    both = {"quick": asks(clock, (2, 50)), "slow": asks(clock, (5, 10))}
    report = checked(await accounted(graph_of(asks(clock, (1, 1)), both, asks(clock, (1, 2))), clock))
    assert tree(report) == [("1.1", "a", 1, 1), ("2.1", "quick", 50, 2), ("2.2", "slow", 10, 5), ("3.1", "c", 2, 1)]
    fork = report.forks[1]
    assert (fork.straggler, fork.lead_seconds) == ("2.2", 3)
    assert [branch.slack_seconds for branch in fork.branches] == [3, 0]
    assert (report.tokens.generated, report.tokens.critical) == (63, 53)
    assert (report.seconds.wall, report.seconds.critical) == (7, 7)
    assert report.what_ifs[0].words == "without branch 2.2's lead over the next slowest"
    assert report.what_ifs[0].seconds == 3


async def test_nodes_of_one_step_are_side_by_side_even_where_one_ended_before_the_other_began() -> None:
    graph = graph_of(idle, {"left": idle, "right": idle})
    with account_run() as agent:
        graph.invoke(ASKED, {"max_concurrency": 1})
    report = checked(agent)
    assert {(path, name) for path, name, _, _ in tree(report)} == {("1.1", "a"), ("2.1", "left"), ("2.2", "right")}


async def test_a_subgraph_is_inside_its_node(clock: VirtualClock) -> None:
    inner = graph_of(asks(clock, (1, 3)), {"x": asks(clock, (2, 4)), "y": asks(clock, (3, 1))}, name="inner")
    report = checked(await accounted(graph_of(asks(clock, (1, 1)), inner), clock))
    assert tree(report) == [
        ("1.1", "a", 1, 1),
        ("2.1", "b", 8, 4),
        ("2.1/1.1", "a", 3, 1),
        ("2.1/2.1", "x", 4, 2),
        ("2.1/2.2", "y", 1, 3),
    ]
    assert (report.tokens.critical, report.seconds.critical) == (8, 5)


async def test_a_tool_node_runs_its_tools_side_by_side(clock: VirtualClock) -> None:
    tools = (tool_of("look", clock, 4), tool_of("ask", clock, 1, Paced(clock=clock, seconds=2, tokens=9)))
    graph = graph_of(asks(clock, (1, 5)), calls(*tools), ToolNode(tools))
    report = checked(await accounted(graph, clock))
    assert tree(report) == [
        ("1.1", "a", 5, 1),
        ("2.1", "b", 0, 0),
        ("3.1", "c", 9, 4),
        ("3.1/1.1", "look", 0, 4),
        ("3.1/1.2", "ask", 9, 3),
    ]
    kinds = report.seconds.by_kind
    assert (report.seconds.critical, kinds.tool, kinds.decode) == (5, 4, 1)
    assert (report.tokens.generated, report.tokens.critical) == (14, 14)


class Waiting(TypedDict):
    seconds: float


async def test_each_send_is_a_branch(clock: VirtualClock) -> None:
    async def map_one(state: Waiting) -> dict[str, Any]:
        await Paced(clock=clock, seconds=state["seconds"], tokens=1).ainvoke("Go on")
        return {"messages": []}

    def spread(state: State) -> list[Send]:
        return [Send("map", {"seconds": seconds}) for seconds in (1, 2, 3)]

    built = StateGraph(MessagesState)
    built.add_node("map", map_one)
    built.add_conditional_edges(START, spread, ["map"])
    built.add_edge("map", END)
    report = checked(await accounted(built.compile(), clock))
    assert [(path, name, seconds) for path, name, _, seconds in tree(report)] == [
        ("1.1", "__start__", 0),
        ("2.1", "map", 1),
        ("2.2", "map", 2),
        ("2.3", "map", 3),
    ]
    assert (report.tokens.generated, report.tokens.critical, report.seconds.critical) == (3, 1, 3)


async def test_tasks_are_inside_the_entrypoint_that_called_them(clock: VirtualClock) -> None:
    @task
    async def ask(seconds: float) -> None:
        await Paced(clock=clock, seconds=seconds, tokens=10).ainvoke("Go on")

    @entrypoint()
    async def flow(question: str) -> None:
        both = [ask(1), ask(3)]
        for one in both:
            await one
        await ask(2)

    with account_run(clock) as agent:
        await flow.ainvoke("What is it?")
    report = checked(agent)
    assert rules(report) == ["superstep", "all"]
    assert [(path, name, seconds) for path, name, _, seconds in tree(report)] == [
        ("1.1", "flow", 5),
        ("1.1/1.1", "ask", 1),
        ("1.1/1.2", "ask", 3),
    ]
    assert (report.tokens.generated, report.tokens.critical, report.seconds.critical) == (30, 20, 5)


async def test_what_began_when_a_sibling_had_ended_is_after_it(clock: VirtualClock) -> None:
    """One lane of two calls beside one long call: the lane is the longer chain in tokens."""

    async def lanes(state: State) -> dict[str, Any]:
        async with anyio.create_task_group() as group:
            group.start_soon(asks(clock, (9, 1)), state)
            group.start_soon(asks(clock, (2, 40), (3, 50)), state)
        return {"messages": []}

    report = checked(await accounted(graph_of(lanes), clock))
    assert [(path, tokens, seconds) for path, _, tokens, seconds in tree(report)][1:] == [
        ("1.1/1.1", 1, 9),
        ("1.1/1.2", 40, 2),
        ("1.1/1.3", 50, 3),
    ]
    assert (report.tokens.critical, report.seconds.critical) == (90, 9)


async def test_chains_that_run_in_parallel_are_branches(clock: VirtualClock) -> None:
    ask = RunnableLambda(asks(clock, (2, 3)))
    both = RunnableParallel(left=ask | ask, right=ask)
    with account_run(clock) as agent:
        await both.ainvoke({})
    report = checked(agent)
    assert [(path, tokens, seconds) for path, _, tokens, seconds in tree(report)] == [("1.1", 6, 4), ("1.2", 3, 2)]
    assert (report.tokens.critical, report.seconds.critical) == (6, 4)


def test_nothing_was_run() -> None:
    with account_run() as agent:
        pass
    report = checked(agent)
    assert (report.seconds.wall, report.tokens.generated, report.engine) == (0, 0, "none")


def test_apr_report_shows_it(tmp_path: Path) -> None:
    with account_run() as agent:
        graph_of(idle).invoke(ASKED)
    file = tmp_path / "agent.json"
    file.write_text(agent.trace().dump())
    shown = CliRunner().invoke(main, ["report", str(file)])
    assert shown.exit_code == 0
    assert "block 1 · superstep" in shown.output
    assert "1.1 a" in shown.output
