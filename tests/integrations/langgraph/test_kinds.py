"""What may stand behind an outline: tools, functions, coroutines, graphs here and elsewhere, MCP servers."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langchain_mcp_adapters.client import MultiServerMCPClient
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.pregel.remote import RemoteGraph
from langgraph.types import Command, interrupt
from typing_extensions import TypedDict

from apr_agents.clock import MonotonicClock
from apr_agents.engines.base import Request
from apr_agents.engines.scripted import ScriptedEngine
from apr_agents.errors import UsageError
from apr_agents.integrations.langgraph import reasoning_node
from apr_agents.integrations.langgraph.functions import Callee
from apr_agents.integrations.langgraph.watched import Saver
from apr_agents.runner import Settings
from tests.integrations.langgraph.graphs import ASKED, Graph, answer, around, config
from tests.support.scripts import THREADWEAVER, block
from tests.support.servers.http import Exchange, HttpServer, serve


async def _told(
    call: str, functions: Mapping[str, Callee] | Sequence[Callee], *, saver: Saver | None = None
) -> tuple[str, str]:
    """What the model is told at first, and what it is shown of this call's result."""
    seen: list[str] = []

    def said(request: Request) -> str:
        seen.append(request.context.text)
        return block(call) if len(seen) == 1 else "the end"

    # What these functions wait for goes by the machine's clock.
    node = reasoning_node(
        lambda: ScriptedEngine(said, THREADWEAVER, clock=MonotonicClock()), Settings(THREADWEAVER), functions
    )
    state = await around(node, saver).ainvoke(ASKED, config())
    assert answer(state).text == "the end"
    first, second = seen
    return first, second[len(first) :]


@tool
def look_up(word: str, times: int = 1) -> str:
    """Look a word up."""
    return f"{word} found " * times


def count(word: str) -> int:
    """How many letters a word has."""
    return len(word)


async def double(word: str) -> str:
    """The word twice."""
    return word * 2


class Asked(TypedDict):
    topic: str
    found: str


def _graph() -> Graph:
    """A graph whose state has keys of its own."""

    def find(state: Asked) -> dict[str, str]:
        return {"found": f"all about {state['topic']}"}

    built = StateGraph(Asked)
    built.add_node("find", find)
    built.add_edge(START, "find").add_edge("find", END)
    return built.compile(name="research")


def _chat() -> Graph:
    """A graph over messages, as agents are."""

    def reply(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage(f"you said {state['messages'][-1].text}")]}

    built = StateGraph(MessagesState)
    built.add_node("reply", reply)
    built.add_edge(START, "reply").add_edge("reply", END)
    return built.compile(name="chat")


@pytest.mark.parametrize(
    ("function", "call", "known", "shown"),
    [
        (look_up, '@look_up {"word": "x", "times": 2}', "Look a word up.", "x found x found"),
        (count, '@count {"word": "abc"}', "How many letters", "3"),
        (double, '@double {"word": "ab"}', "The word twice.", "abab"),
        (_chat(), '@chat {"messages": "hello"}', "@chat", "you said hello"),
        (_graph(), '@research {"topic": "tea", "found": ""}', '"topic"', "all about tea"),
    ],
)
async def test_each_kind(function: Callee, call: str, known: str, shown: str) -> None:
    told, joined = await _told(call, [function])
    assert known in told
    assert call.split()[0] in told
    assert shown in joined


async def test_arguments_are_checked_by_the_schema() -> None:
    _, joined = await _told('@look_up {"word": "x", "times": "many"}', [look_up])
    assert "failed: @look_up: times: " in joined


async def test_names_of_one_s_own() -> None:
    told, joined = await _told('@letters {"word": "abc"}', {"letters": count})
    assert "@letters" in told
    assert "@count" not in told
    assert "3" in joined


def test_two_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match="two functions are named @count"):
        reasoning_node("embedded", Settings(THREADWEAVER), [count, count])


async def test_a_graph_inside_a_branch_waits_for_a_human_and_goes_on_from_there() -> None:
    steps: list[str] = []

    def first(state: Asked) -> dict[str, str]:
        steps.append("first")
        return {"found": state["topic"]}

    def second(state: Asked) -> dict[str, str]:
        return {"found": f"{state['found']} and {interrupt('what?')}"}

    built = StateGraph(Asked)
    built.add_node("first", first)
    built.add_node("second", second)
    built.add_edge(START, "first").add_edge("first", "second").add_edge("second", END)
    shown: list[str] = []

    def said(request: Request) -> str:
        shown.append(request.context.text)
        return block('@research {"topic": "tea", "found": ""}') if "Thread" not in request.context.text else "the end"

    node = reasoning_node(
        lambda: ScriptedEngine(said, THREADWEAVER, clock=MonotonicClock()),
        Settings(THREADWEAVER),
        [built.compile(name="research")],
    )
    graph = around(node, InMemorySaver())
    assert [one.value for one in (await graph.ainvoke(ASKED, config()))["__interrupt__"]] == ["what?"]
    assert answer(await graph.ainvoke(Command(resume="milk"), config())).text == "the end"
    assert "tea and milk" in shown[-1]
    assert steps == ["first"], "the step that had ended did not run again"


async def test_an_mcp_server_s_tool() -> None:
    path = str(Path(__file__).with_name("mcp_server.py"))
    client = MultiServerMCPClient({"numbers": {"transport": "stdio", "command": sys.executable, "args": [path]}})
    told, joined = await _told('@add {"first": 2, "second": 3}', await client.get_tools())
    assert '@add {"first": {' in told
    assert "The sum of two numbers." in told
    assert "the sum is 5" in joined


@pytest.mark.enable_socket
async def test_a_graph_on_another_server() -> None:
    asked: list[Any] = []

    async def act(exchange: Exchange) -> None:
        asked.append((exchange.asked.method, exchange.asked.path, exchange.asked.json))
        state = {"found": f"all about {exchange.asked.json['input']['topic']}"}
        events: Sequence[tuple[str, dict[str, str]]] = [("metadata", {"run_id": "1"}), ("values", state)]
        await exchange.start(200, {"content-type": "text/event-stream"})
        for event, data in events:
            await exchange.send(f"event: {event}\ndata: {json.dumps(data)}\n\n".encode())
        await exchange.end()

    async with serve(HttpServer(act)) as server:
        remote = RemoteGraph("research", url=server.url)
        told, joined = await _told('@research {"topic": "tea"}', [remote])
    assert "@research" in told
    assert "all about tea" in joined
    ((method, path, body),) = asked
    assert (method, path.split("?")[0]) == ("POST", "/runs/stream")
    assert body["input"] == {"topic": "tea"}
    assert body["assistant_id"] == "research"
