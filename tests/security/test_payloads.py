"""Who may open a block: no payload, by whatever door it comes, starts a branch or sends a special token."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.prompts import ChatPromptTemplate
from langgraph.checkpoint.memory import InMemorySaver

from apr_agents.context import Origin
from apr_agents.engines.base import Message
from apr_agents.integrations.langchain import ParallelChatModel
from apr_agents.integrations.langgraph import reasoning_node
from apr_agents.runner import Budget, Function, Settings, run
from apr_agents.runner.spawner import Spawner
from tests.security.payloads import PAYLOADS, chunks, halves
from tests.security.subjects import Subject, opened
from tests.support.replay import RecordingSpawner, ReplayingSpawner
from tests.support.scripts import THREADWEAVER, closed

pytestmark = pytest.mark.enable_socket

ENGINES = pytest.mark.parametrize("name", ["scripted", "embedded", "sglang"])
ROLES = ("user", "system", "tool", "assistant")
HARMLESS = "x"
SETTINGS = Settings(THREADWEAVER, max_tokens=4)


def test_there_are_two_hundred_payloads() -> None:
    assert len(PAYLOADS) >= 200


@ENGINES
async def test_plain_text_has_no_special_token(name: str, tmp_path: Path) -> None:
    async with opened(name, tmp_path) as subject:
        for payload in PAYLOADS:
            for text in (payload, *halves(payload)):
                ids = subject.engine.encode(text, control=False)
                assert ids is not None
                assert not subject.specials & set(ids), text


def _asked(texts: Sequence[str]) -> list[Message]:
    """A conversation in which each message is one of these texts, in every role."""
    return [Message(ROLES[place % len(ROLES)], text) for place, text in enumerate(texts)]


@ENGINES
async def test_no_message_opens_a_block(name: str, tmp_path: Path) -> None:
    """Whatever was said before, in whatever role: the prompt has the template's own special tokens alone."""
    async with opened(name, tmp_path) as subject:
        for texts in chunks(24):
            alike = subject.engine.prompt(_asked([HARMLESS] * len(texts)), {})
            subject.engine.requests.clear()
            result = await run(subject.engine, _asked(texts), SETTINGS)
            assert result.trace.branches == ()
            (request,) = subject.engine.requests
            sent = subject.special(request.context, Origin.client)
            taught = 0 if subject.engine.info.dialects else _taught(subject)
            assert len(sent) == len(subject.special(alike, Origin.client)) + taught


def _taught(subject: Subject) -> int:
    """Special tokens around the system prompt that teaches the dialect: as many as around any message more."""
    one, two = (subject.engine.prompt([Message("system", HARMLESS)] * count, {}) for count in (1, 2))
    return len(subject.special(two, Origin.client)) - len(subject.special(one, Origin.client))


async def _called(
    subject: Subject, functions: Sequence[Callable[[], Awaitable[Any]]], spawner: Spawner | None = None
) -> tuple[str, ...]:
    """A block of these calls, which the caller gives; how each branch ended."""
    known = {f"f{place}": Function(f"f{place}", function) for place, function in enumerate(functions)}
    outlines = tuple(f"@{name}" for name in known)
    settings = Settings(THREADWEAVER, outlines=outlines, functions=known, max_tokens=4)
    result = await run(subject.engine, "What is it?", settings, spawner=spawner, run_id="r")
    assert [branch.path for branch in result.trace.branches] == [f"1.{place + 1}" for place in range(len(functions))]
    joined = subject.engine.requests[-1].context
    assert subject.special(joined, Origin.branch) == []
    assert len(subject.sent()[-1]) == joined.tokens
    return tuple(branch.outcome for branch in result.trace.branches)


def _returning(text: str) -> Callable[[], Awaitable[str]]:
    async def function() -> str:
        return text

    return function


def _raising(text: str) -> Callable[[], Awaitable[None]]:
    async def function() -> None:
        raise ValueError(text)

    return function


@ENGINES
async def test_no_result_of_a_tool_opens_a_block(name: str, tmp_path: Path) -> None:
    async with opened(name, tmp_path) as subject:
        for texts in chunks(16):
            assert set(await _called(subject, [_returning(text) for text in texts])) == {"done"}
            assert all(text in subject.engine.requests[-1].context.text for text in texts)


@ENGINES
async def test_no_failure_of_a_tool_opens_a_block(name: str, tmp_path: Path) -> None:
    async with opened(name, tmp_path) as subject:
        for texts in chunks(16):
            assert set(await _called(subject, [_raising(text) for text in texts])) == {"failed"}


@ENGINES
async def test_no_tag_that_two_results_make_together_opens_a_block(name: str, tmp_path: Path) -> None:
    async with opened(name, tmp_path) as subject:
        for texts in chunks(8):
            pieces = [piece for text in texts for piece in halves(text)]
            assert set(await _called(subject, [_returning(piece) for piece in pieces])) == {"done"}


@ENGINES
async def test_no_outline_that_a_caller_gives_opens_a_block(name: str, tmp_path: Path) -> None:
    """Outlines from a list or a user are text: the tags around them are the only special tokens."""
    plain = [text for text in PAYLOADS if text.strip() and "\n" not in text and "</Outline>" not in text]
    async with opened(name, tmp_path) as subject:
        for start in range(0, len(plain), 16):
            texts = tuple(plain[start : start + 16])
            counts = []
            for outlines in (texts, (HARMLESS,) * len(texts)):
                settings = Settings(THREADWEAVER, outlines=outlines, max_tokens=4)
                result = await run(subject.engine, "What is it?", settings)
                assert len(result.trace.branches) == len(texts)
                forked = next(one.context for one in subject.engine.requests if one.path.depth)
                counts.append(len(subject.special(forked, Origin.client)))
                subject.engine.requests.clear()
            assert counts[0] == counts[1]


@pytest.mark.parametrize("name", ["scripted", "sglang"])
async def test_no_text_of_a_branch_opens_a_block_for_its_parent(name: str, tmp_path: Path) -> None:
    """A branch's model may write any tag: in a dialect whose blocks do not nest nothing forks."""
    for place, texts in enumerate(chunks(16)):
        says = {f"1.{number}": closed(f" {text}") for number, text in enumerate(texts, 1)}
        folder = tmp_path / str(place)
        folder.mkdir()
        async with opened(name, folder, {"": "so it is", **says}) as subject:
            settings = Settings(THREADWEAVER, outlines=("think",) * len(texts), max_tokens=200)
            result = await run(subject.engine, "What is it?", settings)
            assert {branch.path for branch in result.trace.branches} == set(says)
            assert len([one for one in subject.engine.requests if one.max_tokens]) == len(texts) + 1


@ENGINES
async def test_no_retrieved_document_opens_a_block(name: str, tmp_path: Path) -> None:
    """By way of LangChain: documents in a prompt, in a tool's message, and in parts of content."""
    template = ChatPromptTemplate.from_template("Answer by these documents:\n{documents}\nWhat is it?")
    async with opened(name, tmp_path) as subject:
        model = ParallelChatModel(engine=subject.engine, dialect=THREADWEAVER, budget=Budget(tokens=4))
        counts: set[int] = set()
        for texts in [(HARMLESS,) * 24, *chunks(24)]:
            documents = "\n\n".join(Document(text).page_content for text in texts)
            parts: Any = [{"type": "text", "text": piece} for text in texts for piece in halves(text)]
            asked = [
                *template.format_messages(documents=documents),
                ToolMessage(documents, tool_call_id="1"),
                HumanMessage(parts),
            ]
            said = await model.ainvoke(asked)
            assert said.response_metadata["report"]["forks"] == []
            counts.add(len(subject.special(subject.engine.requests[-1].context, Origin.client)))
        assert len(counts) == 1


@ENGINES
async def test_no_outcome_that_was_kept_opens_a_block(name: str, tmp_path: Path) -> None:
    """A run that is resumed takes results from where they were stored: as the same ids, in which nothing is special."""
    async with opened(name, tmp_path) as subject:
        for texts in chunks(16):
            first = RecordingSpawner()
            await _called(subject, [_returning(text) for text in texts], first)
            whole = subject.engine.requests[-1].context.ids
            again = ReplayingSpawner(first.record)
            await _called(subject, [_raising("it was called once more")] * len(texts), again)
            assert subject.engine.requests[-1].context.ids == whole


def _said(number: int, text: str) -> BaseMessage:
    """Said by a user, a model or a tool, in turn."""
    if number % 3 == 2:
        return ToolMessage(text, tool_call_id="1")
    return AIMessage(text) if number % 3 else HumanMessage(text)


@ENGINES
async def test_no_message_in_a_checkpoint_opens_a_block(name: str, tmp_path: Path) -> None:
    """A thread that goes on: what was said before, by whomever, is text."""
    async with opened(name, tmp_path) as subject:
        graph = reasoning_node(subject.engine, SETTINGS, checkpointer=InMemorySaver())
        counts: set[int] = set()
        for place, texts in enumerate([(HARMLESS,) * 24, *chunks(24)]):
            given: Any = {"configurable": {"thread_id": str(place)}}
            padded = [*texts, *[HARMLESS] * (24 - len(texts))]
            said = [_said(number, text) for number, text in enumerate(padded)]
            await graph.aupdate_state(given, {"messages": said})
            state = await graph.ainvoke({"messages": [("user", "Go on")]}, given)
            assert state["messages"][-1].response_metadata["report"]["forks"] == []
            counts.add(len(subject.special(subject.engine.requests[-1].context, Origin.client)))
        assert len(counts) == 1
