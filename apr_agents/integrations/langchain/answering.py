"""A run as LangChain's messages: its pieces as chunks, their sum as the message, how it ended and the whole report."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from apr_agents.accounting import Report, account
from apr_agents.errors import ContextFull, EngineError
from apr_agents.integrations.langchain.hearing import TracedChunk
from apr_agents.report.json import to_json
from apr_agents.runner import RunResult
from apr_agents.runner.run import ANSWERED

BRANCHES = "branches"
"""The key in `additional_kwargs` under which each branch's own text stands under its path."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of what a run said."""

    path: str
    """The branch that generated it; `""` is the run itself."""
    text: str
    """As generated."""
    content: str
    """What the message's content has more since the last piece."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A run at its end."""

    content: str
    """What the message's content has more since the last piece."""
    result: RunResult


def stopped(result: RunResult, text: str, answer: str) -> RunResult:
    """This result of a run that was left at a stop: it ended as it should, with this text."""
    trace = replace(result.trace, ended=ANSWERED)
    return replace(result, text=text, answer=answer, ended=ANSWERED, detail="", trace=trace)


def check(result: RunResult) -> None:
    """Raises EngineError, the text so far in it, for a run that failed; a run that came to a bound did not."""
    if result.ended in ("failed", "branch_failed"):
        raise EngineError(f"the run failed: {result.detail}", result.text)
    if result.ended == "context" and not result.text:
        raise ContextFull(f"the messages leave no room for an answer: {result.detail}")


def usage_of(report: Report) -> UsageMetadata:
    """Tokens of all requests of a run; `cache_read` by the engine's own count, absent where it tells none."""
    tokens = report.tokens
    usage = UsageMetadata(
        input_tokens=tokens.prompt, output_tokens=tokens.generated, total_tokens=tokens.prompt + tokens.generated
    )
    if tokens.cached is not None:
        usage["input_token_details"] = InputTokenDetails(cache_read=tokens.cached)
    return usage


def facts_of(result: RunResult) -> tuple[UsageMetadata, dict[str, Any]]:
    """What a message says of its run beside the text: `usage_metadata`, and `response_metadata` as plain JSON.

    `finish_reason` is `stop`, or `length` where a bound ended the run; `ended` and `detail` say which.
    """
    report = account(result.trace)
    return usage_of(report), {
        "model_name": report.engine,
        "model_provider": "apr-agents",
        "finish_reason": "stop" if result.ok else "length",
        "ended": result.ended,
        "detail": result.detail,
        "run_id": report.run_id,
        "report": to_json(report),
    }


def chunk_of(item: Piece | Whole) -> ChatGenerationChunk:
    """This part of a run as a chunk; such chunks add up to the message that `Sum` makes."""
    if isinstance(item, Piece):
        said = {BRANCHES: {item.path: item.text}} if item.text else {}
        return ChatGenerationChunk(message=AIMessageChunk(content=item.content, additional_kwargs=said))
    usage, facts = facts_of(item.result)
    message = AIMessageChunk(content=item.content, usage_metadata=usage, response_metadata=facts, chunk_position="last")
    return TracedChunk.of(message, item.result.trace)


class Sum:
    """A run's parts as one message. Its mutable state is what has come so far."""

    def __init__(self) -> None:
        self._contents: list[str] = []
        self._branches: dict[str, list[str]] = defaultdict(list)
        self._result: RunResult | None = None

    def add(self, item: Piece | Whole) -> None:
        self._contents.append(item.content)
        if isinstance(item, Whole):
            self._result = item.result
        elif item.text:
            self._branches[item.path].append(item.text)

    def result(self) -> ChatResult:
        """The message, whole; what goes wrong in a run is raised before."""
        assert self._result is not None  # noqa: S101  # a run that ends without one raises
        usage, facts = facts_of(self._result)
        branches = {path: "".join(texts) for path, texts in self._branches.items()}
        message = AIMessage(
            "".join(self._contents),
            additional_kwargs={BRANCHES: branches} if branches else {},
            usage_metadata=usage,
            response_metadata=facts,
        )
        return ChatResult(generations=[ChatGeneration(message=message)])
