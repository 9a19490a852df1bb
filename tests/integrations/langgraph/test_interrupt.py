"""A branch that needs a human stops the graph when the others have ended, and goes on alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt

from apr_agents.dialects import load_dialect
from apr_agents.engines.base import Request
from apr_agents.engines.scripted import Reply, ScriptedEngine
from apr_agents.integrations.langgraph import reasoning_node
from apr_agents.integrations.langgraph.functions import Callee
from apr_agents.runner import Function, JoinRule, Settings
from tests.integrations.langgraph.graphs import ASKED, Graph, answer, around, by_turn, config
from tests.support.scripts import block, closed

SETTINGS = Settings(load_dialect("threadweaver"))
SCRIPT: dict[str, Any] = {
    "": [block("a", "@ask", "@ask_too", "b"), "the end"],
    "1.1": closed(" so a"),
    "1.4": closed(" so b"),
}


def ask() -> str:
    """Ask a human."""
    return f"told {interrupt('what?')}"


async def ask_later() -> str:
    """Ask a human."""
    return f"told {interrupt('what?')}"


def _graph(asks: Callee, asked: list[str], other: Callable[..., Any], settings: Settings = SETTINGS) -> Graph:
    said = cast("Callable[[Request], str | Reply]", by_turn(SCRIPT))

    def script(request: Request) -> str | Reply:
        asked.append(str(request.path))
        return said(request)

    functions = {"ask": asks, "ask_too": other}
    return around(
        reasoning_node(lambda: ScriptedEngine(script, settings.dialect), settings, functions), InMemorySaver()
    )


def _nothing() -> None:
    pass


@pytest.mark.parametrize(
    "asks",
    [ask, ask_later, tool(ask), tool(ask_later), Function("ask", ask, seconds=60)],
    ids=["def", "async", "tool", "async tool", "a time limit"],
)
async def test_one_branch_waits_for_a_human(asks: Callee) -> None:
    asked: list[str] = []
    graph = _graph(asks, asked, _nothing)
    stopped = await graph.ainvoke(ASKED, config())
    assert [one.value for one in stopped["__interrupt__"]] == ["what?"]
    assert len(stopped["messages"]) == 1
    assert sorted(asked) == ["", "1.1", "1.4"]
    ended = await graph.ainvoke(Command(resume="this"), config())
    assert sorted(asked) == ["", "", "1.1", "1.4"]
    assert answer(ended).text == "the end"
    assert len(answer(ended).response_metadata["report"]["forks"][0]["branches"]) == 4


def test_one_branch_waits_for_a_human_in_a_graph_of_threads() -> None:
    asked: list[str] = []
    graph = _graph(ask, asked, _nothing)
    assert graph.invoke(ASKED, config())["__interrupt__"]
    assert answer(graph.invoke(Command(resume="this"), config())).text == "the end"
    assert sorted(asked) == ["", "", "1.1", "1.4"]


async def test_two_humans_answer_one_after_the_other() -> None:
    asked: list[str] = []
    seen: list[str] = []

    def ask_too() -> str:
        seen.append(interrupt("and what?"))
        return seen[-1]

    graph = _graph(ask, asked, ask_too)
    stopped = await graph.ainvoke(ASKED, config())
    pending = {one.value: one.id for one in stopped["__interrupt__"]}
    assert set(pending) == {"what?", "and what?"}
    stopped = await graph.ainvoke(Command(resume={pending["and what?"]: "that"}), config())
    assert [one.value for one in stopped["__interrupt__"]] == ["what?"]
    assert seen == ["that"]
    ended = await graph.ainvoke(Command(resume={pending["what?"]: "this"}), config())
    assert answer(ended).text == "the end"
    assert seen == ["that"]
    assert sorted(asked) == ["", "", "1.1", "1.4"]


async def test_a_join_that_needs_it_not_does_not_wait_for_a_human() -> None:
    asked: list[str] = []
    first = Settings(load_dialect("threadweaver"), join=JoinRule("first"))
    ended = await _graph(ask, asked, _nothing, first).ainvoke(ASKED, config())
    assert answer(ended).text == "the end"


async def test_a_branch_inside_a_branch_waits_for_a_human() -> None:
    asked: list[str] = []
    nested = replace(SETTINGS.dialect, nests=True, name="nested")
    script = {
        "": [block("a", "b"), "the end"],
        "1.1": [" then " + block("c", "@ask"), closed(" so a")],
        "1.1/1.1": closed(" so c"),
        "1.2": closed(" so b"),
    }
    said = cast("Callable[[Request], str | Reply]", by_turn(script))

    def count(request: Request) -> str | Reply:
        asked.append(str(request.path))
        return said(request)

    node = reasoning_node(lambda: ScriptedEngine(count, nested), Settings(nested), [ask])
    graph = around(node, InMemorySaver())
    stopped = await graph.ainvoke(ASKED, config())
    assert [one.value for one in stopped["__interrupt__"]] == ["what?"]
    assert sorted(asked) == ["", "1.1", "1.1/1.1", "1.2"]
    assert answer(await graph.ainvoke(Command(resume="this"), config())).text == "the end"
    assert sorted(asked) == ["", "", "1.1", "1.1", "1.1/1.1", "1.2"]
