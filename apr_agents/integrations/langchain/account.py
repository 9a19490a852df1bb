"""The account of a whole agent run: one block around it makes a trace of everything that LangChain tells of.

    with account_run() as agent:
        graph.invoke(question)
    print(plain(agent.report()))

How the trace's edges are known is said in `agent.py`.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.runnables import RunnableConfig
from langchain_core.tracers.context import register_configure_hook
from langgraph.errors import GraphBubbleUp

from apr_agents.accounting import Report, account
from apr_agents.clock import Clock, MonotonicClock
from apr_agents.integrations.langchain.agent import trace_of
from apr_agents.integrations.langchain.hearing import TracedChunk
from apr_agents.integrations.langchain.seen import IN_BRANCH, IN_RUN, Heard, Moment, Seen
from apr_agents.runner.run import ANSWERED
from apr_agents.trace import Tokens, Trace

_STEP = "graph:step:"
"""With this tag and the superstep's number LangGraph marks the runs of a graph's nodes."""
_MAX_DETAIL = 500

_RUNNING: ContextVar[AgentAccount | None] = ContextVar("apr_account", default=None)
register_configure_hook(_RUNNING, inheritable=True)


class AgentAccount(BaseCallbackHandler):
    """A callback handler that keeps when each run of LangChain's began and ended, and the traces of ours.

    It serves any thread. Its mutable state is what it was told.
    """

    run_inline = True

    def __init__(self, clock: Clock | None = None) -> None:
        """`clock`: the engines' own, where that is not the machine's."""
        self._clock = clock or MonotonicClock()
        self._lock = threading.Lock()
        self._seen: dict[UUID, Seen] = {}
        self._open: set[UUID] = set()
        self._rank = 0
        self._run_id = secrets.token_hex(8)
        self._started = datetime.now(UTC).isoformat(timespec="seconds")

    @property
    def config(self) -> RunnableConfig:
        """For calls in which the block around them is not seen, such as those of a thread without its context."""
        return {"callbacks": [self]}

    def trace(self) -> Trace:
        """What happened, whole or so far; what goes on ends now."""
        with self._lock:
            now = self._moment()
            seen = [self._until(one, now) for one in self._seen.values()]
        return trace_of(seen, self._run_id, self._started)

    def report(self) -> Report:
        """The account of that trace."""
        return account(self.trace())

    # What LangChain tells ---------------------------------------------------------------------------------------------

    def on_chain_start(self, serialized: dict[str, Any] | None, inputs: object, **given: Any) -> None:
        steps = [tag for tag in given.get("tags") or () if tag.startswith(_STEP)]
        step = int(steps[0].removeprefix(_STEP)) if steps else None
        self._begin("chain" if step is None else "node", serialized, given, step)

    def on_tool_start(self, serialized: dict[str, Any] | None, input_str: str, **given: Any) -> None:
        self._begin("tool", serialized, given)

    def on_retriever_start(self, serialized: dict[str, Any] | None, query: str, **given: Any) -> None:
        self._begin("tool", serialized, given)

    def on_llm_start(self, serialized: dict[str, Any] | None, prompts: list[str], **given: Any) -> None:
        self._begin("model", serialized, given)

    def on_chat_model_start(
        self, serialized: dict[str, Any] | None, messages: list[list[BaseMessage]], **given: Any
    ) -> None:
        self._begin("model", serialized, given)

    def on_llm_new_token(self, token: object, *, run_id: UUID, chunk: object = None, **given: Any) -> None:
        if isinstance(chunk, TracedChunk) and chunk.trace:
            self.on_trace(chunk.trace, run_id=run_id)

    def on_chain_end(self, outputs: object, *, run_id: UUID, **given: Any) -> None:
        self._end(run_id)

    def on_tool_end(self, output: object, *, run_id: UUID, **given: Any) -> None:
        self._end(run_id)

    def on_retriever_end(self, documents: object, *, run_id: UUID, **given: Any) -> None:
        self._end(run_id)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **given: Any) -> None:
        self._end(run_id, tokens=_tokens(response))

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **given: Any) -> None:
        self._fail(run_id, error)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **given: Any) -> None:
        self._fail(run_id, error)

    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **given: Any) -> None:
        self._fail(run_id, error)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **given: Any) -> None:
        self._fail(run_id, error)

    def on_trace(self, trace: Trace, *, run_id: UUID) -> None:
        """See `TraceListener`."""
        with self._lock:
            for one in list(self._seen.values()):
                if one.heard and one.heard.trace.run_id == trace.run_id:
                    # It was resumed, and tells once more what it had told when it was left.
                    self._seen[one.id] = replace(one, heard=replace(one.heard, trace=_emptied(trace)))
            if run_id in self._seen:
                self._seen[run_id] = replace(self._seen[run_id], heard=Heard(trace, self._moment()))

    # ------------------------------------------------------------------------------------------------------------------

    def _begin(
        self,
        kind: Literal["chain", "node", "tool", "model"],
        serialized: Mapping[str, Any] | None,
        given: Mapping[str, Any],
        step: int | None = None,
    ) -> None:
        metadata: Mapping[str, Any] = given.get("metadata") or {}
        name = given.get("name") or (serialized or {}).get("name") or kind
        with self._lock:
            now = self._moment()
            self._seen[given["run_id"]] = Seen(
                id=given["run_id"],
                parent=given.get("parent_run_id"),
                name=str(metadata.get("ls_model_name") or name) if kind == "model" else str(name),
                kind=kind,
                begun=now,
                ended=now,
                outcome="cancelled",
                detail="it had not ended",
                step=step,
                called_by=(str(metadata[IN_RUN]), str(metadata[IN_BRANCH])) if IN_RUN in metadata else None,
                task=metadata.get("langgraph_node"),
            )
            self._open.add(given["run_id"])

    def _fail(self, run_id: UUID, error: BaseException) -> None:
        if isinstance(error, GraphBubbleUp):
            self._end(run_id, outcome="cancelled", detail="interrupted", interrupted=True)
        elif isinstance(error, asyncio.CancelledError):
            self._end(run_id, outcome="cancelled", detail="cancelled")
        else:
            self._end(run_id, outcome="failed", detail=f"{type(error).__name__}: {error}"[:_MAX_DETAIL])

    def _end(self, run_id: UUID, **facts: Any) -> None:
        with self._lock:
            if run_id in self._open:
                self._open.remove(run_id)
                whole = {"outcome": "done", "detail": "", **facts}
                self._seen[run_id] = replace(self._seen[run_id], ended=self._moment(), **whole)

    def _until(self, one: Seen, now: Moment) -> Seen:
        return replace(one, ended=now) if one.id in self._open else one

    def _moment(self) -> Moment:
        """Now; asked with the lock held."""
        self._rank += 1
        return Moment(self._rank, self._clock.now())


@contextmanager
def account_run(clock: Clock | None = None) -> Generator[AgentAccount]:
    """Everything that LangChain and LangGraph run inside this block, in any thread or task that has its context.

    `clock`: the engines' own, where that is not the machine's, so that all seconds are of one kind.
    """
    agent = AgentAccount(clock)
    token = _RUNNING.set(agent)
    try:
        yield agent
    finally:
        _RUNNING.reset(token)


def _emptied(trace: Trace) -> Trace:
    return replace(trace, spans=(), blocks=(), branches=(), notes=(), response=None, ended=ANSWERED)


def _tokens(response: LLMResult) -> Tokens | None:
    """What a model call tells of itself. None: nothing."""
    first = response.generations[0][0] if response.generations and response.generations[0] else None
    message = first.message if isinstance(first, ChatGeneration) else None
    usage = message.usage_metadata if isinstance(message, AIMessage) else None
    if usage is None:
        return None
    cached = usage.get("input_token_details", {}).get("cache_read")
    prompt = usage["input_tokens"]
    return Tokens(prompt, None if cached is None else min(cached, prompt), None, usage["output_tokens"])
