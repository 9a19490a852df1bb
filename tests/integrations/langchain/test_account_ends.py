"""The account of an agent run that fails, is cancelled, still goes on, or waits for a person."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt

from apr_agents.clock import VirtualClock
from apr_agents.engines.scripted import ScriptedEngine
from apr_agents.integrations.langchain import AgentAccount, account_run
from apr_agents.integrations.langgraph import reasoning_node
from apr_agents.runner import Settings
from apr_agents.trace import Kind
from tests.integrations.langchain.agents import ASKED, Paced, State, accounted, asks, checked, graph_of, take
from tests.support.scripts import THREADWEAVER, block, closed

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")


async def test_a_node_that_fails_is_named_and_ends_the_run(clock: VirtualClock) -> None:
    async def fail(state: State) -> None:
        await take(clock, 2)
        raise ValueError("no such thing")

    with account_run(clock) as agent, pytest.raises(ValueError, match="no such thing"):
        await graph_of(asks(clock, (1, 1)), fail).ainvoke(ASKED)
    report = checked(agent)
    failed = report.forks[1].branches[0]
    assert (failed.outline, failed.outcome, failed.detail) == ("b", "failed", "ValueError: no such thing")
    assert (report.ended, report.seconds.critical) == ("failed", 3)


async def test_a_model_that_fails_or_tells_nothing_is_noted(clock: VirtualClock) -> None:
    async def ask(state: State) -> dict[str, Any]:
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

    async def look(state: State) -> dict[str, Any]:
        report = checked(agent)
        assert (report.ended, report.seconds.wall) == ("cancelled", 1)
        assert [branch.outcome for fork in report.forks for branch in fork.branches] == ["done", "cancelled"]
        return {"messages": []}

    await graph_of(asks(clock, (1, 1)), look, asks(clock, (3, 1))).ainvoke(ASKED, agent.config)
    report = checked(agent)
    assert (report.ended, report.seconds.wall) == ("answered", 4)


async def test_waiting_for_a_person_is_human_time(clock: VirtualClock) -> None:
    async def ask(state: State) -> dict[str, Any]:
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
