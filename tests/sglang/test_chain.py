"""What this project is for, in one chain: a user's graph, the node in it, LiteLLM's Router, two SGLang servers.

The model's block calls a tool and a graph of the user's and reasons in two branches of its own; a script says it, and
the counts of reused tokens are the servers' own.
"""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from typing_extensions import TypedDict

from apr_agents import Settings, load_dialect
from apr_agents.engines.litellm.engine import LiteLLMEngine
from apr_agents.integrations.langgraph import reasoning_node
from tests.sglang.scripting import TOKENIZER, Script, forget, metrics, requests_of
from tests.sglang.serve import MODEL

pytestmark = [pytest.mark.sglang, pytest.mark.enable_socket, pytest.mark.timeout(300)]

Graph = CompiledStateGraph[Any, Any, Any, Any]
DIALECT = load_dialect("threadweaver")
OUTLINES = ('@add {"left": 3, "right": 4}', "7 * 5", '@doubled {"number": 21}', "35 - 7")
TEXTS = {
    "": [
        "\n<Parallel>\n<Outlines>\n"
        + "".join(f"<Outline>{number}: {text}</Outline>\n" for number, text in enumerate(OUTLINES, 1))
        + "</Outlines>",
        " answer: 35 - 7 = 28",
    ],
    "1.2": [" 7 * 5 = 35</Thread>"],
    "1.4": [" 35 - 7 = 28</Thread>"],
}


@tool
def add(left: int, right: int) -> int:
    """The sum of two numbers."""
    return left + right


class Doubling(TypedDict, total=False):
    number: int
    twice: int


def doubled() -> Graph:
    """A graph of the user's that an outline may call."""

    def double(state: Doubling) -> Doubling:
        return {"twice": 2 * state.get("number", 0)}

    built = StateGraph(Doubling)
    built.add_node("double", double)
    built.add_edge(START, "double").add_edge("double", END)
    return built.compile(name="doubled")


def router(urls: list[str]) -> dict[str, Any]:
    """LiteLLM's Router over these servers."""
    deployments = [
        {"model_name": "countdown", "litellm_params": {"model": "apr-sglang/countdown", "api_base": url}}
        for url in urls
    ]
    return {"model_list": deployments}


def users_graph(engine: LiteLLMEngine) -> Graph:
    """Three nodes: one prepares the question, one reasons, one reads the answer."""

    def ask(state: MessagesState) -> MessagesState:
        return {"messages": [*state["messages"], HumanMessage("Numbers: 3 4 5 7 Target: 28")]}

    def tell(state: MessagesState) -> MessagesState:
        return {"messages": [AIMessage(f"told: {state['messages'][-1].text}")]}

    built = StateGraph(MessagesState)
    built.add_node("ask", ask)
    built.add_node("think", reasoning_node(engine, Settings(DIALECT), [add, doubled()]))
    built.add_node("tell", tell)
    built.add_edge(START, "ask").add_edge("ask", "think").add_edge("think", "tell").add_edge("tell", END)
    return built.compile(checkpointer=InMemorySaver())


def cached_by(urls: list[str]) -> list[float]:
    """How many prompt tokens each server took from its cache, by its own count."""
    return [metrics(url)["sglang:cached_tokens_total"] for url in urls]


async def test_the_whole_chain(worker_urls: list[str], processor: str) -> None:
    for url in worker_urls:
        forget(url)
    requests, cached = requests_of(worker_urls), cached_by(worker_urls)
    script = Script(processor, TEXTS)
    async with LiteLLMEngine("countdown", router=router(worker_urls), tokenizer=MODEL, extend=script) as engine:
        state = await users_graph(engine).ainvoke({"messages": []}, {"configurable": {"thread_id": "1"}})
    message = next(one for one in state["messages"] if isinstance(one, AIMessage) and one.usage_metadata)
    assert message.text == "answer: 35 - 7 = 28"
    assert state["messages"][-1].text == "told: answer: 35 - 7 = 28"
    report = message.response_metadata["report"]
    (fork,) = report["forks"]
    assert [branch["outcome"] for branch in fork["branches"]] == ["done"] * len(OUTLINES)

    # All four requests went to the one server that has the prefix: two walks, and the run itself twice.
    served = [after - before for before, after in zip(requests, requests_of(worker_urls), strict=True)]
    assert sorted(served) == [0, 4]
    block = len(TOKENIZER.encode(TEXTS[""][0], control=True))
    # What the report says was reused is what that server says it took from its cache, and it is all that could be.
    counted = [after - before for before, after in zip(cached, cached_by(worker_urls), strict=True)]
    assert sorted(counted) == [0, report["tokens"]["cached"]]
    assert report["tokens"]["reused"] == report["tokens"]["reusable"] > block
    usage = message.usage_metadata
    assert usage is not None
    assert usage.get("input_token_details") == {"cache_read": report["tokens"]["cached"]}
