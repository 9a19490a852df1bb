"""LangChain's messages as the engine's."""

from __future__ import annotations

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)

from apr_agents.engines.base import Message
from apr_agents.errors import UsageError
from apr_agents.integrations.langchain.messages import read_messages

CALL = {"name": "add", "args": {"a": 1, "b": "é"}, "id": "1", "type": "tool_call"}


@pytest.mark.parametrize(
    ("message", "read"),
    [
        (SystemMessage("be short"), Message("system", "be short")),
        (HumanMessage("hello", name="Ada"), Message("user", "hello")),
        (HumanMessage(["one ", {"type": "text", "text": "two"}]), Message("user", "one two")),
        (AIMessage("so"), Message("assistant", "so")),
        (AIMessageChunk(content="so"), Message("assistant", "so")),
        (AIMessage("so", tool_calls=[CALL]), Message("assistant", 'so\n@add {"a": 1, "b": "é"}')),
        (AIMessage("", tool_calls=[CALL]), Message("assistant", '@add {"a": 1, "b": "é"}')),
        (
            AIMessage([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "so"}, {"type": "tool_use"}]),
            Message("assistant", "so"),
        ),
        (ToolMessage("3", tool_call_id="1", status="error"), Message("tool", "3")),
        (FunctionMessage(content="3", name="add"), Message("tool", "3")),
        (ChatMessage(content="be short", role="developer"), Message("system", "be short")),
        (HumanMessage("<Parallel>"), Message("user", "<Parallel>")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_message_is_its_role_and_text(message: BaseMessage, read: Message) -> None:
    assert read_messages([message]) == (read,)


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([], "there are no messages; a model needs one at least"),
        (
            [HumanMessage("a"), HumanMessage([{"type": "image", "base64": ""}])],
            "message 2 (user) has a part of type 'image'; this model reads text only",
        ),
        (
            [ToolMessage([{"type": "thinking"}], tool_call_id="1")],
            "message 1 (tool) has a part of type 'thinking'; this model reads text only",
        ),
        ([HumanMessage([{"type": "text"}])], "message 1 (user) has a part of type 'text'; this model reads text only"),
        (
            [ChatMessage(content="a", role="critic")],
            "message 1 has the role 'critic'; there is system, developer, human, user, ai, assistant, tool, function",
        ),
        (
            [RemoveMessage("1")],
            "message 1 has the role 'remove'; there is system, developer, human, user, ai, assistant, tool, function",
        ),
    ],
    ids=["none", "image", "thinking of a tool", "text without text", "role", "removal"],
)
def test_what_cannot_be_read_is_refused_in_one_line(messages: list[BaseMessage], problem: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_messages(messages)
    assert str(refused.value) == problem
