"""The node as a user meets it: every way to call a graph, at the top and inside another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from apr_agents.engines.scripted import Reply, ScriptedEngine
from apr_agents.errors import EngineError, UsageError
from apr_agents.integrations.langgraph import reasoning_node
from apr_agents.runner import Budget, Settings, run
from tests.integrations.langgraph.graphs import ASKED, SCRIPT, Graph, answer, around, by_turn, config, node, six
from tests.support.scripts import QUESTION, THREADWEAVER


@pytest.fixture(params=["top", "inside", "inside, saved"])
def graph(request: pytest.FixtureRequest) -> Graph:
    if request.param == "top":
        return node()
    return around(node(), InMemorySaver() if "saved" in request.param else None)


def _check(state: Mapping[str, Any]) -> None:
    assert [type(message) for message in state["messages"]] == [HumanMessage, AIMessage]
    message = answer(state)
    assert message.text == "the end"
    assert message.name == "reasoning"
    facts = message.response_metadata
    assert facts["ended"] == "answered"
    assert message.id == f"run-{facts['run_id']}"
    assert len(facts["report"]["forks"]) == 1
    assert json.loads(json.dumps(facts)) == facts
    usage = message.usage_metadata
    assert usage is not None
    assert usage.get("input_token_details") == {"cache_read": facts["report"]["tokens"]["cached"]}
    assert 0 < facts["report"]["tokens"]["cached"] < usage["input_tokens"]
    assert usage["output_tokens"] == facts["report"]["tokens"]["generated"]


async def test_ainvoke(graph: Graph) -> None:
    _check(await graph.ainvoke(ASKED, config()))


def test_invoke(graph: Graph) -> None:
    _check(graph.invoke(ASKED, config()))


async def test_invoke_inside_a_running_event_loop(graph: Graph) -> None:
    _check(graph.invoke(ASKED, config()))


async def test_astream(graph: Graph) -> None:
    states = [state async for state in graph.astream(ASKED, config(), stream_mode="values")]
    _check(states[-1])


def test_stream(graph: Graph) -> None:
    _check(list(graph.stream(ASKED, config(), stream_mode="values"))[-1])


async def test_astream_events(graph: Graph) -> None:
    events: list[Any] = [event async for event in graph.astream_events(ASKED, config(), version="v2")]
    said = [event["data"]["chunk"] for event in events if event["event"] == "on_chat_model_stream"]
    assert "".join(chunk.text for chunk in said if chunk.id.endswith("-1.1")) == " so a</Thread>"
    ended = [event["data"]["output"] for event in events if event["event"] == "on_chat_model_end"]
    assert [message.text for message in ended if message.usage_metadata] == ["the end"]


def test_it_is_drawn(graph: Graph) -> None:
    drawn = graph.get_graph(xray=True).draw_mermaid()
    assert "reasoning" in drawn
    assert "__start__" in drawn


async def test_it_says_what_the_driver_says() -> None:
    bare = await run(ScriptedEngine(SCRIPT, THREADWEAVER), QUESTION, Settings(THREADWEAVER))
    message = answer(await node(functions=()).ainvoke({"messages": QUESTION}))
    assert message.text == bare.answer
    told = message.response_metadata["report"]["tokens"]
    assert told["generated"] == sum(span.tokens.generated for span in bare.trace.spans if span.tokens)


class Named(TypedDict, total=False):
    question: str
    found: AIMessage


async def test_any_keys_of_any_state() -> None:
    built = StateGraph(Named)
    built.add_node("think", node(read="question", write="found", name="thinker"))
    built.add_edge(START, "think").add_edge("think", END)
    state = await built.compile().ainvoke({"question": QUESTION})
    assert state["question"] == QUESTION
    assert (state["found"].text, state["found"].name) == ("the end", "thinker")


async def test_an_engine_that_is_open_stays_open() -> None:
    async with ScriptedEngine(by_turn(SCRIPT), THREADWEAVER) as engine:
        graph = reasoning_node(engine, Settings(THREADWEAVER), [six])
        for _ in range(2):
            _check(await graph.ainvoke(ASKED))


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({"messages": []}, "there are no messages"),
        ({}, r"state\['messages'\] is None; a text or a list of messages is needed"),
        ({"messages": [HumanMessage([{"type": "image_url", "image_url": "x"}])]}, "part of type 'image_url'"),
    ],
)
async def test_a_state_that_cannot_be_read_is_refused(asked: dict[str, Any], problem: str) -> None:
    graph = node(read="messages", write="found") if asked == {} else node()
    with pytest.raises(UsageError, match=problem):
        await graph.ainvoke(asked or {"found": None})


async def test_a_bound_is_a_message_that_says_so() -> None:
    message = answer(await node(settings=Settings(THREADWEAVER, budget=Budget(tokens=20))).ainvoke(ASKED))
    assert message.response_metadata["ended"] == "tokens"
    assert "tokens" in message.response_metadata["detail"]


async def test_a_failed_engine_raises() -> None:
    with pytest.raises(EngineError, match="no server"):
        await node({"": Reply("", error="no server")}).ainvoke(ASKED)


async def test_exit_durability_only_by_name() -> None:
    graph = around(node(), InMemorySaver())
    with pytest.raises(UsageError, match="allow_exit=True"):
        await graph.ainvoke(ASKED, config(), durability="exit")
    allowed = around(node(allow_exit=True), InMemorySaver())
    _check(await allowed.ainvoke(ASKED, config(), durability="exit"))
    _check(await around(node(), InMemorySaver()).ainvoke(ASKED, config(), durability="sync"))
