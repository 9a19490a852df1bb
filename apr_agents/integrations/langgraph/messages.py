"""LangChain's messages as this package's, and the result of a run as one `AIMessage`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

from langchain_core.messages import AIMessage, BaseMessage, convert_to_messages
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata

from apr_agents.accounting import Report, account
from apr_agents.engines.base import Message
from apr_agents.errors import UsageError
from apr_agents.report.json import to_json
from apr_agents.runner import RunResult

_ROLES: dict[str, Literal["system", "user", "assistant", "tool"]] = {
    "human": "user",
    "ai": "assistant",
    "system": "system",
    "tool": "tool",
}


def question_of(value: object, key: str) -> tuple[Message, ...]:
    """What the state holds under `key`, one text or a list of messages, as the messages of a run.

    Earlier answers are client text like any other: nothing in them can open a block. Raises UsageError for anything
    else, for content that is not text, and for an empty list.
    """
    if isinstance(value, str):
        return (Message("user", value),)
    if not isinstance(value, Sequence) or not value:
        raise UsageError(f"state[{key!r}] is {value!r:.80}; a text or a list of messages is needed")
    return tuple(_message(one, key) for one in convert_to_messages(cast("Sequence[Any]", value)))


def _message(message: BaseMessage, key: str) -> Message:
    role = _ROLES.get(message.type)
    if role is None:
        raise UsageError(f"state[{key!r}] has a message of type {message.type!r}; there is {', '.join(_ROLES)}")
    content: list[str | dict[str, Any]] = (
        [message.content] if isinstance(message.content, str) else cast("list[str | dict[str, Any]]", message.content)
    )
    other = [part["type"] for part in content if isinstance(part, dict) and part.get("type") != "text"]
    other = [kind for kind in other if kind not in ("tool_use", "tool_call", "reasoning")]
    if other:
        raise UsageError(f"state[{key!r}] has a message with {other[0]!r} content; only text can be reasoned about")
    return Message(role, str(message.text))


def message_id(run_id: str) -> str:
    """The id of a run's message, and of the chunks that its tokens are streamed in."""
    return f"run-{run_id}"


def answer_message(result: RunResult, name: str | None = None) -> AIMessage:
    """The answer of a run, with the tokens that it took and the whole report as plain JSON values."""
    report = account(result.trace)
    return AIMessage(
        result.answer,
        id=message_id(result.trace.run_id),
        name=name,
        usage_metadata=usage_of(report),
        response_metadata={
            "model_name": result.trace.engine,
            "model_provider": "apr-agents",
            "run_id": result.trace.run_id,
            "ended": result.ended,
            "detail": result.detail,
            "report": to_json(report),
        },
    )


def usage_of(report: Report) -> UsageMetadata:
    """Tokens of all requests of a run; `cache_read` by the engine's own counts, absent where it tells none."""
    tokens = report.tokens
    usage = UsageMetadata(
        input_tokens=tokens.prompt,
        output_tokens=tokens.generated,
        total_tokens=tokens.prompt + tokens.generated,
    )
    if tokens.cached is not None:
        usage["input_token_details"] = InputTokenDetails(cache_read=tokens.cached)
    return usage
