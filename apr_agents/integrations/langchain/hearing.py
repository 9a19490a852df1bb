"""How the trace of a run comes to who accounts for what is around it: callback handlers that listen are told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from pydantic import PrivateAttr

from apr_agents.trace import Trace


@runtime_checkable
class TraceListener(Protocol):
    """A callback handler that wants the traces of runs."""

    def on_trace(self, trace: Trace, *, run_id: UUID) -> None:
        """This run has just ended, well or not, inside the LangChain run with this id. Called on any thread."""
        ...


def tell_trace(handlers: Sequence[BaseCallbackHandler], run_id: UUID | None, trace: Trace) -> None:
    """Tell those of a callback manager's handlers that listen; `run_id` is of the LangChain run that it went on in."""
    for handler in handlers:
        if run_id is not None and isinstance(handler, TraceListener):
            handler.on_trace(trace, run_id=run_id)


class TracedChunk(ChatGenerationChunk):
    """The last chunk of a run with its trace, for listeners: a model that streams is not told of their manager."""

    _trace: Trace | None = PrivateAttr(default=None)

    @classmethod
    def of(cls, message: BaseMessageChunk, trace: Trace) -> TracedChunk:
        """This message as a chunk; the trace is no part of what it sums to, prints or stores."""
        chunk = cls(message=message)
        chunk._trace = trace
        return chunk

    @property
    def trace(self) -> Trace | None:
        return self._trace
