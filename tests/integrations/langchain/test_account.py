"""The account of a whole agent run: its critical path crosses nodes, tools, subgraphs and runs of ours."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import anyio
import pytest
from click.testing import CliRunner
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, Send, interrupt

from apr_agents.cli import main
from apr_agents.clock import VirtualClock
from apr_agents.engines.scripted import Reply, ScriptedEngine
from apr_agents.integrations.langchain import AgentAccount, ParallelChatModel, account_run
from apr_agents.integrations.langgraph import reasoning_node
from apr_agents.runner import Settings
from apr_agents.trace import Kind
from tests.integrations.langchain.agents import (
    ASKED,
    CACHED,
    PROMPT,
    Graph,
    Paced,
    asks,
    calls,
    checked,
    graph_of,
    rules,
    take,
    tool_of,
    tree,
)
from tests.integrations.langchain.speaking import by_request, model_of
from tests.support.scripts import THREADWEAVER, block, closed, slow

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")


def idle(state: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"messages": []}


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


async def accounted(graph: Graph, clock: VirtualClock) -> AgentAccount:
    with account_run(clock) as agent:
        await graph.ainvoke(ASKED)
    return agent


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


async def test_each_send_is_a_branch(clock: VirtualClock) -> None:
    async def map_one(state: Any) -> dict[str, Any]:  # noqa: ANN401
        await Paced(clock=clock, seconds=state["seconds"], tokens=1).ainvoke("Go on")
        return {"messages": []}

    def spread(state: Any) -> list[Send]:  # noqa: ANN401
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

    async def lanes(state: Any) -> dict[str, Any]:  # noqa: ANN401
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


def reasoning(clock: VirtualClock, *functions: Any) -> Graph:  # noqa: ANN401
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

        async def ask(state: Any) -> dict[str, Any]:  # noqa: ANN401
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

        async def twice(state: Any) -> dict[str, Any]:  # noqa: ANN401
            return {"messages": [await model.ainvoke("one"), await model.ainvoke("two")]}

        report = checked(await accounted(graph_of(twice), clock))
    assert [(fork.path, fork.number) for fork in report.forks] == [("", 1), ("1.1", 1), ("1.1", 2)]


def test_a_graph_that_is_invoked_in_threads_is_seen_whole() -> None:
    with model_of(by_request) as model:

        def ask(state: Any) -> dict[str, Any]:  # noqa: ANN401
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


async def test_a_node_that_fails_is_named_and_ends_the_run(clock: VirtualClock) -> None:
    async def fail(state: Any) -> None:  # noqa: ANN401
        await take(clock, 2)
        raise ValueError("no such thing")

    with account_run(clock) as agent, pytest.raises(ValueError, match="no such thing"):
        await graph_of(asks(clock, (1, 1)), fail).ainvoke(ASKED)
    report = checked(agent)
    failed = report.forks[1].branches[0]
    assert (failed.outline, failed.outcome, failed.detail) == ("b", "failed", "ValueError: no such thing")
    assert (report.ended, report.seconds.critical) == ("failed", 3)


async def test_a_model_that_fails_or_tells_nothing_is_noted(clock: VirtualClock) -> None:
    async def ask(state: Any) -> dict[str, Any]:  # noqa: ANN401
        await Paced(clock=clock, seconds=1, tokens=None).ainvoke("Go on")
        broken = Paced(clock=clock, seconds=2, tokens=4, problem="overloaded")
        with pytest.raises(ValueError, match="overloaded"):
            await broken.ainvoke("Go on")
        return {"messages": []}

    agent = await accounted(graph_of(ask), clock)
    assert checked(agent).notes == ("2 calls of Paced told no tokens",)
    assert [span.outcome for span in agent.trace().spans if span.kind is Kind.decode] == ["done", "failed"]


async def test_what_is_cancelled_ends_there(clock: VirtualClock) -> None:
    with account_run(clock) as agent:
        running = asyncio.get_running_loop().create_task(
            graph_of(asks(clock, (1, 1)), asks(clock, (50, 1))).ainvoke(ASKED)
        )
        await take(clock, 5)
        running.cancel()
        await asyncio.wait([running])
    report = checked(agent)
    assert report.ended in ("cancelled", "failed")
    assert [branch.outcome for fork in report.forks for branch in fork.branches] == ["done", "cancelled"]
    assert report.seconds.wall == 5


async def test_while_it_goes_on_what_is_open_ends_now(clock: VirtualClock) -> None:
    agent = AgentAccount(clock)

    async def look(state: Any) -> dict[str, Any]:  # noqa: ANN401
        report = checked(agent)
        assert (report.ended, report.seconds.wall) == ("cancelled", 1)
        assert [branch.outcome for fork in report.forks for branch in fork.branches] == ["done", "cancelled"]
        return {"messages": []}

    await graph_of(asks(clock, (1, 1)), look, asks(clock, (3, 1))).ainvoke(ASKED, agent.config)
    report = checked(agent)
    assert (report.ended, report.seconds.wall) == ("answered", 4)


async def test_waiting_for_a_person_is_human_time(clock: VirtualClock) -> None:
    async def ask(state: Any) -> dict[str, Any]:  # noqa: ANN401
        await take(clock, 1)
        interrupt("Is it so?")
        return {"messages": []}

    graph = graph_of(asks(clock, (2, 1)), ask, saver=InMemorySaver())
    place: Any = {"configurable": {"thread_id": "1"}}
    with account_run(clock) as agent:
        await graph.ainvoke(ASKED, place)
        assert checked(agent).ended == "interrupted"
        await take(clock, 100)
        await graph.ainvoke(Command(resume="yes"), place)
    report = checked(agent)
    assert (report.ended, report.seconds.wall, report.seconds.by_kind.human) == ("answered", 104, 100)
    assert [branch.detail for fork in report.forks for branch in fork.branches] == ["", "interrupted", ""]


async def test_a_run_that_is_resumed_is_counted_once(clock: VirtualClock) -> None:
    @tool
    async def confirm() -> str:
        """Ask a person."""
        return str(interrupt("Is it so?"))

    script = {"": [block("@confirm", "think"), " so", " so"], "1.2": closed(" yes")}
    engine = ScriptedEngine(script, THREADWEAVER, clock=clock)
    node = reasoning_node(lambda: engine, Settings(THREADWEAVER), [confirm])
    graph = graph_of(asks(clock, (2, 1)), node, saver=InMemorySaver())
    place: Any = {"configurable": {"thread_id": "1"}}
    with account_run(clock) as agent:
        await graph.ainvoke(ASKED, place)
        state = await graph.ainvoke(Command(resume="yes"), place)
    report = checked(agent)
    message = state["messages"][-1]
    assert report.tokens.generated == 1 + message.usage_metadata["output_tokens"]


async def test_a_clock_of_an_engine_alone_makes_room_for_its_run() -> None:
    """The engine's hours are virtual, the account's seconds are not: no law breaks, and the hours are all there."""
    graph = graph_of(reasoning(VirtualClock()), idle)
    with account_run() as agent:
        await graph.ainvoke(ASKED)
    assert checked(agent).seconds.critical > 8


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
