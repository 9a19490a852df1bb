"""The chat model beyond what LangChain's standard tests ask: runs as messages and chunks, bounds, stops, lifetimes."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator
from typing import Any, Literal, cast

import anyio
import anyio.lowlevel
import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.tools import tool

from apr_agents import Budget, JoinRule, Settings
from apr_agents.engines.scripted import Reply, ScriptedEngine
from apr_agents.errors import EngineError, UsageError
from apr_agents.integrations.langchain import ParallelChatModel
from tests.integrations.langchain.speaking import JOINED, PLAN, by_request, model_of, scripted
from tests.support.scripts import THREADWEAVER, block, closed

Content = Literal["answer", "text"]


def _sum(chunks: list[Any]) -> AIMessageChunk:
    return cast("AIMessageChunk", sum(chunks[1:], start=chunks[0]))


@pytest.mark.parametrize(("content", "text"), [("answer", "both hold"), ("text", JOINED)])
def test_a_message_is_a_run(content: Content, text: str) -> None:
    with model_of(content=content) as model:
        message = model.invoke("What is it?")
    assert message.text.strip() == text.strip()
    facts = message.response_metadata
    assert (facts["finish_reason"], facts["ended"], facts["model_provider"]) == ("stop", "answered", "apr-agents")
    assert [branch["path"] for branch in facts["report"]["forks"][0]["branches"]] == ["1.1", "1.2"]
    assert message.additional_kwargs["branches"] == {
        "": f"{PLAN} both hold",
        "1.1": closed(" it holds"),
        "1.2": closed(" as well"),
    }


@pytest.mark.parametrize("content", ["answer", "text"])
async def test_chunks_sum_to_the_message(content: Content) -> None:
    with model_of(by_request, content=content) as model:
        whole = model.invoke("What is it?")
        streamed = _sum(list(model.stream("What is it?")))
        awaited = _sum([chunk async for chunk in model.astream("What is it?")])
    for summed in (streamed, awaited):
        assert summed.text == whole.text
        assert summed.additional_kwargs == whole.additional_kwargs
        assert summed.usage_metadata is not None
        assert whole.usage_metadata is not None
        assert summed.usage_metadata["output_tokens"] == whole.usage_metadata["output_tokens"]


@pytest.mark.parametrize("stop", ["both", "me split"])
def test_a_stop_ends_the_run_where_it_first_appears(stop: str) -> None:
    with model_of(content="text") as model:
        assert model.invoke("What is it?", stop=[stop]).text == JOINED[: JOINED.index(stop)]


def test_a_stop_inside_a_branch_ends_nothing() -> None:
    with model_of(content="text") as model:
        assert model.invoke("What is it?", stop=["it holds"]).text == JOINED


def test_a_bound_is_a_message_that_says_so() -> None:
    with model_of(max_tokens=20) as model:
        facts = model.invoke("What is it?").response_metadata
    assert (facts["finish_reason"], facts["ended"]) == ("length", "tokens")


def test_a_run_that_fails_raises_with_what_there_is() -> None:
    with model_of({"": Reply("so", error="no server")}) as model, pytest.raises(EngineError) as failed:
        model.invoke("What is it?")
    assert "no server" in str(failed.value)
    assert failed.value.partial == "so"


def test_tools_run_inside_the_run() -> None:
    @tool
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    script = {"": [block('@add {"a": 1, "b": 2}'), " three"]}
    with model_of(script, content="text") as model:
        message = model.bind_tools([add]).invoke("How much?")
    assert "<Thread>1: 3</Thread>" in message.text
    assert message.tool_calls == []


async def test_leaving_a_stream_cancels_every_branch() -> None:
    script = {"": PLAN, "1.1": closed(" it holds"), "1.2": closed(" on" * 5_000)}
    async with ScriptedEngine(script, THREADWEAVER) as engine:
        model = ParallelChatModel(engine=engine)
        chunks = model.astream("What is it?")
        async for chunk in chunks:
            if chunk.additional_kwargs["branches"].get("1.1"):
                break
        await cast("AsyncGenerator[Any]", chunks).aclose()
        with anyio.fail_after(10):  # LangChain leaves it to the event loop to close what is inside its stream
            while engine.open_requests:
                await anyio.lowlevel.checkpoint()
        assert [str(request.path) for request in engine.requests] == ["", "1.1", "1.2"]


async def test_an_open_engine_stays_open_and_where_it_is() -> None:
    async with ScriptedEngine(by_request, THREADWEAVER) as engine:
        async with ParallelChatModel(engine=engine) as model:
            assert (await model.ainvoke("What is it?")).text == "Hello you, both hold"
            with pytest.raises(UsageError, match="use ainvoke or astream there"):
                model.invoke("What is it?")
        again = ParallelChatModel(engine=engine)
        assert (await again.ainvoke("What is it?")).text == "Hello you, both hold"


def test_many_threads_share_one_engine() -> None:
    answers: list[str] = []
    with model_of(by_request) as model:
        threads = [threading.Thread(target=lambda: answers.append(model.invoke("What is it?").text)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == ["Hello you, both hold"] * 8


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"settings": Settings(THREADWEAVER), "join": JoinRule()}, "settings, or dialect, join and budget"),
        ({"engine": "telepathy"}, "telepathy"),
        ({"temprature": 1}, "temprature"),
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, Any], problem: str) -> None:
    options: dict[str, Any] = {"engine": scripted(), **given}
    with pytest.raises(ValueError, match=problem):
        ParallelChatModel(**options)


def test_a_call_takes_what_it_names_and_nothing_else() -> None:
    with model_of(by_request) as model:
        assert model.invoke("What is it?", seed=3, timeout=30).response_metadata["ended"] == "answered"
        with pytest.raises(UsageError, match="top_p=1: a call takes stop, temperature, max_tokens"):
            model.invoke("What is it?", top_p=1)
        with pytest.raises(UsageError, match="the model decides itself"):
            model.bind_tools([], tool_choice="any")


def test_once_closed_it_says_so() -> None:
    model = model_of(budget=Budget(branches=4))
    model.close()
    model.close()
    with pytest.raises(UsageError, match="was closed; make another model"):
        model.invoke("What is it?")
