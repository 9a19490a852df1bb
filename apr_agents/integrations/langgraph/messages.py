"""A question from a graph's state, and the result of a run as one `AIMessage`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from langchain_core.messages import AIMessage, convert_to_messages
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata

from apr_agents.accounting import Report, account
from apr_agents.engines.base import Message
from apr_agents.errors import UsageError
from apr_agents.integrations.langchain.messages import read_messages
from apr_agents.report.json import to_json
from apr_agents.runner import RunResult


def question_of(value: object, key: str) -> tuple[Message, ...]:
    """What the state holds under `key`, one text or a list of messages, as the messages of a run.

    Earlier answers are client text like any other: nothing in them can open a block. Raises UsageError for anything
    else, for content that is not text, and for an empty list.
    """
    if isinstance(value, str):
        return (Message("user", value),)
    if not isinstance(value, Sequence):
        raise UsageError(f"state[{key!r}] is {value!r:.80}; a text or a list of messages is needed")
    try:
        return read_messages(convert_to_messages(cast("Sequence[Any]", value)))
    except UsageError as error:
        raise UsageError(f"state[{key!r}]: {error}") from error


def message_id(run_id: str) -> str:
    """The id of a run's message, and of the chunks in which its tokens are streamed."""
    return f"run-{run_id}"


def facts_of(result: RunResult) -> dict[str, Any]:
    """What a run's message is made from, as plain JSON values."""
    report = account(result.trace)
    return {
        "content": result.answer,
        "id": message_id(result.trace.run_id),
        "usage_metadata": dict(usage_of(report)),
        "response_metadata": {
            "model_name": result.trace.engine,
            "model_provider": "apr-agents",
            "run_id": result.trace.run_id,
            "ended": result.ended,
            "detail": result.detail,
            "report": to_json(report),
        },
    }


def message_of(facts: dict[str, Any], name: str | None = None) -> AIMessage:
    """The message of these facts, said by `name`."""
    return AIMessage(**facts, name=name)


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
